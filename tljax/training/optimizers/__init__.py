"""Find an optimizer by its name and make it work in a training step and a checkpoint; user functions are tried first.

The settings of a group and its rate go in; an optax transformation comes out. Plans and states are not known here.
"""
