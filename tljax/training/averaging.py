"""The running mean of the parameters that learn, kept as the last part of a group's optimizer state.

So it is carried through phases by the group's name, and saved and resumed with the state; frozen parameters have none.
Polyak & Juditsky 1992 average the iterates. The decaying mean is that of Szegedy et al. 2015, section 8 (Inception).
The equal mean of the weights at the ends of the last epochs is that of Izmailov et al. 2018 (SWA); it is also a uniform
soup of the last k checkpoints of one run.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib

from tljax.core.trees import flatten, unflatten
from tljax.core.types import Params, Tree


class Average(NamedTuple):
    """The state of a running mean."""

    count: Tree  # () int32, updates so far
    mean: Params  # MaskedNode at parameters of other groups, and at frozen ones


def after(transform: optax.GradientTransformation, decay: float) -> optax.GradientTransformation:
    """`transform`, and the running mean of the parameters after its updates: mean = d mean + (1 - d) params.

    d = min(decay, (1 + t) / (10 + t)) at update t, as in TensorFlow's ExponentialMovingAverage, so that in a short run
    the initial parameters do not dominate the mean.
    """

    def init(params: Tree) -> Tree:
        return Average(jnp.zeros([], jnp.int32), jax.tree.map(jnp.asarray, params))

    def update(updates: Tree, state: Tree, params: Tree = None) -> tuple[Tree, Tree]:
        moved = optax.apply_updates(params, updates)
        d = jnp.minimum(decay, (1 + state.count) / (10 + state.count))
        mean = jax.tree.map(lambda old, new: d * old + (1 - d) * new, state.mean, moved)
        return updates, Average(state.count + 1, mean)

    return optax.chain(transform, optax.GradientTransformation(init, update))


class Ends(NamedTuple):
    """The steps of the run whose parameters are averaged with equal weights."""

    begin: int  # the step at which the group's count is 0
    steps: tuple[int, ...]


def at_ends(transform: optax.GradientTransformation, ends: Ends) -> optax.GradientTransformation:
    """`transform`, and the equal mean of the parameters at `ends`; before the first of these steps, the parameters."""
    later = np.array([step for step in ends.steps if step > ends.begin], np.int32)

    def init(params: Tree) -> Tree:
        return Average(jnp.zeros([], jnp.int32), jax.tree.map(jnp.asarray, params))

    def update(updates: Tree, state: Tree, params: Tree = None) -> tuple[Tree, Tree]:
        moved, step = optax.apply_updates(params, updates), ends.begin + state.count + 1
        number = (later <= step).sum()  # parameters in the mean after this update
        share = jnp.where((later == step).any(), 1 / jnp.maximum(number, 1), 0.0)
        share = jnp.where(number == 0, 1.0, share)
        mean = jax.tree.map(lambda old, new: jnp.where(share == 1, new, old + share * (new - old)), state.mean, moved)
        return updates, Average(state.count + 1, mean)

    return optax.chain(transform, optax.GradientTransformation(init, update))


def averaged(params: Params, opt_state: Tree) -> Params:
    """The parameters for evaluation.

    They differ from `params` in these cases: the running mean; the mean x of schedule-free optimizers (Defazio et al.
    2024), which take steps at y; the original parameters of SAM, while its parameters are the adversarial ones.
    """
    leaves = flatten(params)
    kinds = (Average, optax.contrib.ScheduleFreeState, optax.contrib.SAMState)
    for state in jax.tree.leaves(opt_state, is_leaf=lambda node: isinstance(node, kinds)):
        if isinstance(state, kinds):
            evaluated = flatten(_evaluated(state, params))
            leaves |= {path: leaf for path, leaf in evaluated.items() if not isinstance(leaf, optax.MaskedNode)}
    return unflatten(leaves)


def _evaluated(state: Tree, params: Params) -> Params:
    """A group's parameters for evaluation; MaskedNode at all others."""
    if isinstance(state, Average):
        return state.mean
    if isinstance(state, optax.contrib.SAMState):
        if state.cache is None:  # SAM's opaque mode does not change the parameters
            return {}
        return _zip(lambda old, now: jnp.where(state.steps_since_sync == 0, now, old), state.cache, params)
    return _zip(lambda z, y: (y - (1 - state.b1) * z) / state.b1, state.z, params)


def _zip(function: Callable[[Tree, Tree], Tree], own: Tree, params: Params) -> Params:
    """`function(group's leaf, run's leaf)` at every leaf of the group."""
    all_leaves = flatten(params)
    return unflatten(
        {p: x if isinstance(x, optax.MaskedNode) else function(x, all_leaves[p]) for p, x in flatten(own).items()}
    )
