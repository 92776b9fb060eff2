"""Regression: one or more numbers for each example, standardised by the training part; squared or Huber's loss."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

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
from tljax.reporting import significance

LABEL_KIND = "numbers"  # the kind of labels
BEST_METRIC = "r2"  # the metric for tables and for the choice of the best epoch
OPTIONS = {
    "huber": Option(0.0, "The loss is linear from this many standard deviations on; 0: squared error.", NOT_NEGATIVE),
    **mixing.OPTIONS,
}


def choices(classes: int) -> dict[str, int]:
    """The metrics that `train.best` may name: 1 if larger is better, -1 if smaller is better."""
    del classes
    return {"loss": -1, "r2": 1, "mse": -1, "mae": -1, "pearson": 1, "spearman": 1}


def from_training(config: ConfigDict, labels: np.ndarray | None, classes: Sequence[str]) -> "Regression":
    """The task for a training part.

    Args:
      config: config.task; `huber` is used.
      labels: the labels of the training examples, (N, T) in the units of the data.
      classes: names of the targets.

    Raises:
      ConfigError: keys for classes are set.
      DataError: a target is the same in every training example.
    """
    labels = np.asarray(labels, np.float64)
    mean, std = labels.mean(axis=0), labels.std(axis=0)
    if constant := [name for name, spread in zip(classes, std, strict=True) if not spread > 0]:
        raise DataError(
            f"Every target must differ between training examples; these are the same in all {len(labels)}: "
            f"{', '.join(constant)}. Choose other columns with config.data.columns.label, or more examples."
        )
    return Regression(tuple(classes), tuple(mean.tolist()), tuple(std.tolist()), float(config.huber))


def restore(known: Json) -> "Regression":
    """The task of a finished run, from its fields in model.json."""
    return Regression(tuple(known["names"]), tuple(known["mean"]), tuple(known["std"]), known["huber"])


@dataclasses.dataclass(frozen=True)
class Regression:
    """The network's targets are standardised by the training part; the user sees them in their own units."""

    names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    huber: float  # the loss is linear beyond this many standard deviations; 0: never

    LABEL_KIND = LABEL_KIND
    BEST_METRIC = BEST_METRIC
    choices = staticmethod(choices)

    def encode(self, labels: np.ndarray) -> np.ndarray:
        """Targets (N, T) in their units to float32 (N, T), standardised."""
        return ((np.asarray(labels, np.float64) - self.mean) / self.std).astype(np.float32)

    def decode(self, values: np.ndarray) -> np.ndarray:
        """The inverse of `encode`, (..., T) float64."""
        return np.asarray(values, np.float64) * self.std + self.mean

    def rounded(self, values: np.ndarray) -> np.ndarray:
        """`decode`d numbers (..., T) without digits that float32 does not hold: to a ten-millionth of the spread."""
        columns = np.moveaxis(np.asarray(values, np.float64), -1, 0)
        places = 7 - np.ceil(np.log10(self.std)).astype(int)
        rounded = [np.round(column, place) for column, place in zip(columns, places.tolist(), strict=True)]
        return np.stack(rounded, axis=-1)

    def head(self, classes: int) -> nn.Module:
        """Features (B, D) to standardised targets (B, T)."""
        return nn.Dense(classes, kernel_init=TORCH_LINEAR)

    def weights(self, config: ConfigDict, labels: np.ndarray | None, classes: Sequence[str]) -> None:
        """All examples have the same weight."""

    def loss(self, logits: jax.Array, batch: Batch, config: ConfigDict) -> jax.Array:
        """Mean loss over batch and targets; for mixed examples (`mixing`) weighted by the shares of both targets."""
        del config  # `from_training` has read it
        return mixing.loss(partial(self._losses, logits), batch)

    def metrics(self, logits: jax.Array, batch: Batch) -> dict[str, jax.Array]:
        """R^2 of a training batch with the training part's variance, which is 1: so it is a mean over examples."""
        return {BEST_METRIC: 1 - jnp.square(logits.astype(jnp.float32) - batch["label"]).mean()}

    def totals(self, logits: jax.Array, batch: Batch) -> dict[str, jax.Array]:
        """Sums over the examples where `mask` is True: losses, float32, and the number of examples, int32."""
        return {"loss": (self._losses(logits, batch) * batch["mask"]).sum(), "examples": batch["mask"].sum()}

    def per_example(self, logits: jax.Array, batch: Batch) -> dict[str, jax.Array]:
        """Target and prediction of every example, (B, T) float32, standardised."""
        return {"label": batch["label"], "prediction": logits.astype(jnp.float32)}

    def summarize(self, totals: Totals) -> dict[str, float]:
        """Metrics of a part in the targets' units: means over targets, and, if there are several, those of each target.

        r2: 1 - squared error / variance in this part (1 or 0 if the variance is 0); mse; mae; pearson; spearman
        (Pearson's of ranks, with the mean rank of ties: Spearman 1904). The correlation with a constant is 0.
        """
        by_metric = {name: measure(self.decode(totals["label"]), self.decode(totals["prediction"]))
                 for name, measure in MEASURES.items()}  # fmt: skip
        one_each = {f"{metric}/{target}": float(value) for metric, values in by_metric.items()
                    for target, value in zip(self.names, values, strict=True)}  # fmt: skip
        examples = int(totals["examples"])
        return {
            "loss": float(totals["loss"]) / examples,
            **{metric: float(values.mean()) for metric, values in by_metric.items()},
            **(one_each if len(self.names) > 1 else {}),
            "examples": examples,
        }

    def interval(self, totals: Totals) -> tuple[float, float] | None:
        """The 95 % interval of R^2, by the bootstrap over examples."""
        labels, predictions = (np.asarray(totals[name], np.float64) for name in ("label", "prediction"))

        def metric(weights: np.ndarray) -> float:
            count = weights.sum()
            spread = weights @ np.square(labels) - np.square(weights @ labels) / count
            error = weights @ np.square(labels - predictions)
            return float(np.mean(np.where(spread > 0, 1 - error / np.where(spread > 0, spread, 1), error == 0)))

        return significance.bootstrap(metric, len(labels))

    def outputs(self, logits: np.ndarray) -> np.ndarray:
        """Standardised targets (N, T) -> numbers in the targets' units, `rounded`."""
        return self.rounded(self.decode(logits))

    def answer(self, outputs: np.ndarray, classes: Sequence[str], top: int) -> list[tuple[str, float]]:
        """The answer for one example: every target and its value."""
        del top
        return [(name, float(value)) for name, value in zip(classes, outputs, strict=True)]

    def files(self, totals: Totals, stem: Path, *, classes: Sequence[str]) -> None:
        """Draw one part's targets and predictions in their units, <stem>_scatter.png."""
        from tljax.reporting import figures

        labels, predictions = self.decode(totals["label"]), self.decode(totals["prediction"])
        figures.scatter(labels, predictions, classes, stem.with_name(f"{stem.name}_scatter.png"))

    def columns(
        self, totals: Totals, classes: Sequence[str], temperature: float
    ) -> Mapping[str, Sequence[object] | np.ndarray]:
        """Every target and its prediction in their units, `rounded`."""
        del temperature  # only probabilities have one
        pairs = {"": self.decode(totals["label"]), " predicted": self.decode(totals["prediction"])}
        return {
            f"{name}{which}": [f"{value:.15g}" for value in self.rounded(values)[:, i]]
            for which, values in pairs.items()
            for i, name in enumerate(classes)
        }

    def _losses(self, logits: jax.Array, batch: Batch) -> jax.Array:
        """(B,) squared errors, or Huber's (1964): e^2 / 2 up to `huber`, linear beyond; the mean over targets."""
        logits = logits.astype(jnp.float32)
        if self.huber:
            return optax.losses.huber_loss(logits, batch["label"], delta=self.huber).mean(axis=-1)
        return jnp.square(logits - batch["label"]).mean(axis=-1)


def _r2(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Two (N, T) -> (T,), as all measures here."""
    error, spread = np.square(labels - predictions).sum(axis=0), np.square(labels - labels.mean(axis=0)).sum(axis=0)
    return np.where(spread > 0, 1 - error / np.where(spread > 0, spread, 1), error == 0)


def _pearson(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    ours, theirs = (x - x.mean(axis=0) for x in (labels, predictions))
    norm = np.linalg.norm(ours, axis=0) * np.linalg.norm(theirs, axis=0)
    return np.where(norm > 0, (ours * theirs).sum(axis=0) / np.where(norm > 0, norm, 1), 0.0)


def _spearman(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    return _pearson(rankdata(labels, axis=0), rankdata(predictions, axis=0))


MEASURES = {
    "r2": _r2,
    "mse": lambda labels, found: np.square(labels - found).mean(axis=0),
    "mae": lambda labels, found: np.abs(labels - found).mean(axis=0),
    "pearson": _pearson,
    "spearman": _spearman,
}
