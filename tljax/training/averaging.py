"""The running mean of the parameters that learn, kept as the last part of a group's optimizer state.

There it is carried through phases by the group's name, saved and resumed with the rest, and frozen parameters
have none. Polyak & Juditsky 1992 average the iterates; the decaying mean is that of Szegedy et al. 2015,
section 8, as evaluation of Inception has used it since; the equal mean of the weights at the ends of the last epochs
that of Izmailov et al. 2018 (SWA), or of the last k checkpoints (a uniform soup of one run).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib

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
    """`params`, with what evaluation is given in the place of every parameter for which that is another.

    The running mean; the mean x of schedule-free optimizers (Defazio et al. 2024), whose steps are taken at y; the
    parameters that SAM came from, while it stands at the adversarial ones.
    """
    leaves = flatten(params)
    kinds = (Average, optax.contrib.ScheduleFreeState, optax.contrib.SAMState)
    for state in jax.tree.leaves(opt_state, is_leaf=lambda node: isinstance(node, kinds)):
        if isinstance(state, kinds):
            found = flatten(_evaluated(state, params))
            leaves |= {path: leaf for path, leaf in found.items() if not isinstance(leaf, optax.MaskedNode)}
    return unflatten(leaves)


def _evaluated(state: Any, params: Params) -> Params:
    """A group's parameters of evaluation; MaskedNode elsewhere."""
    if isinstance(state, Average):
        return state.mean
    if isinstance(state, optax.contrib.SAMState):
        if state.cache is None:  # its opaque mode leaves the parameters where they belong
            return {}
        return _zip(lambda old, now: jnp.where(state.steps_since_sync == 0, now, old), state.cache, params)
    return _zip(lambda z, y: (y - (1 - state.b1) * z) / state.b1, state.z, params)


def _zip(function: Callable[[Any, Any], Any], own: Any, params: Params) -> Params:
    """`function` of the group's leaf and the run's, at every leaf of the group."""
    all_leaves = flatten(params)
    return unflatten(
        {p: x if isinstance(x, optax.MaskedNode) else function(x, all_leaves[p]) for p, x in flatten(own).items()}
    )
