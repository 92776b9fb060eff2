"""WHAT is asked of a network: a file here is a task, with a head, a loss, metrics and an answer.

Logits and a batch go in; losses, exact sums and answers come out.
Nothing in here may know the backbone, the strategy, or where the data come from.
"""
