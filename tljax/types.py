"""The nouns that every part of the flow shares."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

import jax
import numpy as np

Params = dict[str, Any]  # nested: {"backbone": {stage: ...}, "head": ...}
Variables = dict[str, Any]  # {"params": Params, "batch_stats": ...}: what `nn.Module.apply` takes
Batch = dict[str, Any]  # {"image": (B, H, W, C) uint8, "label": (B,) int32, "mask": (B,) bool, ...}


class Split(Protocol):
    """Examples by position. `split[i]` is `{"image": uint8 (H, W, C), "label": int, "id": str}`."""

    @property
    def labels(self) -> np.ndarray: ...  # (N,) int32, known without decoding an example

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> dict[str, Any]: ...


@dataclasses.dataclass(frozen=True)
class Info:
    """What holds for every split of a data set."""

    classes: tuple[str, ...]  # label i is classes[i]
    source: str  # where the examples came from, for people
    skipped: tuple[str, ...] = ()  # "path: reason" of every example left out


@dataclasses.dataclass(frozen=True)
class Dataset:
    splits: Mapping[str, Split]
    info: Info


@dataclasses.dataclass(frozen=True)
class Card:
    """What must be known to use a set of weights: preprocessing, and where they come from.

    `image / scale`, channels in `channel_order`, then `(x - mean) / std`, each per channel.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float = 255.0
    channel_order: str = "RGB"
    size: int = 0  # pixels into the network when it was trained; 0: unknown
    interpolation: str = "bilinear"
    family: str = ""
    variant: str = ""
    classes: int = 0
    parameters: int = 0
    licence: str = ""
    repository: str = ""
    revision: str = ""  # 40 hex digits, or "" until the first download records it
    file: str = ""
    sha256: str = ""

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Published:
    """Arrays under their published names, and the card that belongs to them."""

    arrays: Mapping[str, np.ndarray]
    card: Card
    where: str  # the file they were read from


@dataclasses.dataclass(frozen=True)
class Name:
    """One row of a family's name table: a published tensor and the parameter that holds it."""

    published: str  # "layer1.0.conv1.weight"
    collection: str  # "params" or "batch_stats"
    path: str  # "backbone/stage1/block0/conv1/kernel"
    layout: str = "same"  # how its axes lie: a key of pretrained.TO_OURS


@dataclasses.dataclass(frozen=True)
class Mode:
    """How a network runs: training or not, and which modules stay as they were pretrained.

    `frozen` holds parameter paths ("backbone/stage1", "backbone/stage2/block0/bn1"). A module at or
    below one of them runs as in evaluation: stored BatchNorm statistics, no dropout.
    """

    train: bool = False
    frozen: frozenset[str] = frozenset()

    def trains(self, path: tuple[str, ...]) -> bool:
        """Whether the module at `path` runs in training mode."""
        prefixes = ("/".join(path[: end + 1]) for end in range(len(path)))
        return self.train and self.frozen.isdisjoint(prefixes)


EVALUATE = Mode(train=False)


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"a": {"b": x}}` as `{"a/b": x}`: every leaf under its path."""
    leaves = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            leaves |= flatten(value, f"{prefix}{key}/")
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves


def unflatten(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `flatten`."""
    tree: dict[str, Any] = {}
    for path, value in leaves.items():
        *parents, last = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return tree


def count(tree: Any) -> int:
    """Number of elements over all leaves."""
    return sum(int(np.prod(np.shape(leaf))) for leaf in jax.tree.leaves(tree))


@dataclasses.dataclass(frozen=True)
class Phase:
    """One row of a plan: until when, and how fast every group learns.

    `until` is a share of all steps, 1.0 for the last phase. A scale multiplies the optimizer's
    learning rate; 0 means frozen: no update, no gradient, no optimizer state.
    """

    name: str
    until: float
    scales: Mapping[str, float]

    @property
    def learning(self) -> tuple[str, ...]:
        return tuple(group for group, scale in self.scales.items() if scale)
