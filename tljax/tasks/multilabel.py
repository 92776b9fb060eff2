"""Multi-label classification: of every label, yes or no; sigmoid cross-entropy, F1, mean average precision."""

import csv
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

from tljax.core.atomic import whole
from tljax.core.options import Option
from tljax.core.types import Batch, Json, Totals
from tljax.data import mixing
from tljax.data.labels import NUMBERS_BY_NAME, numbers_by_name
from tljax.networks.layers import TORCH_LINEAR

LABELS = "sets"  # what a label must be
BEST = "mean_average_precision"  # the metric that stands in tables, and picks the best epoch
OPTIONS = {
    "threshold": Option(0.5, "The probability from which on a label holds.", ("in (0, 1)", lambda x: 0 < x < 1)),
    "pos_weight": Option(
        (), 'What a yes counts: balanced (no / yes), "old=2" by name, or a number a label.', NUMBERS_BY_NAME
    ),
    **mixing.OPTIONS,
}
SEPARATOR = "|"  # between the labels of an example in predictions.csv


def choices(classes: int) -> dict[str, int]:
    """What `train.best` may name: 1 where larger is better, -1 where smaller is."""
    del classes
    larger = (BEST, "f1_micro", "f1_macro", "subset_accuracy", "hamming_accuracy")
    return {"loss": -1, **dict.fromkeys(larger, 1)}


def begin(config: ConfigDict, labels: np.ndarray, classes: Sequence[str]) -> "MultiLabel":
    """The task, once the training part is known.

    Args:
      config: the task's own; `threshold` and `pos_weight` are used.
      labels: of the training examples, (N, K) bool; every label at least once (`splits`).
      classes: names of the labels.

    Raises:
      ConfigError: keys are set that are about classes, or there is not one weight a label.
    """
    wanted, positive = tuple(config.pos_weight), labels.sum(axis=0)
    if wanted in ((), ("balanced",)):
        weights = (len(labels) - positive) / np.maximum(positive, 1) if wanted else np.ones(len(classes))
    else:
        weights = numbers_by_name(wanted, classes, "config.task.pos_weight")
    return MultiLabel(float(config.threshold), tuple(float(weight) for weight in weights))


def restore(known: Json) -> "MultiLabel":
    """The task of a finished run, from what is kept of it."""
    return MultiLabel(known["threshold"], tuple(known["pos_weight"]))


@dataclasses.dataclass(frozen=True)
class MultiLabel:
    """K questions of yes or no about every example, with one head."""

    threshold: float  # the probability from which on the answer is yes
    pos_weight: tuple[float, ...]  # of each label: what a yes counts in the loss, a no counting 1

    LABELS: ClassVar[str] = LABELS
    BEST: ClassVar[str] = BEST
    choices = staticmethod(choices)

    def head(self, classes: int) -> nn.Module:
        """Features (B, D) to logits (B, K), K labels."""
        return nn.Dense(classes, kernel_init=TORCH_LINEAR)

    def weights(self, config: ConfigDict, labels: np.ndarray, classes: Sequence[str]) -> None:
        """All examples count the same."""

    def loss(self, logits: jax.Array, batch: Batch, config: ConfigDict) -> jax.Array:
        """Mean loss over batch and labels; of mixed examples (`mixing`) by the shares of both their labels."""
        del config  # `begin` has read it
        return mixing.loss(partial(self._losses, logits), batch)

    def metrics(self, logits: jax.Array, batch: Batch) -> dict[str, jax.Array]:
        """The share of right answers in a training batch: a mean over examples, which average precision is not."""
        return {"hamming_accuracy": (self._yes(logits) == batch["label"]).mean()}

    def sums(self, logits: jax.Array, batch: Batch) -> dict[str, jax.Array]:
        """Sums over the examples where `mask` is set; they add up over batches and devices.

        Returns:
          loss: float32; examples, exact (all labels right): int32; labels, found, hits: (K,) int32, how often a label
          holds, is said to hold, and both.
        """
        yes, label, mask = self._yes(logits), batch["label"] > 0, batch["mask"]
        inside = mask[:, None]
        return {
            "loss": (self._losses(logits, batch) * mask).sum(),
            "examples": mask.sum(),
            "exact": ((yes == label).all(axis=-1) & mask).sum(),
            "labels": (label & inside).sum(axis=0),
            "found": (yes & inside).sum(axis=0),
            "hits": (yes & label & inside).sum(axis=0),
        }

    def each(self, logits: jax.Array, batch: Batch) -> dict[str, jax.Array]:
        """Labels of every example, (B, K) bool, and their logits, float32."""
        return {"label": batch["label"] > 0, "prediction": logits.astype(jnp.float32)}

    def summarize(self, totals: Totals) -> dict[str, float]:
        """Sums over a split to metrics in [0, 1], loss (nats) and the count.

        mean_average_precision, f1_macro: means over the labels that some example of the part has; f1_micro: of all
        answers together; subset_accuracy: the share of examples with all answers right; hamming_accuracy: of answers.
        """
        labels, found, hits = (np.asarray(totals[name]) for name in ("labels", "found", "hits"))
        examples, present = int(totals["examples"]), labels > 0
        wrong = int((labels + found - 2 * hits).sum())
        precision = _average_precision(totals)[present]
        return {
            "loss": float(totals["loss"]) / examples,
            BEST: float(precision.mean()) if present.any() else 0.0,
            "f1_micro": float(_f1(labels.sum(), found.sum(), hits.sum())),
            "f1_macro": float(_f1(labels, found, hits)[present].mean()) if present.any() else 0.0,
            "subset_accuracy": int(totals["exact"]) / examples,
            "hamming_accuracy": 1 - wrong / (examples * len(labels)),
            "examples": examples,
        }

    def outputs(self, logits: np.ndarray) -> np.ndarray:
        """Logits (N, K) to what people are told, the probability of each label."""
        from scipy.special import expit

        return expit(np.float32(logits))

    def answer(self, outputs: np.ndarray, classes: Sequence[str], top: int) -> list[tuple[str, float]]:
        """What is said of one example: the labels that hold, with their probabilities, most probable first."""
        del top
        order = np.argsort(-outputs, kind="stable")
        return [(classes[i], float(outputs[i])) for i in map(int, order) if outputs[i] >= self.threshold]

    def files(self, totals: Totals, stem: Path, *, classes: Sequence[str]) -> None:
        """Write numbers of each label of one part, <stem>_per_label.csv."""
        labels, found, hits = (np.asarray(totals[name]) for name in ("labels", "found", "hits"))
        columns = (hits / np.maximum(found, 1), hits / np.maximum(labels, 1), _f1(labels, found, hits))
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
        """Sets of labels, true and predicted, and the probability of every label."""
        del temperature  # the threshold is of probabilities as they are
        found, yes = self.outputs(totals["prediction"]), np.asarray(self._yes(totals["prediction"]))
        said = {
            "label": [_named(row, classes) for row in totals["label"]],
            "prediction": [_named(row, classes) for row in yes],
        }
        return said | {f"p({name})": found[:, i] for i, name in enumerate(classes)}

    def _yes(self, logits: jax.Array | np.ndarray) -> jax.Array:
        """(B, K) bool."""
        return jax.nn.sigmoid(jnp.asarray(logits, jnp.float32)) >= self.threshold

    def _losses(self, logits: jax.Array, batch: Batch) -> jax.Array:
        """(B,) binary cross-entropies in nats, the mean over labels; a yes counts its `pos_weight`."""
        label = batch["label"].astype(jnp.float32)
        losses = optax.sigmoid_binary_cross_entropy(logits.astype(jnp.float32), label)
        factors = jnp.where(label > 0, jnp.array(self.pos_weight, jnp.float32)[None], 1.0)
        return (factors * losses).mean(axis=-1)


def _f1(labels: np.ndarray, found: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """2 hits / (labels + found); 0 where there are neither."""
    return 2 * np.asarray(hits) / np.maximum(np.asarray(labels) + found, 1)


def _average_precision(totals: Totals) -> np.ndarray:
    """(K,): precision at every threshold, weighted by the recall it adds; 0 for a label that no example has."""
    from sklearn.metrics import average_precision_score

    label, logits = totals["label"], totals["prediction"]
    return np.array([average_precision_score(label[:, k], logits[:, k]) if label[:, k].any() else 0.0
                     for k in range(label.shape[1])])  # fmt: skip


def _named(row: np.ndarray, classes: Sequence[str]) -> str:
    return SEPARATOR.join(name for name, holds in zip(classes, row, strict=True) if holds)
