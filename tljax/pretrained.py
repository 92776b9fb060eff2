"""Initial variables, then pretrained weights on top: strictly, and saying what was left to chance."""

import dataclasses
import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from tljax.errors import ConfigError, WeightsError
from tljax.plugins import find
from tljax.types import Card, Name, Published, Variables, flatten, unflatten

# Files of weights that nobody here reads: "folder/net.pth" means the file, not a hub repository.
UNREADABLE = (".pth", ".pt", ".bin", ".pkl", ".ckpt", ".h5", ".keras", ".msgpack", ".onnx", ".npy")
SHOWN = 20  # names of one kind in an error; a wrong architecture has hundreds

Adapt = Callable[[Mapping[str, np.ndarray], tuple[int, ...]], Mapping[str, np.ndarray]]

# Layout of a published tensor -> axes that make it ours; each is its own inverse's inverse.
# "dense on map" and "channels" are published in another number of axes too: see `published_shape`.
TO_OURS = {"same": None, "conv": (2, 3, 1, 0), "dense": (1, 0), "dense on map": (2, 3, 1, 0), "channels": None}
TO_THEIRS = {"same": None, "conv": (3, 2, 0, 1), "dense": (1, 0), "dense on map": (3, 2, 0, 1), "channels": None}


def source_of(spec: str) -> str:
    """Which file of `tljax/weights/` reads `spec`: "owner/name" is on the hub, all else is a file."""
    path = Path(spec).expanduser()
    suffixes = (*find("weights", "file").SUFFIXES, *UNREADABLE)
    on_hub = re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", spec) and path.suffix.lower() not in suffixes
    return "hub" if on_hub and not path.exists() else "file"


def read(spec: str, *, card: Card | None, lock: Path) -> Published:
    """The arrays and card that `spec` names; `card` serves weights that have none of their own."""
    return find("weights", source_of(spec)).read(spec, card=card, lock=lock)


def read_card(spec: str, *, card: Card | None, lock: Path) -> Card:
    """Only the card, without a download: what a run from scratch needs."""
    return find("weights", source_of(spec)).read_card(spec, card=card, lock=lock)


def start(
    network: nn.Module,
    example: np.ndarray,
    *,
    seed: int,
    published: Published | None = None,
    names: Iterable[Name] = (),
    unused: Iterable[str] = (),
    adapt: Adapt | None = None,
) -> tuple[Variables, tuple[str, ...]]:
    """The variables a run starts from, and the paths that start at random.

    Only what no published array fills is drawn, so a pretrained start costs no random numbers for
    its backbone. The draw of a path does not depend on what else is drawn.

    Args:
      example: one input, (1, ...); only its shape and dtype matter.
      adapt: the family's function that makes published arrays fit inputs of this shape, if it has one.
    """
    if published is None:
        variables = init(network, example, seed=seed)
        return variables, tuple(flatten(variables["params"]))
    if adapt is not None:
        published = dataclasses.replace(published, arrays=adapt(published.arrays, example.shape))
    variables, kept = place(shapes(network, example), published, names, unused=unused)
    drawn = {c: flatten(leaves) for c, leaves in init(network, example, seed=seed, only=kept).items()}
    return {c: unflatten(flatten(leaves) | drawn.get(c, {})) for c, leaves in variables.items()}, kept


def shapes(network: nn.Module, example: np.ndarray) -> Variables:
    """The variables' shapes and dtypes, without computing them."""
    return dict(jax.eval_shape(network.init, jax.random.key(0), jnp.zeros(example.shape, example.dtype)))


def fetch(config: Any, *, wanted: bool) -> tuple[Published | None, Card]:
    """The weights that `config` (the model's) names, where `wanted`, and the card to preprocess by.

    Raises:
      ConfigError: weights are wanted and none are named, or nothing says how pixels are scaled.
    """
    given = Card(**{key: _plain(value) for key, value in config.card.items()}) if config.card.mean else None
    lock = Path(config.lock_file)
    if config.weights and wanted:
        published = read(config.weights, card=given, lock=lock)
        return published, _agreed(published.card, given, config.weights)
    if wanted:
        raise ConfigError(
            "This strategy starts from pretrained weights, and config.model.weights is empty. Name a .safetensors "
            "file, a run's model/ folder or a hub repository, or choose --config.strategy.name=scratch."
        )
    if config.weights:
        return None, _agreed(read_card(config.weights, card=given, lock=lock), given, config.weights)
    if given is None:
        raise ConfigError("Nothing says how pixels are scaled: set config.model.card.mean and config.model.card.std.")
    return None, given


def init(network: nn.Module, example: np.ndarray, *, seed: int, only: Iterable[str] | None = None) -> Variables:
    """Random variables on the host, as numpy: a donating step cannot delete them (a trap of device_put).

    Args:
      only: the paths to draw; by default all.
    """
    wanted = None if only is None else frozenset(only)

    def draw(key: jax.Array) -> Variables:
        variables = network.init(key, jnp.zeros(example.shape, example.dtype))
        leaves = {collection: flatten(variables[collection]) for collection in variables}
        return {c: {p: x for p, x in leaves[c].items() if wanted is None or p in wanted} for c in leaves}

    drawn = jax.jit(draw)(jax.random.key(seed))  # XLA drops what is not wanted
    return {collection: unflatten(jax.tree.map(np.array, leaves)) for collection, leaves in drawn.items()}


def place(
    variables: Variables,
    published: Published,
    names: Iterable[Name],
    *,
    unused: Iterable[str] = (),
    head: bool = False,
) -> tuple[Variables, tuple[str, ...]]:
    """Put published arrays in the place of the initial ones.

    Args:
      names: the family's name table.
      unused: patterns of published tensors that no function of the input needs.
      head: take the published classifier too; otherwise the head keeps its random start.

    Returns:
      New variables, and the paths that kept their random start.

    Raises:
      WeightsError: all missing, extra, wrong-shaped and non-finite tensors, in one message.
    """
    table = tuple(names)
    known = {row.published for row in table}
    extra = [name for name in published.arrays if name not in known and not _matches(name, unused)]
    ours = {collection: {p: _own(x) for p, x in flatten(variables[collection]).items()} for collection in variables}
    filled, problems = _fill(ours, [row for row in table if head or not row.path.startswith("head/")], published)
    _raise_differences(published, **problems | {"extra": extra})
    kept = tuple(path for collection in ours for path in ours[collection] if (collection, path) not in filled)
    unfilled = [path for path in kept if not path.startswith("head/")]
    if unfilled:
        raise WeightsError(f"The name table must cover every parameter; it lacks: {', '.join(unfilled)}.")
    return {collection: unflatten(leaves) for collection, leaves in ours.items()}, kept


def _fill(
    ours: dict[str, dict[str, Any]], rows: Iterable[Name], published: Published
) -> tuple[set[tuple[str, str]], dict[str, list[str]]]:
    """Put what fits into `ours`: the (collection, path) that were filled, and the faults of the rest by kind."""
    filled, problems = set(), {"missing": [], "extra": [], "wrong": [], "not_finite": []}
    for row in rows:
        leaves = ours.get(row.collection, {})
        found = _fit(row, published, leaves.get(row.path))
        if isinstance(found, np.ndarray):
            leaves[row.path] = found
            filled.add((row.collection, row.path))
        else:
            kind, what = found
            problems[kind].append(what)
    return filled, problems


def _fit(row: Name, published: Published, target: Any) -> np.ndarray | tuple[str, str]:
    """The published tensor as `target` wants it, a copy; or the kind of its fault, and which it is."""
    theirs = published.arrays.get(row.published)
    if theirs is None:
        return "missing", row.published
    must = "absent" if target is None else published_shape(target.shape, row.layout)
    if target is None or theirs.shape != must:
        return "wrong", f"{row.published} {theirs.shape}, must be {must} here"
    if not np.isfinite(theirs).all():
        return "not_finite", row.published
    unflattened = theirs.reshape(_axes_moved(target.shape, TO_THEIRS[row.layout]))
    return np.array(_transposed(unflattened, TO_OURS[row.layout]), dtype=target.dtype, order="C")


def publish(variables: Variables, names: Iterable[Name]) -> dict[str, np.ndarray]:
    """The inverse of `place`: a copy of every array under its published name and layout, exactly."""
    ours = {collection: flatten(variables[collection]) for collection in variables}
    return {row.published: _published(np.asarray(ours[row.collection][row.path]), row.layout) for row in names}


def published_shape(shape: tuple[int, ...], layout: str) -> tuple[int, ...]:
    """The shape under which a parameter of `shape` is published.

    A dense layer on a flattened map is published as (out, C H W); ours, (H, W, C, out), tells H and W.
    A vector over the channels of a map is published as (C, 1, 1), for torch to broadcast; ours is (C,).
    """
    moved = _axes_moved(shape, TO_THEIRS[layout])
    if layout == "dense on map":
        return moved[0], math.prod(moved[1:])
    return (*moved, 1, 1) if layout == "channels" else moved


def _published(array: np.ndarray, layout: str) -> np.ndarray:
    moved = np.array(_transposed(array, TO_THEIRS[layout]), order="C")  # a copy; to flatten it needs no second
    return moved.reshape(published_shape(array.shape, layout))


def _agreed(card: Card, given: Card | None, spec: str) -> Card:
    """The weights' own card, which the one in the config must not contradict."""
    if given and (card.mean, card.std) != (given.mean, given.std):
        raise ConfigError(
            f"The weights '{spec}' have a card: mean {card.mean}, std {card.std}; config.model.card says mean "
            f"{given.mean}, std {given.std}. Leave the config's empty: --config.model.card.mean='()' and .std='()'."
        )
    return card


def _plain(value: Any) -> Any:
    return tuple(float(x) for x in value) if isinstance(value, tuple | list) else value


def _own(leaf: Any) -> Any:
    """A copy of an array; a shape that stands for one stays as it is."""
    return np.array(leaf) if isinstance(leaf, np.ndarray) else leaf


def _transposed(array: np.ndarray, axes: tuple[int, ...] | None) -> np.ndarray:
    return array.transpose(axes) if axes else array


def _axes_moved(shape: tuple[int, ...], axes: tuple[int, ...] | None) -> tuple[int, ...]:
    return tuple(shape[axis] for axis in axes or range(len(shape)))


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
