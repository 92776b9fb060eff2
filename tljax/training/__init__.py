"""The run itself: from an experiment and a plan to trained parameters.

In here: the job (network, task and plan together), one update and one evaluation batch, the optimizer and its
schedules, devices, cached features, checkpoints, and the loop that calls them.
An experiment goes in; the best state and the sums of its evaluation come out.
Nothing in here may name a task, a family or a strategy, or decide what is printed.
"""
