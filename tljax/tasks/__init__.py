"""WHAT is asked of a network: a file here is a task, with a head, a loss, metrics and an answer.

Logits and a batch go in; losses, exact sums and answers come out.
Nothing in here may know the backbone, the strategy, or where the data come from.

A task is its file, or the object that the file's `begin` makes of the training part. `Task` is what each has; the other
protocols are parts that a task may have, and the flow asks for them by these types.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import flax.linen as nn
import jax
import numpy as np
from jax.typing import DTypeLike
from ml_collections import ConfigDict

from tljax.core.types import Batch, Inputs, Json, Name, Published, Totals, Tree, VariantLike
from tljax.networks.families import Family
from tljax.networks.network import Built


class Task(Protocol):
    """What training, evaluation and report ask.

    `logits` are what the network puts out of a batch of B examples: an array (B, ...) or a tree of them.
    """

    LABELS: str  # what a label must be, see `Info.labels`; none: they are not read
    BEST: str  # the metric that stands in tables, and picks the best epoch: larger is better, at most 1

    def weights(self, config: ConfigDict, labels: np.ndarray | None, classes: Sequence[str]) -> np.ndarray | None:
        """What an example of each class counts in the loss, (K,) float32, put beside it as batch["weight"]; None: 1.

        Args:
          config: the task's own; here the task refuses keys that it has no use for.
          labels: of the training examples; None where they are loaded with each example.
        """
        ...

    def loss(self, logits: Tree, batch: Batch, config: ConfigDict) -> jax.Array:
        """The mean over the batch, (), so that it is the mean of the parts' on several devices and in micro-batches.

        Args:
          batch: prepared: "label" is what `Info.labels` says, (B, ...), moved with the picture. Where pictures are
            mixed (`mixing`), with "share" and "other".
        """
        ...

    def metrics(self, logits: Tree, batch: Batch) -> dict[str, jax.Array]:
        """What is logged of a training batch besides its loss: means over it, ()."""
        ...

    def sums(self, logits: Tree, batch: Batch) -> dict[str, jax.Array]:
        """What adds up over batches and devices, over the examples where batch["mask"] is set."""
        ...

    def each(self, logits: Tree, batch: Batch) -> dict[str, jax.Array]:
        """What is kept of every example, (B, ...), where a metric does not add up; {} where all do."""
        ...

    def summarize(self, totals: Totals) -> dict[str, float]:
        """Sums over a part, and the values of all its examples in order, to metrics, on the host.

        `BEST` and "examples", the count, must be among them.
        """
        ...

    def files(self, totals: Totals, stem: Path, *, classes: Sequence[str]) -> None:
        """Write what is to be kept of one part, <stem>_<name>."""
        ...


@runtime_checkable
class Begins(Protocol):
    """A file whose task knows the training part; what it keeps of that, a dataclass, stands in model.json."""

    def begin(self, config: ConfigDict, labels: np.ndarray | None, classes: Sequence[str]) -> Task:
        """The task, once the training part is known.

        Args:
          labels: of the training examples; None where they are loaded with each example.
        """
        ...

    def restore(self, known: Json) -> Task:
        """The task of a finished run, from what is kept of it."""
        ...


@runtime_checkable
class Encodes(Protocol):
    """The network sees other labels than people do."""

    def encode(self, labels: np.ndarray) -> np.ndarray: ...


@runtime_checkable
class Answers(Protocol):
    """A task with a head for an example, whose runs can be asked: `tljax predict`."""

    def head(self, outputs: int, /) -> nn.Module:
        """What the backbone puts out to logits, for so many classes.

        It is called with the features, say (B, D). With an attribute `stages`, names of stages, it is called with
        {stage: output} and the `Mode`.
        """
        ...

    def outputs(self, logits: Tree) -> Tree:
        """Logits of N examples to what people are told of each, a sequence of N."""
        ...

    def answer(self, outputs: Tree, classes: Sequence[str], top: int) -> list[tuple[str, float]]:
        """What is said of one example: names and numbers."""
        ...


@runtime_checkable
class Lists(Protocol):
    """Answers that can be listed, a row an example: <part>_predictions.csv, and the page of a run."""

    def columns(
        self, totals: Totals, classes: Sequence[str], temperature: float
    ) -> Mapping[str, Sequence[object] | np.ndarray]:
        """Label and answer of every example in order, for people: name of a column -> a value an example.

        Args:
          totals: of a part, as `summarize` takes them.
          temperature: by which logits are divided first; 1 where the task has none.
        """
        ...


@runtime_checkable
class Calibrates(Protocol):
    """Probabilities that one number makes as sure as they are right (Guo et al. 2017, temperature scaling)."""

    def temperature(self, totals: Totals) -> float:
        """What logits are to be divided by, fitted to a part that nothing was learned from."""
        ...


@runtime_checkable
class NamesItsHead(Protocol):
    """Published names for parameters of the head; all others are called "head.<path with dots>"."""

    def head_names(self) -> Sequence[Name]: ...


@runtime_checkable
class Builds(Protocol):
    """A task with a network of its own, in the place of the backbone with a head."""

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
    """The network is given something else than what the inputs prepare."""

    def inputs(self, found: Inputs, config: ConfigDict) -> Inputs: ...

    def example(self, found: Tree) -> Tree:
        """One input as `inputs` prepares it."""
        ...


@runtime_checkable
class Chooses(Protocol):
    """`train.best` may name other metrics of `summarize` than `BEST`."""

    def choices(self, classes: int, /) -> Mapping[str, int]:
        """Metric -> 1 where larger is better, -1 where smaller is; `BEST` too."""
        ...


@runtime_checkable
class HasEntropy(Protocol):
    """Predictions of which one can say how unsure they are: `train.select=entropy`."""

    def entropy(self, logits: Tree) -> jax.Array:
        """In nats: (B,)."""
        ...
