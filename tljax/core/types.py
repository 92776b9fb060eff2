"""The nouns that every part of the flow shares."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable

import jax
import numpy as np

# A pytree whose structure only its maker knows: what a network is given and puts out, an optimizer's state. jax's own
# functions take and give such trees as Any, and no narrower type holds for an array, a tuple and a dict of arrays.
Tree: TypeAlias = Any
Json = Mapping[str, Any]  # one JSON object that is read: a config.json, model.json, what a strategy saw
Record = dict[str, Any]  # one JSON object that is made: result.json, a row of a table
Params = dict[str, Any]  # nested: {"backbone": {stage: ...}, "head": ...}
Variables = dict[str, Params]  # {"params": Params, "batch_stats": ...}: what `nn.Module.apply` takes
# What is stored of B examples, {"image": (B, H, W, C) uint8, "label": (B, ...), "mask": (B,) bool, ...}; once it is
# prepared also "inputs": what the network is given.
Batch = dict[str, Any]
# What evaluation has of one part, by name: sums over its examples, (), and values of every example in order, (N, ...).
Totals = dict[str, np.ndarray]
# (batch, key, train) -> the batch with "inputs", and with labels that have moved with the picture; pure.
Prepare = Callable[[Batch, jax.Array, bool], Batch]
IGNORED = 255  # in a label map: a pixel that belongs to no class; it counts in no loss and no metric
NO_BOX = -1.0  # the class of a row that fills up a list of boxes


class NetworkSizes(Protocol):
    """The sizes of a network: a frozen dataclass of its family, whose fields are numbers, words and tuples of them."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    @property
    def stages(self) -> tuple[str, ...]:
        """Of the backbone, input first."""
        ...


# A name in the family's table, sizes of one's own, or their fields as JSON has them.
VariantLike = str | NetworkSizes | Json


class Split(Protocol):
    """Examples by position: `{"image": uint8 (H, W, C), "label": ..., "id": str}`, or of texts
    `{"text": str, "pair": str, "label": ..., "id": str}`. It may be `HasFiles` and `HasGroups` besides.
    """

    @property
    def labels(self) -> np.ndarray | None: ...  # known without decoding an example; None of maps and boxes

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Record: ...


@runtime_checkable
class HasFiles(Protocol):
    """A split that knows what people call its examples."""

    @property
    def files(self) -> Sequence[str | Path]:
        """Of every example, in order: its file, or file and line; empty where it has none."""
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
    """What holds for every split of a data set."""

    classes: tuple[str, ...]  # label i is classes[i]; of numbers, names of the columns; of sets, their members
    source: str  # where the examples came from, for people
    skipped: tuple[str, ...] = ()  # "path: reason" of every example left out
    # What a label is. Known for all N examples at once: classes, (N,) int32; numbers, (N, T) float64; sets, (N, K)
    # bool; none, not read. Loaded with each example: maps, (H, W) uint8 as large as its picture, the class of every
    # pixel or IGNORED; boxes, (n, 5) float32, [top, left, bottom, right, class] in pixels of the picture.
    labels: str = "classes"
    notes: tuple[str, ...] = ()  # what was found out while reading, for people
    unread: tuple[str, ...] = ()  # names of further splits, which the config does not name

    @property
    def loaded(self) -> bool:
        """Whether a label is read with its picture, and moves with it."""
        return self.labels in ("maps", "boxes")


@dataclasses.dataclass(frozen=True)
class Dataset:
    splits: Mapping[str, Split]
    info: Info


@dataclasses.dataclass(frozen=True)
class Inputs:
    """The examples of every part, and how a batch of them becomes what the network is given."""

    parts: dict[str, Any]  # part -> `batches.Examples`
    prepare: Prepare
    augmented: bool  # whether training sees other inputs than evaluation does
    notes: tuple[str, ...] = ()  # what was found out, for people
    save: Callable[[Path], None] = lambda _: None  # write what else predicting needs into a model/ folder
    lists: Mapping[str, str] = dataclasses.field(default_factory=dict)  # name -> content of further files of the run
    vocabulary: Any = None  # of texts: a `masking.Vocabulary`


@dataclasses.dataclass(frozen=True)
class Asked:
    """How what a finished run is asked about becomes what its network is given."""

    # A file, a text, or an example of a source, as the run's examples were stored; ValueError if it cannot be.
    read: Callable[[Any], Any]
    batch: Callable[[Sequence[Any]], Batch]  # of so many that were read
    prepare: Prepare  # as of `Inputs`
    example: Tree  # one such input, (1, ...): only shapes and dtypes matter
    save: Callable[[Path], None] = lambda _: None  # write what else another program needs: a tokenizer


@dataclasses.dataclass(frozen=True)
class Card:
    """What must be known to use a set of weights: preprocessing, and where they come from.

    `image / scale`, channels in `channel_order`, then `(x - mean) / std`, each per channel. Where pixels are not scaled
    (Caffe's convention) `std` may be left out, and is 1.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...] = ()
    scale: float = 255.0
    channel_order: str = "RGB"
    size: int = 0  # pixels into the network, as its authors evaluate it; 0: unknown
    crop: float = 0.0  # share of the resized picture's shorter side that `size` is; 0: unknown
    interpolation: str = "bilinear"
    family: str = ""
    variant: str = ""
    classes: int = 0
    parameters: int = 0
    gflops: float = 0.0  # of one picture of `size`, as `flops.count` says; 0: not counted
    licence: str = ""
    repository: str = ""
    revision: str = ""  # 40 hex digits, or "" until the first download records it
    file: str = ""
    sha256: str = ""
    sources: Mapping[str, str] = dataclasses.field(default_factory=dict)  # fields -> where they were learned

    def __post_init__(self) -> None:
        if not self.std and self.scale == 1:
            object.__setattr__(self, "std", (1.0,) * len(self.mean))

    def as_dict(self) -> Record:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Published:
    """Arrays under their published names, and the card that belongs to them."""

    arrays: Mapping[str, np.ndarray]
    card: Card
    where: str  # the file they were read from
    config: Json = dataclasses.field(default_factory=dict)  # of the network, as it stands beside the file


class Arrays(Mapping[str, np.ndarray]):
    """Arrays by name, each made when it is asked for, and anew each time."""

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
        """The same arrays, but for those `changed`; None leaves one out."""
        make = {name: partial(arrays.__getitem__, name) for name in arrays} | dict(changed)
        return cls({name: one for name, one in make.items() if one is not None})


@dataclasses.dataclass(frozen=True)
class Rule:
    """One row of a spelling: tensors that another library names so, and what they are called here.

    `name` is called with the groups of `pattern`, numbers as int; None leaves such tensors out. Tensors of
    one name are joined along the first axis, in the order of their `part`.
    """

    pattern: str  # a regular expression for whole names
    name: Callable[..., str] | None
    part: int = 0
    change: Callable[[np.ndarray], np.ndarray] | None = None  # to the layout in which the family is published


@dataclasses.dataclass(frozen=True)
class Spelling:
    """How another library names the tensors of a family, and what its config says that tensors do not show."""

    library: str
    family: str
    rules: tuple[Rule, ...]
    # Field of the family's Variant -> (the config's key, its default there; None: there is none); key "": none says it.
    facts: Mapping[str, tuple[str, object]] = dataclasses.field(default_factory=dict)
    must: Json = dataclasses.field(default_factory=dict)  # what the config must say, where it says it
    # (the config, where it lies) -> more facts; and what no name tells alone: all tensors, once more under other names.
    told: Callable[[Json, str], Record] | None = None
    arrange: Callable[[Arrays], Arrays] | None = None


@dataclasses.dataclass(frozen=True)
class Name:
    """One row of a family's name table: a published tensor and the parameter that holds it."""

    published: str  # "layer1.0.conv1.weight"
    collection: str  # "params" or "batch_stats"
    path: str  # "backbone/stage1/block0/conv1/kernel"
    layout: str = "same"  # how its axes lie: a key of layouts.TO_OURS


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
