"""What an optimizer does, found by trying it on a small tree: signatures hide defaults, `**kwargs` and partials.

Decay is what moves a parameter against its own sign while its gradient is 0: the part of an update that changes its
sign with the parameter. Noise, momentum and norms of parameters do not.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tljax.core.trees import flatten, unflatten
from tljax.core.types import Params

Make = Callable[[Any], optax.GradientTransformation]  # a rate -> the optimizer

STEPS = 128  # of a trial, so that accumulation over fewer is seen
EPSILON = 4e-7  # of a parameter: smaller movements are rounding


def shrunk(params: Mapping[str, Any]) -> Params:
    """The same tree with leaves of at most two elements along each axis, none of them 0."""
    leaves = {}
    for number, (path, leaf) in enumerate(flatten(params).items()):
        masked = isinstance(leaf, optax.MaskedNode)
        shape = () if masked else tuple(min(2, size) for size in np.shape(leaf))
        leaves[path] = leaf if masked else np.full(shape, (-1) ** number * (0.5 + 0.25 * (number % 5)), np.float32)
    return unflatten(leaves)


LAYER = {"kernel": np.zeros((2, 2)), "bias": np.zeros(2)}
TREE = shrunk({"backbone": {"stem": {"conv": LAYER, "norm": {"scale": np.zeros(2)}}}, "head": LAYER})


def takes_loss(tx: optax.GradientTransformation, params: Params = TREE) -> bool:
    """Whether `update` may be given the loss, as value=...; not where it takes more arguments, but not this one."""
    if not isinstance(tx, optax.GradientTransformationExtraArgs):
        return True  # optax.with_extra_args_support drops it
    try:
        jax.eval_shape(lambda p: tx.update(p, tx.init(p), p, value=jnp.float32(1.0)), params)
    except Exception as error:  # of the user's own function; others are said when it is tried as a whole
        return "unexpected keyword argument 'value'" not in str(error)
    return True


def step(tx: optax.GradientTransformation, grads: Params, state: Any, params: Params) -> tuple[Any, Any]:
    """One update with a loss of 1."""
    return optax.with_extra_args_support(tx).update(grads, state, params, value=jnp.float32(1.0))


def changed_state(tx: optax.GradientTransformation, params: Params = TREE) -> list[str]:
    """The leaves of the state that an update gives another shape or type: such a state cannot go round a loop."""
    before = jax.eval_shape(tx.init, params)
    _, after = jax.eval_shape(lambda p, s: step(tx, p, s, p), params, before)
    if jax.tree.structure(before) != jax.tree.structure(after):
        return [f"its structure: {jax.tree.structure(before)}, then {jax.tree.structure(after)}"]
    pairs = zip(jax.tree_util.tree_leaves_with_path(before), jax.tree.leaves(after), strict=True)
    return [
        f"{jax.tree_util.keystr(path)}: {old.dtype}{list(old.shape)}, then {new.dtype}{list(new.shape)}"
        for (path, old), new in pairs
        if (old.dtype, old.shape) != (new.dtype, new.shape)
    ]


def decays(make: Make, params: Params = TREE) -> dict[str, float]:
    """Path -> the weight decay d of an update -rate d p with which the optimizer moves it; NaN: by another rule."""
    first, second = _decays(make(1.0), 1.0, params), _decays(make(0.5), 0.5, params)
    return {path: d if np.isclose(d, second[path], rtol=1e-3) else float("nan") for path, d in first.items()}


def counts_steps(make: Make, params: Params = TREE, steps: int = 6) -> bool:
    """Whether a schedule given to the optimizer is asked for the rate of every step, and not only of its own."""
    asked = []

    def schedule(count: Any) -> float:
        asked.append(int(count))
        return 0.1

    with jax.disable_jit():
        tx, grads = make(schedule), jax.tree.map(jnp.ones_like, params)
        state = tx.init(params)
        for _ in range(steps):
            _, state = step(tx, grads, state, params)
    return sorted(set(asked)) == list(range(steps))


def follows_number(make: Make, params: Params = TREE) -> bool:
    """Whether an optimizer built again for every step, with that step's rate, moves by it."""
    grads = jax.tree.map(jnp.ones_like, params)

    def moved(rate: Any) -> Any:
        def one(state: Any, _: None) -> tuple[Any, Any]:
            updates, state = step(make(rate), grads, state, params)
            return state, updates

        return jax.lax.scan(one, make(1.0).init(params), length=STEPS)[1]

    jitted = jax.jit(moved)
    for rate in (1.0, 1e-4):  # as a limit, a rate shows where it is low enough
        some, less = (jax.tree.leaves(jitted(x)) for x in (rate, rate / 2))
        if any(np.any(np.asarray(a) != np.asarray(b)) for a, b in zip(some, less, strict=True)):
            return True
    return False


def _decays(tx: optax.GradientTransformation, rate: float, params: Params) -> dict[str, float]:
    for gradient in (0.0, 1.0):  # some divide by the gradients' norm, and cannot be given 0
        there = flatten(_moved(tx, params, gradient))
        back = flatten(_moved(tx, jax.tree.map(np.negative, params), gradient))
        if all(np.all(np.isfinite(x)) for x in (*there.values(), *back.values())):
            break
    found = {}
    for path, leaf in flatten(params).items():
        if isinstance(leaf, optax.MaskedNode):
            continue
        odd = (np.asarray(there[path], np.float64) - back[path]) / 2
        ratios = np.where(np.abs(odd) <= EPSILON * np.abs(leaf), 0.0, -odd / (rate * leaf))  # (STEPS, ...)
        same = np.ptp(ratios) <= 1e-3 * np.abs(ratios).max()
        found[path] = float(np.median(ratios)) if same else float("nan")
    return found


def _moved(tx: optax.GradientTransformation, params: Params, gradient: float) -> Any:
    """The updates of STEPS steps from the same parameters, each (STEPS, ...)."""

    def one(state: Any, _: None) -> tuple[Any, Any]:
        updates, state = step(tx, jax.tree.map(lambda p: jnp.full_like(p, gradient), params), state, params)
        return state, updates

    return jax.tree.map(np.asarray, jax.jit(lambda: jax.lax.scan(one, tx.init(params), length=STEPS)[1])())
