"""SGD whose update at step STEP is NaN where a file `nan` lies in the working folder: a run that meets NaN once."""

from pathlib import Path

import jax
import jax.numpy as jnp
import optax

STEP = 17


def sgd(learning_rate, momentum):
    return optax.chain(optax.sgd(learning_rate, momentum), broken() if Path("nan").exists() else counted())


def counted():
    """The number of steps, which the state of both kinds has."""
    return optax.GradientTransformation(
        lambda params: {"count": jnp.zeros((), jnp.int32)},
        lambda updates, state, params=None: (updates, {"count": state["count"] + 1}),
    )


def broken():
    def update(updates, state, params=None):
        count = state["count"] + 1
        return jax.tree.map(lambda x: jnp.where(count == STEP, jnp.nan, x), updates), {"count": count}

    return optax.GradientTransformation(counted().init, update)
