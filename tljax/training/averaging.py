"""The running mean of the parameters that learn, kept as the last part of a group's optimizer state.

There it is carried through phases by the group's name, saved and resumed with the rest, and frozen parameters
have none. Polyak & Juditsky 1992 average the iterates; the decaying mean is that of Szegedy et al. 2015,
section 8, as evaluation of Inception has used it since; the equal mean of the weights at the ends of the last epochs
that of Izmailov et al. 2018 (SWA), or of the last k checkpoints (a uniform soup of one run).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tljax.core.trees import flatten, unflatten
from tljax.core.types import Params


class Average(NamedTuple):
    """Its state."""

    count: Any  # () int32, updates so far
    mean: Params  # MaskedNode where another group learns, or none


def after(transform: optax.GradientTransformation, decay: float) -> optax.GradientTransformation:
    """`transform`, and then the mean of what its updates make of the parameters: mean = d mean + (1 - d) params.

    d = min(decay, (1 + t) / (10 + t)) at update t, as in TensorFlow's ExponentialMovingAverage, so that the
    mean of a short run is not its random beginning.
    """

    def init(params: Any) -> Any:
        return Average(jnp.zeros([], jnp.int32), jax.tree.map(jnp.asarray, params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        moved = optax.apply_updates(params, updates)
        d = jnp.minimum(decay, (1 + state.count) / (10 + state.count))
        mean = jax.tree.map(lambda old, new: d * old + (1 - d) * new, state.mean, moved)
        return updates, Average(state.count + 1, mean)

    return optax.chain(transform, optax.GradientTransformation(init, update))


class Ends(NamedTuple):
    """Steps of the run after which parameters are taken into an equal mean."""

    begin: int  # the step at which the group's count is 0
    steps: tuple[int, ...]


def at_ends(transform: optax.GradientTransformation, ends: Ends) -> optax.GradientTransformation:
    """`transform`, and then the equal mean of the parameters at `ends`; before the first of them, the parameters."""
    later = np.array([step for step in ends.steps if step > ends.begin], np.int32)

    def init(params: Any) -> Any:
        return Average(jnp.zeros([], jnp.int32), jax.tree.map(jnp.asarray, params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        moved, step = optax.apply_updates(params, updates), ends.begin + state.count + 1
        number = (later <= step).sum()  # of those that the mean is of after this update
        share = jnp.where((later == step).any(), 1 / jnp.maximum(number, 1), 0.0)
        share = jnp.where(number == 0, 1.0, share)
        mean = jax.tree.map(lambda old, new: jnp.where(share == 1, new, old + share * (new - old)), state.mean, moved)
        return updates, Average(state.count + 1, mean)

    return optax.chain(transform, optax.GradientTransformation(init, update))


def averaged(params: Params, opt_state: Any) -> Params:
    """`params`, with the mean in the place of every parameter that has one."""
    leaves = flatten(params)
    for state in jax.tree.leaves(opt_state, is_leaf=lambda node: isinstance(node, Average)):
        if isinstance(state, Average):
            means = flatten(state.mean)
            leaves |= {path: mean for path, mean in means.items() if not isinstance(mean, optax.MaskedNode)}
    return unflatten(leaves)
