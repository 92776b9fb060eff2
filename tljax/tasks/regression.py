"""Regression: one or several numbers an example, standardised by the training part; squared or Huber's loss."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from tljax.core.errors import DataError
from tljax.core.options import NOT_NEGATIVE, Option
from tljax.core.types import Batch, Json, Totals
from tljax.data import mixing
from tljax.networks.layers import TORCH_LINEAR

LABELS = "numbers"  # what a label must be
BEST = "r2"  # the metric that stands in tables, and picks the best epoch
OPTIONS = {
    "huber": Option(0.0, "From so many standard deviations on the loss is linear; 0: squares.", NOT_NEGATIVE),
    **mixing.OPTIONS,
}


def choices(classes: int) -> dict[str, int]:
    """What `train.best` may name: 1 where larger is better, -1 where smaller is."""
    del classes
    return {"loss": -1, "r2": 1, "mse": -1, "mae": -1, "pearson": 1, "spearman": 1}


def begin(config: ConfigDict, labels: np.ndarray, classes: Sequence[str]) -> "Regression":
    """The task, once the training part is known.

    Args:
      config: the task's own; `huber` is used.
      labels: of the training examples, (N, T) in the units of the data.
      classes: names of the targets.

    Raises:
      ConfigError: keys are set that are about classes.
      DataError: a target is the same in every training example.
    """
    labels = np.asarray(labels, np.float64)
    mean, std = labels.mean(axis=0), labels.std(axis=0)
    if constant := [name for name, spread in zip(classes, std, strict=True) if not spread > 0]:
        raise DataError(
            f"Every target must differ between training examples; the same in all {len(labels)}: "
            f"{', '.join(constant)}. Choose other columns with config.data.columns.label, or more examples."
        )
    return Regression(tuple(classes), tuple(mean.tolist()), tuple(std.tolist()), float(config.huber))


def restore(known: Json) -> "Regression":
    """The task of a finished run, from what is kept of it."""
    return Regression(tuple(known["names"]), tuple(known["mean"]), tuple(known["std"]), known["huber"])


@dataclasses.dataclass(frozen=True)
class Regression:
    """The network sees targets less the training part's mean, over its deviation; people see them in their units."""

    names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    huber: float  # deviations beyond which the loss is linear; 0: it never is

    LABELS: ClassVar[str] = LABELS
    BEST: ClassVar[str] = BEST
    choices = staticmethod(choices)

    def encode(self, labels: np.ndarray) -> np.ndarray:
        """Targets (N, T) in their units to float32 (N, T), standardised."""
        return ((np.asarray(labels, np.float64) - self.mean) / self.std).astype(np.float32)

    def decode(self, values: np.ndarray) -> np.ndarray:
        """The inverse of `encode`, (..., T) float64."""
        return np.asarray(values, np.float64) * self.std + self.mean

    def head(self, classes: int) -> nn.Module:
        """Features (B, D) to standardised targets (B, T)."""
        return nn.Dense(classes, kernel_init=TORCH_LINEAR)

    def weights(self, config: ConfigDict, labels: np.ndarray, classes: Sequence[str]) -> None:
        """All examples count the same."""

    def loss(self, logits: jax.Array, batch: Batch, config: ConfigDict) -> jax.Array:
        """Mean loss over batch and targets; of mixed examples (`mixing`) by the shares of both their targets."""
        del config  # `begin` has read it
        return mixing.loss(partial(self._losses, logits), batch)

    def metrics(self, logits: jax.Array, batch: Batch) -> dict[str, jax.Array]:
        """R^2 of a training batch against the training part's variance, which is 1: so it is a mean over examples."""
        return {BEST: 1 - jnp.square(logits.astype(jnp.float32) - batch["label"]).mean()}

    def sums(self, logits: jax.Array, batch: Batch) -> dict[str, jax.Array]:
        """Sums over the examples where `mask` is set: of losses, float32, and of examples, int32."""
        return {"loss": (self._losses(logits, batch) * batch["mask"]).sum(), "examples": batch["mask"].sum()}

    def each(self, logits: jax.Array, batch: Batch) -> dict[str, jax.Array]:
        """Target and prediction of every example, (B, T) float32, standardised."""
        return {"label": batch["label"], "prediction": logits.astype(jnp.float32)}

    def summarize(self, totals: Totals) -> dict[str, float]:
        """Metrics of a part in the targets' units, the mean over targets; of several, those of each one too.

        r2: 1 - squared error over the variance in this part (1 or 0 where that is 0); mse; mae; pearson; spearman
        (Pearson's of ranks, equal ones averaged: Spearman 1904). A correlation with what never changes is 0.
        """
        found = {name: measure(self.decode(totals["label"]), self.decode(totals["prediction"]))
                 for name, measure in MEASURES.items()}  # fmt: skip
        one_each = {f"{metric}/{target}": float(value) for metric, values in found.items()
                    for target, value in zip(self.names, values, strict=True)}  # fmt: skip
        examples = int(totals["examples"])
        return {
            "loss": float(totals["loss"]) / examples,
            **{metric: float(values.mean()) for metric, values in found.items()},
            **(one_each if len(self.names) > 1 else {}),
            "examples": examples,
        }

    def outputs(self, logits: np.ndarray) -> np.ndarray:
        """Standardised targets (N, T) to what people are told, in the targets' units."""
        return self.decode(logits)

    def answer(self, outputs: np.ndarray, classes: Sequence[str], top: int) -> list[tuple[str, float]]:
        """What is said of one example: every target and its value."""
        del top
        return [(name, float(value)) for name, value in zip(classes, outputs, strict=True)]

    def files(self, totals: Totals, stem: Path, *, classes: Sequence[str]) -> None:
        """Draw one part's targets and predictions in their units, <stem>_scatter.png."""
        from tljax.reporting import figures

        labels, found = self.decode(totals["label"]), self.decode(totals["prediction"])
        figures.scatter(labels, found, classes, stem.with_name(f"{stem.name}_scatter.png"))

    def columns(
        self, totals: Totals, classes: Sequence[str], temperature: float
    ) -> Mapping[str, Sequence[object] | np.ndarray]:
        """Every target and its prediction in their units, seven digits: those of float32."""
        del temperature  # a number has none
        said = {"": self.decode(totals["label"]), " predicted": self.decode(totals["prediction"])}
        return {
            f"{name}{which}": [f"{value:.7g}" for value in values[:, i]]
            for which, values in said.items()
            for i, name in enumerate(classes)
        }

    def _losses(self, logits: jax.Array, batch: Batch) -> jax.Array:
        """(B,) squared errors, or Huber's (1964): e^2 / 2 up to `huber`, linear beyond; the mean over targets."""
        logits = logits.astype(jnp.float32)
        if self.huber:
            return optax.losses.huber_loss(logits, batch["label"], delta=self.huber).mean(axis=-1)
        return jnp.square(logits - batch["label"]).mean(axis=-1)


def _r2(labels: np.ndarray, found: np.ndarray) -> np.ndarray:
    """(N, T) twice -> (T,), as all measures here."""
    error, spread = np.square(labels - found).sum(axis=0), np.square(labels - labels.mean(axis=0)).sum(axis=0)
    return np.where(spread > 0, 1 - error / np.where(spread > 0, spread, 1), error == 0)


def _pearson(labels: np.ndarray, found: np.ndarray) -> np.ndarray:
    ours, theirs = (x - x.mean(axis=0) for x in (labels, found))
    norm = np.linalg.norm(ours, axis=0) * np.linalg.norm(theirs, axis=0)
    return np.where(norm > 0, (ours * theirs).sum(axis=0) / np.where(norm > 0, norm, 1), 0.0)


def _spearman(labels: np.ndarray, found: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    return _pearson(rankdata(labels, axis=0), rankdata(found, axis=0))


MEASURES = {
    "r2": _r2,
    "mse": lambda labels, found: np.square(labels - found).mean(axis=0),
    "mae": lambda labels, found: np.abs(labels - found).mean(axis=0),
    "pearson": _pearson,
    "spearman": _spearman,
}
