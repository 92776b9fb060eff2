"""Several processes that are one run: how they come together, agree, and end together.

In here: `joining` (before jax touches a device), `agreement` (what all know alike), `ending` (an error of one, a signal
to one). With one process every function is the plain thing, and nothing of jax.distributed is started.
Nothing in here may know what the processes compute.
"""
