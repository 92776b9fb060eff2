"""The types that every part of the flow shares."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable

import jax
import numpy as np

from tljax.core.untrusted import Json as Json
from tljax.core.untrusted import Record as Record

# A pytree of any structure: a network's input or output, an optimizer's state. jax's own functions type such trees as
# Any; no narrower type fits an array, a tuple and a dict of arrays.
Tree: TypeAlias = Any
Params = dict[str, Any]  # nested: {"backbone": {stage: ...}, "head": ...}
Variables = dict[str, Params]  # {"params": Params, "batch_stats": ...}: the argument of `nn.Module.apply`
# B stored examples, {"image": (B, H, W, C) uint8, "label": (B, ...), "mask": (B,) bool, ...}; a prepared batch also has
# "inputs", the input of the network.
Batch = dict[str, Any]
# Something of every example of a part, by name, (N, ...).
Rows = Mapping[str, np.ndarray]
# What evaluation has of one part, by name: sums over its examples, (), and values of every example in order, (N, ...).
Totals = dict[str, np.ndarray]
# (batch, key, train) -> the batch with "inputs"; maps and boxes are cropped and flipped with the picture. Pure.
Prepare = Callable[[Batch, jax.Array, bool], Batch]
IGNORED = 255  # in a label map: a pixel of no class; losses and metrics ignore it
NO_BOX = -1.0  # the class of a padding row in a list of boxes


class NetworkSizes(Protocol):
    """The sizes of a network: a frozen dataclass of its family, whose fields are numbers, words and tuples of them."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of the backbone's stages, input first."""
        ...


# A name in the family's table, sizes, or the fields of sizes as a dict from JSON.
VariantLike = str | NetworkSizes | Json


class Split(Protocol):
    """Examples by position: `{"image": uint8 (H, W, C), "label": ..., "id": str}`, or of texts
    `{"text": str, "pair": str, "label": ..., "id": str}`. It may be `HasFiles`, `HasGroups` and `CountsPixels` besides.
    """

    @property
    def labels(self) -> np.ndarray | None: ...  # known without decoding an example; None for maps and boxes

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Record: ...


@runtime_checkable
class HasFiles(Protocol):
    """A split with names of its examples for the user."""

    @property
    def files(self) -> Sequence[str | Path]:
        """The file, or the file and line, of every example, in order; empty if there are none."""
        ...


@runtime_checkable
class CountsPixels(Protocol):
    """A split of maps that knows how many pixels of each class its examples hold."""

    @property
    def pixels(self) -> np.ndarray:
        """(N, K) int64, without the pixels that count for nothing."""
        ...


@runtime_checkable
class HasGroups(Protocol):
    """A split that knows to whom its examples belong, for `data.group`."""

    @property
    def groups(self) -> Sequence[str]:
        """Of every example, in order; empty where this config names no column of them."""
        ...


@dataclasses.dataclass(frozen=True)
class Info:
    """Facts about a data set that hold for all its splits."""

    classes: tuple[str, ...]  # label i is classes[i]; for numbers: the names of the columns; for sets: the members
    source: str  # where the examples came from, for the user
    skipped: tuple[str, ...] = ()  # "path: reason" for every example that was left out
    # The kind of labels. Known for all N examples at once: classes, (N,) int32; numbers, (N, T) float64; sets, (N, K)
    # bool; none, not read. Loaded with each example: maps, (H, W) uint8 in the picture's size, the class of every pixel
    # or IGNORED; boxes, (n, 5) float32, [top, left, bottom, right, class] in pixels of the picture.
    labels: str = "classes"
    notes: tuple[str, ...] = ()  # findings while reading, for the user
    unread: tuple[str, ...] = ()  # names of other splits, which the config does not name
    # Keys of config.data that the source found out from these data. The run's folder keeps them, so that other data,
    # which `evaluate` is given, are read alike.
    settled: Json = dataclasses.field(default_factory=dict)

    @property
    def loaded(self) -> bool:
        """Whether a label is loaded with its picture, and cropped and flipped with it."""
        return self.labels in ("maps", "boxes")


@dataclasses.dataclass(frozen=True)
class Dataset:
    splits: Mapping[str, Split]
    info: Info


@dataclasses.dataclass(frozen=True)
class Inputs:
    """The examples of every part, and the function that prepares a batch of them for the network."""

    parts: dict[str, Any]  # part -> `batches.Examples`
    prepare: Prepare
    augmented: bool  # whether training changes the inputs at random
    notes: tuple[str, ...] = ()  # findings, for the user
    save: Callable[[Path], None] = lambda _: None  # writes other files that predicting needs into a model/ folder
    lists: Mapping[str, str] = dataclasses.field(default_factory=dict)  # name -> content: more files for the run folder
    vocabulary: Any = None  # for texts: a `masking.Vocabulary`


@dataclasses.dataclass(frozen=True)
class Asked:
    """How new examples become inputs of a finished run's network."""

    # A file, a text, or an example of a source -> an example as the run stored them; ValueError if it is unreadable.
    read: Callable[[Any], Any]
    batch: Callable[[Sequence[Any]], Batch]  # examples -> a batch
    prepare: Prepare  # as in `Inputs`
    example: Tree  # one input, (1, ...): only shapes and dtypes matter
    save: Callable[[Path], None] = lambda _: None  # writes other files that another program needs: a tokenizer


@dataclasses.dataclass(frozen=True)
class Card:
    """The facts that are needed to use a set of weights: preprocessing, and their origin.

    Preprocessing: `image / scale`, channels in `channel_order`, then `(x - mean) / std` per channel. If pixels are not
    scaled (Caffe's convention), `std` may be left out; it is then 1.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...] = ()
    scale: float = 255.0
    channel_order: str = "RGB"
    size: int = 0  # pixels on a side of the network's input in the authors' evaluation; 0: unknown
    shape: tuple[int, ...] = ()  # (height, width) of the input, where it is no square
    crop: float = 0.0  # `size` / the shorter side of the resized picture; 0: unknown
    interpolation: str = "bilinear"
    prefix: str = ""  # of a text encoder: what stood before every text in training, such as "query: "
    family: str = ""
    variant: str = ""
    classes: int = 0
    parameters: int = 0
    gflops: float = 0.0  # for one picture of `size`, counted by `flops.count`; 0: not counted
    licence: str = ""
    repository: str = ""
    revision: str = ""  # 40 hex digits, or "" until the first download records it
    file: str = ""
    sha256: str = ""
    sources: Mapping[str, str] = dataclasses.field(default_factory=dict)  # fields -> where their values come from

    def __post_init__(self) -> None:
        if not self.std and self.scale == 1:
            object.__setattr__(self, "std", (1.0,) * len(self.mean))

    def as_dict(self) -> Record:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Published:
    """Arrays under their published names, and their card."""

    arrays: Mapping[str, np.ndarray]
    card: Card
    where: str  # the file they were read from
    config: Json = dataclasses.field(default_factory=dict)  # the network's config.json beside the file


class Arrays(Mapping[str, np.ndarray]):
    """Arrays by name; each is made when it is read, and again at every read."""

    def __init__(self, make: Mapping[str, Callable[[], np.ndarray]]) -> None:
        self._make = dict(make)

    def __getitem__(self, name: str) -> np.ndarray:
        return self._make[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._make)

    def __len__(self) -> int:
        return len(self._make)

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray], changed: Mapping[str, Callable[[], np.ndarray] | None]) -> "Arrays":
        """The same arrays, with those in `changed` replaced; None leaves one out."""
        make = {name: partial(arrays.__getitem__, name) for name in arrays} | dict(changed)
        return cls({name: one for name, one in make.items() if one is not None})


@dataclasses.dataclass(frozen=True)
class Rule:
    """One row of a spelling: a pattern of another library's names, and the names here.

    `name` is called with the groups of `pattern`, numbers as int; None leaves these tensors out. Tensors that get the
    same name are joined along the first axis, in the order of their `part`.
    """

    pattern: str  # a regular expression for whole names
    name: Callable[..., str] | None
    part: int = 0
    change: Callable[[np.ndarray], np.ndarray] | None = None  # to the family's published layout


@dataclasses.dataclass(frozen=True)
class Spelling:
    """Another library's names for the tensors of a family, and the settings in its config that tensors do not show."""

    library: str
    family: str
    rules: tuple[Rule, ...]
    # Field of the family's Variant -> (key in the config, its default; None: it has none); key "": in no config.
    facts: Mapping[str, tuple[str, object]] = dataclasses.field(default_factory=dict)
    must: Json = dataclasses.field(default_factory=dict)  # values that these keys must have, if the config has them
    # `told`: (the config, its path) -> more fields. `arrange`: a change of all tensors that no single rule can make.
    told: Callable[[Json, str], Record] | None = None
    arrange: Callable[[Arrays], Arrays] | None = None


@dataclasses.dataclass(frozen=True)
class Name:
    """One row of a family's name table: a published tensor and the parameter that holds it."""

    published: str  # "layer1.0.conv1.weight"
    collection: str  # "params" or "batch_stats"
    path: str  # "backbone/stage1/block0/conv1/kernel"
    layout: str = "same"  # the order of its axes: a key of layouts.TO_OURS


@dataclasses.dataclass(frozen=True)
class Mode:
    """How a network runs: for training or not, and which modules are frozen.

    `frozen` holds parameter paths ("backbone/stage1", "backbone/stage2/block0/bn1"). A module at or
    below one of them runs as in evaluation: with stored BatchNorm statistics, without dropout.
    """

    train: bool = False
    frozen: frozenset[str] = frozenset()

    def trains(self, path: tuple[str, ...]) -> bool:
        """Whether the module at `path` runs in training mode."""
        prefixes = ("/".join(path[: end + 1]) for end in range(len(path)))
        return self.train and self.frozen.isdisjoint(prefixes)


EVALUATE = Mode(train=False)


@dataclasses.dataclass(frozen=True)
class Phase:
    """One phase of a plan: when it ends, and how fast every group learns.

    `until` is a share of all steps, 1.0 for the last phase. A scale multiplies the optimizer's
    learning rate; 0 means frozen: no update, no gradient, no optimizer state.
    """

    name: str
    until: float
    scales: Mapping[str, float]

    @property
    def learning(self) -> tuple[str, ...]:
        return tuple(group for group, scale in self.scales.items() if scale)
