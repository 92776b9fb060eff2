"""Training: from an experiment and a plan to trained parameters.

This room holds the job (network, task and plan together), the training step and the evaluation step, the optimizer and
its schedules, devices, cached features, checkpoints, and the loop that calls them.
An experiment goes in; the best state and the sums of its evaluation come out.
Nothing in this room may name a task, a family or a strategy, or decide what is printed.
"""
