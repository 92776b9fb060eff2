"""Random initial variables, then published arrays in their place, strictly: all differences are an error. And back."""

import dataclasses
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from tljax.core import layer_groups, memory
from tljax.core.errors import WeightsError
from tljax.core.trees import flatten, unflatten
from tljax.core.types import Name, Published, Record, Tree, Variables
from tljax.weights.layouts import published_shape, to_ours, to_theirs

SHOWN = 20  # names of one kind in an error; a wrong architecture would give hundreds
LEVEL = "xla_backend_optimization_level"

Leaf = np.ndarray | jax.ShapeDtypeStruct  # a leaf of variables: an array, or only its shape and dtype
Adapt = Callable[[Mapping[str, np.ndarray], tuple[int, ...], tuple[int, ...]], Mapping[str, np.ndarray]]


def start(
    network: nn.Module,
    example: Tree,
    *,
    seed: int,
    draw: int = 0,
    published: Published | None = None,
    names: Iterable[Name] = (),
    unused: Iterable[str] = (),
    adapt: Adapt | None = None,
    head: bool = False,
    stages: Collection[str] | None = None,
    fresh: Collection[str] = (),
    dtype: str = "float32",
) -> tuple[Variables, tuple[str, ...]]:
    """The initial variables of a run, and the paths of those that are random.

    Random numbers are drawn only for variables without a published array: a pretrained backbone costs none. The
    random values of a path do not depend on which other paths are random.

    Args:
      example: one input, an array (1, ...) or a tree of them; only shapes and dtypes matter.
      draw: the number of the random initialisation for this seed.
      adapt: the family's function that makes published arrays fit inputs of this shape, if it has one.
      head: take the published classifier too, see `place`.
      stages: the backbone's stages that take published arrays; the others are random. Default: all.
      fresh: paths of parameters that no published array is for: a strategy adds them to the network.
      dtype: the dtype of stored parameters; modules compute in their own. Statistics keep their dtype.
    """
    if published is None:
        variables = _stored(init(network, example, seed=seed, draw=draw), dtype)
        return variables, tuple(flatten(variables["params"]))
    if adapt is not None:
        fitting = adapt(published.arrays, jax.tree.map(np.shape, example), published.card.shape)
        published = dataclasses.replace(published, arrays=fitting)
    empty = {collection: flatten(leaves) for collection, leaves in shapes(network, example).items()}
    left = [path for leaves in empty.values() for path in leaves if path in fresh or not _takes(path, stages, head)]
    # Random values come first: XLA needs memory to compile, and published arrays would add to it.
    drawn = init(network, example, seed=seed, draw=draw, only=left) if left else {}
    memory.give_back()
    begin = {c: unflatten(leaves | flatten(drawn.get(c, {}))) for c, leaves in empty.items()}
    return place(_stored(begin, dtype), published, names, unused=unused, head=head, stages=stages, fresh=fresh)


def _stored(variables: Variables, dtype: str) -> Variables:
    """The same variables with parameters (arrays, or shapes) in `dtype`."""

    def stored(leaf: Leaf) -> Leaf:
        shape = isinstance(leaf, jax.ShapeDtypeStruct)
        return leaf.update(dtype=dtype) if shape else leaf.astype(dtype, copy=False)

    return {**variables, "params": jax.tree.map(stored, variables["params"])}


def shapes(network: nn.Module, example: Tree) -> Variables:
    """The variables' shapes and dtypes, without computing them."""
    return dict(jax.eval_shape(network.init, jax.random.key(0), jax.tree.map(jnp.zeros_like, example)))


def features(network: nn.Module, example: Tree) -> Tree:
    """Shapes and dtypes of the head's input, without computing it."""

    def run(key: jax.Array, x: Tree) -> Tree:
        return network.init_with_output(key, x, method="features")[0]

    return jax.eval_shape(run, jax.random.key(0), jax.tree.map(jnp.zeros_like, example))


def init(
    network: nn.Module, example: Tree, *, seed: int, draw: int = 0, only: Iterable[str] | None = None
) -> Variables:
    """Random variables on the host, as numpy arrays: a step that donates its input cannot delete them, as it could
    delete the source of a device_put.

    Args:
      only: the paths to initialise; by default all.
    """
    paths = None if only is None else frozenset(only)
    # Flax derives a module's key from the seed and its path: the head alone gets the same values as in the network.
    start = "head" if paths and all(layer_groups.stage_of(path) == "head" for path in paths) else None
    head_input = features(network, example) if start else example

    def values(key: jax.Array) -> Variables:
        variables = network.init(key, jax.tree.map(jnp.zeros_like, head_input), start=start)
        leaves = {collection: flatten(variables[collection]) for collection in variables}
        return {c: {p: x for p, x in leaves[c].items() if paths is None or p in paths} for c in leaves}

    key = jax.random.key(seed)
    program = jax.jit(values, compiler_options=_once())
    drawn = program(jax.random.fold_in(key, draw) if draw else key)  # XLA removes unused values
    return {collection: unflatten(jax.tree.map(np.array, leaves)) for collection, leaves in drawn.items()}


def _once() -> dict[str, bool | int] | None:
    """Draws run once. To compile them as well as a step takes more than twice as long, and gives the same bits. A level
    in XLA_FLAGS wins.
    """
    return {LEVEL: 1} if jax.default_backend() == "cpu" and LEVEL not in os.environ.get("XLA_FLAGS", "") else None


def place(
    variables: Variables,
    published: Published,
    names: Iterable[Name],
    *,
    unused: Iterable[str] = (),
    head: bool = False,
    stages: Collection[str] | None = None,
    fresh: Collection[str] = (),
) -> tuple[Variables, tuple[str, ...]]:
    """Replace initial arrays by published ones.

    Args:
      names: the family's name table.
      unused: patterns of published tensors that the network does not need.
      head: take the published classifier too; otherwise the head keeps its random values.
      stages: the backbone's stages that take published arrays; by default all.
      fresh: paths of parameters that keep their random values whatever their stage.

    Returns:
      New variables, and the paths that kept their random values.

    Raises:
      WeightsError: tensors are missing, extra, of a wrong shape, integer or not finite, or a variance is negative; one
        error lists them all.
    """
    table = tuple(row for row in names if row.path not in fresh)
    known = {row.published for row in table}
    extra = [name for name in published.arrays if name not in known and not _matches(name, unused)]
    ours = {collection: {p: _own(x) for p, x in flatten(variables[collection]).items()} for collection in variables}
    filled, problems = _fill(ours, [row for row in table if _takes(row.path, stages, head)], published)
    _raise_differences(published, **problems | {"extra": extra})
    random = tuple(path for collection in ours for path in ours[collection] if (collection, path) not in filled)
    unfilled = [path for path in random if layer_groups.stage_of(path) != "head" and _takes(path, stages, head)]
    if unfilled := [path for path in unfilled if path not in fresh]:
        raise WeightsError(f"The name table must cover every parameter; it lacks: {', '.join(unfilled)}.")
    return {collection: unflatten(leaves) for collection, leaves in ours.items()}, random


def publish(variables: Variables, names: Iterable[Name]) -> dict[str, np.ndarray]:
    """The inverse of `place`: a copy of every array under its published name and layout, exactly."""
    ours = {collection: flatten(variables[collection]) for collection in variables}
    return {row.published: to_theirs(np.asarray(ours[row.collection][row.path]), row.layout) for row in names}


def _takes(path: str, stages: Collection[str] | None, head: bool) -> bool:
    """Whether a parameter takes a published array; the others keep their random values."""
    stage = layer_groups.stage_of(path)
    return head if stage == "head" else stages is None or stage in stages


def _fill(
    ours: dict[str, Record], rows: Iterable[Name], published: Published
) -> tuple[set[tuple[str, str]], dict[str, list[str]]]:
    """Put published arrays that fit into `ours`; returns the filled (collection, path), and all faults by kind."""
    filled = set()
    kinds = ("missing", "extra", "wrong", "transposed", "not_floats", "not_finite", "negative_variances")
    problems: dict[str, list[str]] = {kind: [] for kind in kinds}
    for row in rows:
        leaves = ours.get(row.collection, {})
        leaf = _fit(row, published, leaves.get(row.path))
        if isinstance(leaf, np.ndarray):
            leaves[row.path] = leaf
            filled.add((row.collection, row.path))
        else:
            kind, fault = leaf
            problems[kind].append(fault)
    return filled, problems


def _fit(row: Name, published: Published, target: Leaf | None) -> np.ndarray | tuple[str, str]:
    """A copy of the published tensor in the shape and dtype of `target`; or (kind of fault, description)."""
    theirs = published.arrays.get(row.published)
    if theirs is None:
        return "missing", row.published
    must = "absent" if target is None else published_shape(target.shape, row.layout)
    if target is None or theirs.shape != must:
        # It has the layout of another library. The shape of a square kernel would not show this.
        turned = target is not None and sorted(theirs.shape) == sorted(must)
        return "transposed" if turned else "wrong", f"{row.published} {theirs.shape}, must be {must} here"
    if not jnp.issubdtype(theirs.dtype, jnp.floating):  # quantised numbers need their scales
        return "not_floats", f"{row.published} ({theirs.dtype})"
    with np.errstate(over="ignore"):  # a float64 may be larger than any float32
        array = np.array(to_ours(theirs, row.layout, target.shape), dtype=target.dtype, order="C")
    if not _is_finite(array):
        return "not_finite", row.published
    if row.path.endswith("/var") and array.min(initial=0) < 0:  # BatchNorm takes its square root
        return "negative_variances", row.published
    return array


def _is_finite(array: np.ndarray) -> bool:
    """Whether all numbers are finite, without a copy: checks the minimum and the maximum; with a NaN both are NaN."""
    return array.size == 0 or bool(np.isfinite(array.min()) and np.isfinite(array.max()))


def _own(leaf: Leaf) -> Leaf:
    """A copy of an array; a shape is returned unchanged."""
    return np.array(leaf) if isinstance(leaf, np.ndarray) else leaf


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(re.fullmatch(pattern, name) for pattern in patterns)


def _raise_differences(published: Published, **differences: list[str]) -> None:
    if not any(differences.values()):
        return
    lines = [
        f"The weights in '{published.where}' must have the tensors of this network "
        f"(config.model.family, config.model.variant); they differ:"
    ]
    for kind, names in differences.items():
        if names:
            more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            lines.append(f"  {len(names)} {kind.replace('_', ' ')}: {', '.join(names[:SHOWN])}{more}")
    raise WeightsError("\n".join([*lines, "Choose the variant that the file was saved from, or another file."]))
