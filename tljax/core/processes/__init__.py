"""Several processes that are one run: how they come together, agree, and end together.

In here: `joining` (before jax touches a device), `agreement` (all processes get the same values), `ending` (an error
of one process ends all, a signal to one reaches all). With one process nothing of jax.distributed is started.
Nothing in here may know what the processes compute.
"""
