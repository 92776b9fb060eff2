"""Tasks, one file each: a head, a loss, metrics and an answer.

Logits and a batch go in; losses, exact sums and answers come out.
Nothing in this room may know the backbone, the strategy, or the source of the data.

A task is its file, or the object that the file's `from_training` makes from the training part. Every task has the
functions of `Task`. The other protocols are optional; the flow asks for an optional part by its protocol.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import flax.linen as nn
import jax
import numpy as np
from jax.typing import DTypeLike
from ml_collections import ConfigDict

from tljax.core.types import Batch, Inputs, Json, Name, Published, Totals, Tree, VariantLike
from tljax.networks.backbone import Backbone
from tljax.networks.families import Family
from tljax.networks.network import Built


class Task(Protocol):
    """The functions that training, evaluation and the report call.

    `logits` is the network's output for a batch of B examples: an array (B, ...) or a tree of arrays.
    """

    @property
    def LABEL_KIND(self) -> str:  # noqa: N802 -- a constant of the file
        """The kind of labels that the task learns, one of `Info.labels`; "none": labels are not read."""
        ...

    @property
    def BEST_METRIC(self) -> str:  # noqa: N802
        """The metric in tables, which selects the best epoch: larger is better, at most 1."""
        ...

    def weights(self, config: ConfigDict, labels: np.ndarray | None, classes: Sequence[str]) -> np.ndarray | None:
        """The weight in the loss of an example of each class, (K,) float32; it becomes batch["weight"]. None: all 1.

        Args:
          config: config.task; the task raises an error here for keys that do not apply to it.
          labels: the labels of the training examples; None if they are loaded with each example.
        """
        ...

    def loss(self, logits: Tree, batch: Batch, config: ConfigDict, /) -> jax.Array:
        """The mean loss over the batch, (). It must be the mean of the losses of its parts (devices, micro-batches).

        Args:
          batch: prepared; "label" (B, ...) is of the kind of `Info.labels`, changed with the picture. If pictures are
            mixed (`mixing`), it has "share" and "other" too.
        """
        ...

    def metrics(self, logits: Tree, batch: Batch, /) -> dict[str, jax.Array]:
        """Metrics of a training batch for the log, besides its loss: means over the batch, ()."""
        ...

    def totals(self, logits: Tree, batch: Batch, /) -> dict[str, jax.Array]:
        """Sums over the examples where batch["mask"] is True; they are added over batches and devices."""
        ...

    def per_example(self, logits: Tree, batch: Batch, /) -> dict[str, jax.Array]:
        """Values of every example, (B, ...), for metrics that are not made of sums; {} if all are."""
        ...

    def summarize(self, totals: Totals) -> dict[str, float]:
        """Metrics of a part, on the host, from its sums and the values of all its examples in order.

        They must include `BEST_METRIC` and "examples", the number of examples.
        """
        ...

    def files(self, totals: Totals, stem: Path, *, classes: Sequence[str]) -> None:
        """Write the files of one part, <stem>_<name>."""
        ...


@runtime_checkable
class DependsOnTraining(Protocol):
    """A task that depends on the training part: a dataclass, whose fields are saved in model.json."""

    def from_training(self, config: ConfigDict, labels: np.ndarray | None, classes: Sequence[str]) -> Task:
        """The task for a training part.

        Args:
          labels: the labels of the training examples; None if they are loaded with each example. Of maps, the pixels
            of each example and class, (N, K), if the source has counted them.
        """
        ...

    def restore(self, known: Json) -> Task:
        """The task of a finished run, from its fields in model.json."""
        ...


@runtime_checkable
class Encodes(Protocol):
    """The network's labels differ from the user's, as standardised numbers do."""

    def encode(self, labels: np.ndarray) -> np.ndarray: ...


@runtime_checkable
class HasHead(Protocol):
    """A task with one head for all backbones: what most tasks have."""

    def head(self, outputs: int, /) -> nn.Module:
        """The head: features -> `outputs` logits.

        It is called with the features, say (B, D). If it has an attribute `stages`, names of stages, it is called with
        {stage: output} and the `Mode`.
        """
        ...


@runtime_checkable
class FitsBackbone(Protocol):
    """A task whose head depends on what the backbone's stages give (`stage_maps`)."""

    def head_on(self, backbone: Backbone, outputs: int, /) -> nn.Module:
        """The head, as `HasHead.head` returns it.

        Raises:
          ConfigError: the backbone has no stages that the head could read.
        """
        ...


def head_of(task: Any, outputs: int, backbone: Backbone) -> nn.Module:
    """The head for a backbone, of a task that `HasHead` or `FitsBackbone`."""
    return task.head_on(backbone, outputs) if isinstance(task, FitsBackbone) else task.head(outputs)


@runtime_checkable
class Answers(Protocol):
    """A task with a head (`HasHead` or `FitsBackbone`) that answers for one example: `tljax predict` works."""

    def outputs(self, logits: Tree) -> Tree:
        """Logits of N examples -> the outputs for the user, a sequence of N."""
        ...

    def answer(self, outputs: Tree, classes: Sequence[str], top: int) -> list[tuple[str, float]]:
        """The answer for one example: names and numbers."""
        ...


@runtime_checkable
class Lists(Protocol):
    """Answers that can be listed, a row for each example: <part>_predictions.csv, and the page of a run."""

    def columns(
        self, totals: Totals, classes: Sequence[str], temperature: float
    ) -> Mapping[str, Sequence[object] | np.ndarray]:
        """Label and answer of every example in order, for the user: name of a column -> one value for each example.

        A set is a tuple of names; a file has the separator of the training's table between them.

        Args:
          totals: of a part, as for `summarize`.
          temperature: logits are divided by it first; 1 if the task has none.
        """
        ...


@runtime_checkable
class Tabulates(Protocol):
    """Metrics of each class, for `evaluate` and the page."""

    def per_class(self, totals: Totals, classes: Sequence[str]) -> Mapping[str, Sequence[object] | np.ndarray]:
        """Name of a column -> one value for each class; the first is "class". NaN: undefined."""
        ...


@runtime_checkable
class Ranks(Protocol):
    """A score of every example: the page shows those with the lowest."""

    def scores(self, totals: Totals) -> np.ndarray: ...


@runtime_checkable
class JudgesInOwnSize(Protocol):
    """Answers as large as the picture: test examples are judged in their own size, not in that of the input."""

    def in_own_size(self, maps: Iterable[tuple[np.ndarray, np.ndarray]], classes: int) -> Totals:
        """What takes the place of a part's counts: from the label and the answer (H, W) of each example in order."""
        ...


@runtime_checkable
class HasInterval(Protocol):
    """The interval of `BEST_METRIC` is the task's to say."""

    def interval(self, totals: Totals) -> tuple[float, float] | None:
        """95 %; None if it has none."""
        ...


@runtime_checkable
class Calibrates(Protocol):
    """Probabilities that can be calibrated by one number (Guo et al. 2017, temperature scaling)."""

    def temperature(self, totals: Totals) -> float:
        """The number to divide logits by, fitted to a part that was not used for training."""
        ...


@runtime_checkable
class NamesItsHead(Protocol):
    """A head with published names; parameters without one are called "head.<path with dots>"."""

    def head_names(self) -> Sequence[Name]: ...


@runtime_checkable
class Builds(Protocol):
    """A task with its own network instead of a backbone with a head."""

    def build(
        self,
        family: Family,
        variant: VariantLike,
        published: Published | None,
        /,
        *,
        dtype: DTypeLike,
        bn_axis: str | None,
    ) -> Built: ...


@runtime_checkable
class ChangesInputs(Protocol):
    """A task that changes the prepared inputs of the network."""

    def inputs(self, inputs: Inputs, config: ConfigDict) -> Inputs: ...

    def example(self, example: Tree) -> Tree:
        """One input of the form that `inputs` prepares."""
        ...


@runtime_checkable
class Chooses(Protocol):
    """`train.best` may name other metrics of `summarize` than `BEST_METRIC`."""

    def choices(self, classes: int, /) -> Mapping[str, int]:
        """Metric -> 1 if larger is better, -1 if smaller is better; `BEST_METRIC` too."""
        ...


@runtime_checkable
class HasEntropy(Protocol):
    """Predictions with an entropy: `train.select=entropy` works."""

    def entropy(self, logits: Tree) -> jax.Array:
        """The entropy of each prediction in nats: (B,)."""
        ...
