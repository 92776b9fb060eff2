"""Find properties of an optimizer by trying it on a small tree: signatures hide defaults, `**kwargs` and partials.

Decay is the part of an update that moves a parameter towards 0 while its gradient is 0. It changes its sign with the
parameter; noise, momentum and norms of parameters do not.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tljax.core.trees import flatten, unflatten
from tljax.core.types import Params, Tree
from tljax.training.schedules import Rate

Make = Callable[[Rate], optax.GradientTransformation]  # a rate -> the optimizer

STEPS = 128  # steps of a trial, so that accumulation over fewer steps shows
EPSILON = 4e-7  # relative to a parameter; smaller updates are rounding


def shrunk(params: Mapping[str, Tree]) -> Params:
    """The same tree with leaves of at most two elements along each axis; no element is 0."""
    leaves = {}
    for number, (path, leaf) in enumerate(flatten(params).items()):
        masked = isinstance(leaf, optax.MaskedNode)
        shape = () if masked else tuple(min(2, size) for size in np.shape(leaf))
        leaves[path] = leaf if masked else np.full(shape, (-1) ** number * (0.5 + 0.25 * (number % 5)), np.float32)
    return unflatten(leaves)


LAYER = {"kernel": np.zeros((2, 2)), "bias": np.zeros(2)}
TREE = shrunk({"backbone": {"stem": {"conv": LAYER, "norm": {"scale": np.zeros(2)}}}, "head": LAYER})


def takes_loss(tx: optax.GradientTransformation, params: Params = TREE) -> bool:
    """Whether `update` accepts the loss as value=...; it may accept other extra arguments but not this one."""
    if not isinstance(tx, optax.GradientTransformationExtraArgs):
        return True  # optax.with_extra_args_support drops it
    try:
        jax.eval_shape(lambda p: tx.update(p, tx.init(p), p, value=jnp.float32(1.0)), params)
    except Exception as error:  # other errors of the user's function are reported when it is tried as a whole
        return "unexpected keyword argument 'value'" not in str(error)
    return True


def step(tx: optax.GradientTransformation, grads: Params, state: Tree, params: Params) -> tuple[Tree, Tree]:
    """One update with a loss of 1."""
    return optax.with_extra_args_support(tx).update(grads, state, params, value=jnp.float32(1.0))


def changed_state(tx: optax.GradientTransformation, params: Params = TREE) -> list[str]:
    """The leaves of the state whose shape or type an update changes: such a state does not work in a loop."""
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
    """Path -> the weight decay d, if the update of a parameter p is -rate d p; NaN: it decays by another rule."""
    first, second = _decays(make(1.0), 1.0, params), _decays(make(0.5), 0.5, params)
    return {path: d if np.isclose(d, second[path], rtol=1e-3) else float("nan") for path, d in first.items()}


def counts_steps(make: Make, params: Params = TREE, steps: int = 6) -> bool:
    """Whether the optimizer evaluates its schedule at every step of the run, and not only at steps with an update."""
    asked = []

    def schedule(count: jax.Array) -> float:
        asked.append(int(count))
        return 0.1

    with jax.disable_jit():
        tx, grads = make(schedule), jax.tree.map(jnp.ones_like, params)
        state = tx.init(params)
        for _ in range(steps):
            _, state = step(tx, grads, state, params)
    return sorted(set(asked)) == list(range(steps))


def follows_number(make: Make, params: Params = TREE) -> bool:
    """Whether the updates of an optimizer that is built again in every step depend on that step's rate."""
    grads = jax.tree.map(jnp.ones_like, params)

    def moved(rate: Rate) -> Tree:
        def one(state: Tree, _: None) -> tuple[Tree, Tree]:
            updates, state = step(make(rate), grads, state, params)
            return state, updates

        return jax.lax.scan(one, make(1.0).init(params), length=STEPS)[1]

    jitted = jax.jit(moved)
    for rate in (1.0, 1e-4):  # if the rate is only a limit, it shows at a low rate
        some, less = (jax.tree.leaves(jitted(x)) for x in (rate, rate / 2))
        if any(np.any(np.asarray(a) != np.asarray(b)) for a, b in zip(some, less, strict=True)):
            return True
    return False


def _decays(tx: optax.GradientTransformation, rate: float, params: Params) -> dict[str, float]:
    for gradient in (0.0, 1.0):  # some optimizers divide by the gradients' norm, which must not be 0
        there = flatten(_moved(tx, params, gradient))
        back = flatten(_moved(tx, jax.tree.map(np.negative, params), gradient))
        if all(np.all(np.isfinite(x)) for x in (*there.values(), *back.values())):
            break
    decays = {}
    for path, leaf in flatten(params).items():
        if isinstance(leaf, optax.MaskedNode):
            continue
        odd = (np.asarray(there[path], np.float64) - back[path]) / 2
        ratios = np.where(np.abs(odd) <= EPSILON * np.abs(leaf), 0.0, -odd / (rate * leaf))  # (STEPS, ...)
        same = np.ptp(ratios) <= 1e-3 * np.abs(ratios).max()
        decays[path] = float(np.median(ratios)) if same else float("nan")
    return decays


def _moved(tx: optax.GradientTransformation, params: Params, gradient: float) -> Tree:
    """The updates of STEPS steps from the same parameters, each (STEPS, ...)."""

    def one(state: Tree, _: None) -> tuple[Tree, Tree]:
        updates, state = step(tx, jax.tree.map(lambda p: jnp.full_like(p, gradient), params), state, params)
        return state, updates

    return jax.tree.map(np.asarray, jax.jit(lambda: jax.lax.scan(one, tx.init(params), length=STEPS)[1])())
