"""Single-label classification: a linear head, softmax cross-entropy, accuracy, a confusion matrix."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from tljax.core.options import SHARE, Option
from tljax.core.types import Batch, Totals
from tljax.data import mixing
from tljax.data.labels import NUMBERS_BY_NAME, numbers_by_name
from tljax.networks.layers import TORCH_LINEAR
from tljax.reporting import measures, temperatures

LABEL_KIND = "classes"  # the kind of labels
BEST_METRIC = "accuracy"  # the metric for tables and for the choice of the best epoch
LISTED = 100  # with at most this many classes, predictions.csv holds the probability of each class
OPTIONS = {
    "label_smoothing": Option(0.0, "Szegedy et al. 2015, section 7.", SHARE),
    **mixing.OPTIONS,
    "class_weights": Option(
        (), 'Weight of each class in the loss: balanced, "cat=2" by name, or a number for each.', NUMBERS_BY_NAME
    ),
}


def head(classes: int) -> nn.Module:
    """Features (B, D) to logits (B, K), K classes."""
    return nn.Dense(classes, kernel_init=TORCH_LINEAR)


def loss(logits: jax.Array, batch: Batch, config: ConfigDict) -> jax.Array:
    """Mean cross-entropy over the batch; labels were validated on the host, when the data were read.

    Args:
      batch: "weight" (B,), if present, multiplies each example's term; the sum is still divided by B. If pictures are
        mixed (`mixing`), "share" (B,) weights the term of the example's own label, 1 - share that of "other".
      config: config.task; `label_smoothing` is the share of the uniform distribution in every label.
    """
    return mixing.loss(lambda part: _losses(logits.astype(jnp.float32), part, config), batch)


def weights(config: ConfigDict, labels: np.ndarray | None, classes: Sequence[str]) -> np.ndarray | None:
    """The weight in the loss of an example of each class, (K,) float32; None if all weights are equal.

    "balanced" is N / (K n_k) for n_k of N training examples (King & Zeng 2001, as in scikit-learn). Weights are
    scaled to a mean of 1 over the training examples, so that they do not change the learning rate. They are not divided
    by their sum over a batch (as in torch), so the loss of a batch is the mean of the losses of its parts.

    Args:
      labels: the labels of the training examples.

    Raises:
      ConfigError: there is not one number for each class, by name or in their order.
    """
    class_weights = tuple(config.class_weights)
    if not class_weights:
        return None
    assert labels is not None  # classes are known before a picture is decoded
    counts = np.bincount(labels, minlength=len(classes))
    balanced = class_weights == ("balanced",)
    chosen = 1 / counts if balanced else np.array(numbers_by_name(class_weights, classes, "config.task.class_weights"))
    return (chosen * counts.sum() / (chosen * counts).sum()).astype(np.float32)


def entropy(logits: jax.Array) -> jax.Array:
    """The entropy of each prediction in nats: (B, K) -> (B,)."""
    logs = jax.nn.log_softmax(logits.astype(jnp.float32))
    return -(jnp.exp(logs) * logs).sum(axis=-1)


def choices(classes: int) -> dict[str, int]:
    """The metrics that `train.best` may name: 1 if larger is better, -1 if smaller is better."""
    larger = ["accuracy", "balanced_accuracy", "f1_macro", "mcc", *["f1"] * (classes == 2)]
    return {"loss": -1, **dict.fromkeys([*larger, *["auroc"] * (classes <= LISTED)], 1)}


def metrics(logits: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    """Metrics of a training batch for the log, besides its loss: means over the batch."""
    return {"accuracy": (logits.argmax(-1) == batch["label"]).mean()}


def totals(logits: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    """Exact sums over the examples where `mask` is True; they are added over batches and devices.

    Returns:
      loss: float32; labels, found, hits: (K,) int32, how often a class is the label, the prediction, and both.
    """
    logits, mask, classes = logits.astype(jnp.float32), batch["mask"], logits.shape[-1]
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
    label, predicted = batch["label"], logits.argmax(-1)

    def counts(numbers: jax.Array, counted: jax.Array) -> jax.Array:
        return jnp.zeros(classes, jnp.int32).at[numbers].add(counted.astype(jnp.int32))

    return {
        "loss": (losses * mask).sum(),
        "labels": counts(label, mask),
        "predicted": counts(predicted, mask),
        "hits": counts(label, mask & (label == predicted)),
    }


def per_example(logits: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    """Label and predicted class of every example, (B,) int32; its logits, (B, K) float32."""
    logits = logits.astype(jnp.float32)
    return {"label": batch["label"], "prediction": logits.argmax(-1).astype(jnp.int32), "logits": logits}


def summarize(totals: Totals) -> dict[str, float]:
    """Sums of a part -> metrics: loss (nats), accuracy, metrics in which small classes count equally, and the count.

    balanced_accuracy: the mean of the classes' recalls. f1_macro: the mean of their F1, 2 hits / (labels + found). Both
    are over the classes that occur in the part. mcc: the correlation of labels and predictions (Gorodkin 2004), 0 if
    either is constant. auroc: the mean area under the ROC curve of each class against all others, for up to `LISTED`
    classes. f1, for two classes: the F1 of the second.
    """
    labels, predicted, hits = (np.asarray(totals[name], np.float64) for name in ("labels", "predicted", "hits"))
    examples = labels.sum()
    present, f1 = labels > 0, 2 * hits / np.maximum(labels + predicted, 1)
    return {
        "loss": float(totals["loss"]) / int(examples),
        "accuracy": int(hits.sum()) / int(examples),
        "balanced_accuracy": float((hits[present] / labels[present]).mean()),
        "f1_macro": float(f1[present].mean()),
        "mcc": _mcc(hits.sum(), labels, predicted),
        **({"f1": float(f1[1])} if len(f1) == 2 else {}),
        **({"auroc": _auroc(totals)} if len(f1) <= LISTED and "logits" in totals else {}),
        "examples": int(examples),
    }


def outputs(logits: np.ndarray) -> np.ndarray:
    """Logits (N, K) -> probabilities; computed in float64."""
    from scipy.special import softmax

    return softmax(np.float64(logits), axis=-1).astype(np.float32)


def answer(outputs: np.ndarray, classes: Sequence[str], top: int) -> list[tuple[str, float]]:
    """The answer for one example: its `top` classes with their probabilities, most probable first."""
    order = np.argsort(-outputs, kind="stable")[:top]
    return [(classes[i], float(outputs[i])) for i in map(int, order)]


def files(totals: Totals, stem: Path, *, classes: Sequence[str]) -> None:
    """Write one part's report per class; for up to `measures.DRAWN` classes also its confusion matrix."""
    from tljax.reporting import figures

    counts = totals["labels"], totals["predicted"], totals["hits"]
    figures.per_class(*counts, classes=classes, file=stem.with_name(f"{stem.name}_per_class.csv"))
    if len(classes) <= measures.DRAWN:
        matrix = measures.matrix(totals["label"], totals["prediction"], len(classes))
        figures.confusion(matrix, classes, stem.with_name(f"{stem.name}_confusion"))


def columns(totals: Totals, classes: Sequence[str], temperature: float) -> Mapping[str, Sequence[object] | np.ndarray]:
    """Label, prediction and its probability; for up to `LISTED` classes also the probability of each class."""
    probabilities = outputs(temperatures.scaled(totals["logits"], temperature))
    table = {
        "label": [classes[i] for i in totals["label"]],
        "prediction": [classes[i] for i in totals["prediction"]],
        "probability": np.take_along_axis(probabilities, totals["prediction"][:, None], axis=1)[:, 0],
    }
    every = {f"p({name})": probabilities[:, i] for i, name in enumerate(classes)} if len(classes) <= LISTED else {}
    return table | every


def temperature(totals: Totals) -> float:
    """The number to divide logits by, so that the probabilities are calibrated."""
    from scipy.special import log_softmax

    logits, labels = np.asarray(totals["logits"], np.float64), np.asarray(totals["label"])[:, None]
    return temperatures.fit(lambda scaled: -np.take_along_axis(log_softmax(scaled, axis=-1), labels, axis=1), logits)


def _mcc(correct: float, labels: np.ndarray, predicted: np.ndarray) -> float:
    """mcc from the number of right predictions, and the counts of each class in labels and in predictions, (K,)."""
    total = labels.sum()
    spread = np.sqrt(total**2 - np.square(labels).sum()) * np.sqrt(total**2 - np.square(predicted).sum())
    return float((correct * total - labels @ predicted) / spread) if spread > 0 else 0.0


def _auroc(totals: Totals) -> float:
    """The mean over the classes of the area under the ROC curve of each against all others; 0.5 if undefined."""
    from scipy.special import softmax
    from sklearn.metrics import roc_auc_score

    labels, chance = np.asarray(totals["label"]), softmax(np.float64(totals["logits"]), axis=-1)
    some = [k for k in range(chance.shape[1]) if 0 < (labels == k).sum() < len(labels)]
    return float(np.mean([roc_auc_score(labels == k, chance[:, k]) for k in some])) if some else 0.5


def _losses(logits: jax.Array, batch: Batch, config: ConfigDict) -> jax.Array:
    """(B,) cross-entropies in nats, smoothed and weighted."""
    if config.label_smoothing:
        targets = optax.smooth_labels(jax.nn.one_hot(batch["label"], logits.shape[-1]), config.label_smoothing)
        losses = optax.softmax_cross_entropy(logits, targets)
    else:
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
    return losses * batch["weight"] if "weight" in batch else losses
