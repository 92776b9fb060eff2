"""Multi-label classification: yes or no for every label; sigmoid cross-entropy, F1, mean average precision."""

import csv
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

from tljax.core.atomic import whole
from tljax.core.options import Option
from tljax.core.types import Batch, Json, Totals
from tljax.data import mixing
from tljax.data.labels import NUMBERS_BY_NAME, numbers_by_name
from tljax.networks.layers import TORCH_LINEAR
from tljax.reporting import measures, significance

LABEL_KIND = "sets"  # the kind of labels
BEST_METRIC = "mean_average_precision"  # the metric for tables and for the choice of the best epoch
OPTIONS = {
    "threshold": Option(0.5, "A label is predicted from this probability on.", ("in (0, 1)", lambda x: 0 < x < 1)),
    "pos_weight": Option(
        (), 'Weight of a yes: balanced (no / yes), "old=2" by name, or a number for each label.', NUMBERS_BY_NAME
    ),
    **mixing.OPTIONS,
}


def choices(classes: int) -> dict[str, int]:
    """The metrics that `train.best` may name: 1 if larger is better, -1 if smaller is better."""
    del classes
    larger = (BEST_METRIC, "f1_micro", "f1_macro", "subset_accuracy", "hamming_accuracy")
    return {"loss": -1, **dict.fromkeys(larger, 1)}


def from_training(config: ConfigDict, labels: np.ndarray | None, classes: Sequence[str]) -> "MultiLabel":
    """The task for a training part.

    Args:
      config: config.task; `threshold` and `pos_weight` are used.
      labels: the labels of the training examples, (N, K) bool; every label occurs at least once (`splits`).
      classes: names of the labels.

    Raises:
      ConfigError: keys for classes are set, or there is not one weight for each label.
    """
    assert labels is not None  # sets are known before a picture is decoded
    pos_weight, positive = tuple(config.pos_weight), labels.sum(axis=0)
    if pos_weight in ((), ("balanced",)):
        weights = (len(labels) - positive) / np.maximum(positive, 1) if pos_weight else np.ones(len(classes))
    else:
        weights = numbers_by_name(pos_weight, classes, "config.task.pos_weight")
    return MultiLabel(float(config.threshold), tuple(float(weight) for weight in weights))


def restore(known: Json) -> "MultiLabel":
    """The task of a finished run, from its fields in model.json."""
    return MultiLabel(known["threshold"], tuple(known["pos_weight"]))


@dataclasses.dataclass(frozen=True)
class MultiLabel:
    """Yes or no for each of K labels of every example, with one head."""

    threshold: float  # the answer is yes from this probability on
    pos_weight: tuple[float, ...]  # for each label, the weight of a yes in the loss; that of a no is 1

    LABEL_KIND = LABEL_KIND
    BEST_METRIC = BEST_METRIC
    choices = staticmethod(choices)

    def head(self, classes: int) -> nn.Module:
        """Features (B, D) to logits (B, K), K labels."""
        return nn.Dense(classes, kernel_init=TORCH_LINEAR)

    def weights(self, config: ConfigDict, labels: np.ndarray | None, classes: Sequence[str]) -> None:
        """All examples have the same weight."""

    def loss(self, logits: jax.Array, batch: Batch, config: ConfigDict) -> jax.Array:
        """Mean loss over batch and labels; for mixed examples (`mixing`) weighted by the shares of both label sets."""
        del config  # `from_training` has read it
        return mixing.loss(partial(self._losses, logits), batch)

    def metrics(self, logits: jax.Array, batch: Batch) -> dict[str, jax.Array]:
        """The share of right answers in a training batch (average precision is not a mean over examples)."""
        return {"hamming_accuracy": (self._yes(logits) == batch["label"]).mean()}

    def totals(self, logits: jax.Array, batch: Batch) -> dict[str, jax.Array]:
        """Sums over the examples where `mask` is True; they are added over batches and devices.

        Returns:
          loss: float32; examples, exact (all labels right): int32; labels, found, hits: (K,) int32, how often a label
          is true, is predicted, and both.
        """
        yes, label, mask = self._yes(logits), batch["label"] > 0, batch["mask"]
        inside = mask[:, None]
        return {
            "loss": (self._losses(logits, batch) * mask).sum(),
            "examples": mask.sum(),
            "exact": ((yes == label).all(axis=-1) & mask).sum(),
            "labels": (label & inside).sum(axis=0),
            "predicted": (yes & inside).sum(axis=0),
            "hits": (yes & label & inside).sum(axis=0),
        }

    def per_example(self, logits: jax.Array, batch: Batch) -> dict[str, jax.Array]:
        """Labels of every example, (B, K) bool, and its logits, float32."""
        return {"label": batch["label"] > 0, "prediction": logits.astype(jnp.float32)}

    def summarize(self, totals: Totals) -> dict[str, float]:
        """Sums of a part -> metrics in [0, 1], loss (nats) and the count.

        mean_average_precision, f1_macro: means over the labels that occur in the part; f1_micro: F1 of all answers
        together; subset_accuracy: the share of examples with all answers right; hamming_accuracy: of right answers.
        """
        labels, predicted, hits = (np.asarray(totals[name]) for name in ("labels", "predicted", "hits"))
        examples, present = int(totals["examples"]), labels > 0
        wrong = int((labels + predicted - 2 * hits).sum())
        precision = _average_precision(totals)[present]
        return {
            "loss": float(totals["loss"]) / examples,
            BEST_METRIC: float(precision.mean()) if present.any() else 0.0,
            "f1_micro": float(_f1(labels.sum(), predicted.sum(), hits.sum())),
            "f1_macro": float(_f1(labels, predicted, hits)[present].mean()) if present.any() else 0.0,
            "subset_accuracy": int(totals["exact"]) / examples,
            "hamming_accuracy": 1 - wrong / (examples * len(labels)),
            "examples": examples,
        }

    def interval(self, totals: Totals) -> tuple[float, float] | None:
        """The 95 % interval of the mean average precision, by the bootstrap over examples."""
        label = np.asarray(totals["label"])
        of = measures.average_precision(label, _probabilities(totals["prediction"]))

        def metric(weights: np.ndarray) -> float:
            precisions = of(weights)
            return float(precisions[np.isfinite(precisions)].mean()) if np.isfinite(precisions).any() else 0.0

        return significance.bootstrap(metric, len(label))

    def outputs(self, logits: np.ndarray) -> np.ndarray:
        """Logits (N, K) -> the probability of each label."""
        return _probabilities(logits)

    def answer(self, outputs: np.ndarray, classes: Sequence[str], top: int) -> list[tuple[str, float]]:
        """The answer for one example: the predicted labels with their probabilities, most probable first."""
        del top
        order = np.argsort(-outputs, kind="stable")
        return [(classes[i], float(outputs[i])) for i in map(int, order) if outputs[i] >= self.threshold]

    def files(self, totals: Totals, stem: Path, *, classes: Sequence[str]) -> None:
        """Write numbers of each label of one part, <stem>_per_label.csv."""
        labels, predicted, hits = (np.asarray(totals[name]) for name in ("labels", "predicted", "hits"))
        columns = (hits / np.maximum(predicted, 1), hits / np.maximum(labels, 1), _f1(labels, predicted, hits))
        with (
            whole(stem.with_name(f"{stem.name}_per_label.csv")) as part,
            part.open("w", newline="", encoding="utf-8") as out,
        ):
            rows = csv.writer(out)
            rows.writerow(["label", "precision", "recall", "f1", "average precision", "examples"])
            for name, number, *values in zip(classes, labels, *columns, _average_precision(totals), strict=True):
                rows.writerow([name, *(f"{value:.4f}" for value in values), int(number)])

    def columns(
        self, totals: Totals, classes: Sequence[str], temperature: float
    ) -> Mapping[str, Sequence[object] | np.ndarray]:
        """Sets of labels, true and predicted, each a tuple of names; and the probability of every label."""
        del temperature  # the threshold applies to uncalibrated probabilities
        probabilities, yes = self.outputs(totals["prediction"]), np.asarray(self._yes(totals["prediction"]))
        table = {
            "label": [_named(row, classes) for row in totals["label"]],
            "prediction": [_named(row, classes) for row in yes],
        }
        return table | {f"p({name})": probabilities[:, i] for i, name in enumerate(classes)}

    def _yes(self, logits: jax.Array | np.ndarray) -> jax.Array:
        """(B, K) bool."""
        return jax.nn.sigmoid(jnp.asarray(logits, jnp.float32)) >= self.threshold

    def _losses(self, logits: jax.Array, batch: Batch) -> jax.Array:
        """(B,) binary cross-entropies in nats, the mean over labels; a yes counts its `pos_weight`."""
        label = batch["label"].astype(jnp.float32)
        losses = optax.sigmoid_binary_cross_entropy(logits.astype(jnp.float32), label)
        factors = jnp.where(label > 0, jnp.array(self.pos_weight, jnp.float32)[None], 1.0)
        return (factors * losses).mean(axis=-1)


def _f1(labels: np.ndarray, predicted: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """2 hits / (labels + found); 0 if both are 0."""
    return 2 * np.asarray(hits) / np.maximum(np.asarray(labels) + predicted, 1)


def _average_precision(totals: Totals) -> np.ndarray:
    """(K,): precision at every threshold, weighted by the recall it adds; 0 for a label that no example has."""
    label = np.asarray(totals["label"])
    precision_of = measures.average_precision(label, _probabilities(totals["prediction"]))
    return np.nan_to_num(precision_of(np.ones(len(label))))


def _probabilities(logits: np.ndarray) -> np.ndarray:
    """(N, K) float32. What is written is judged: of logits that are rounded to one probability, none is the larger."""
    from scipy.special import expit

    return expit(np.float32(logits))


def _named(row: np.ndarray, classes: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name, holds in zip(classes, row, strict=True) if holds)
