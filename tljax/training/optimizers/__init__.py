"""One optimizer by its name, as a transformation that a step and a checkpoint take; of one's own, tried beforehand.

In go the setting of a group and its rate, out comes an optax transformation. No plan and no state is known here.
"""
