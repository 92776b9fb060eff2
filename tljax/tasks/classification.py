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
from tljax.reporting import temperatures

LABELS = "classes"  # what a label must be
BEST = "accuracy"  # the metric that stands in tables, and picks the best epoch
LISTED = 100  # classes up to which predictions.csv holds the probability of each
OPTIONS = {
    "label_smoothing": Option(0.0, "Szegedy et al. 2015, section 7.", SHARE),
    **mixing.OPTIONS,
    "class_weights": Option(
        (), 'What an example counts in the loss: balanced, "cat=2" by name, or a number a class.', NUMBERS_BY_NAME
    ),
}


def head(classes: int) -> nn.Module:
    """Features (B, D) to logits (B, K), K classes."""
    return nn.Dense(classes, kernel_init=TORCH_LINEAR)


def loss(logits: jax.Array, batch: Batch, config: ConfigDict) -> jax.Array:
    """Mean cross-entropy over the batch; labels are validated on the host, where the data are read.

    Args:
      batch: "weight" (B,), where there is one, multiplies each example's term; the mean is over B all the same.
        Where pictures are mixed (`mixing`), "share" (B,) is that of the example's own term, the rest is its "other"'s.
      config: the task's own; `label_smoothing` mixes so much of the uniform distribution into every label.
    """
    return mixing.loss(lambda part: _losses(logits.astype(jnp.float32), part, config), batch)


def weights(config: ConfigDict, labels: np.ndarray, classes: Sequence[str]) -> np.ndarray | None:
    """What an example of each class counts in the loss, (K,) float32; None where all count the same.

    "balanced" is N / (K n_k) for n_k of N training examples (King & Zeng 2001, as in scikit-learn). Weights are
    scaled to a mean of 1 over the training examples, so that they change no learning rate; and because they are
    not divided by their sum over a batch, as torch does, the loss of a batch is the mean of its parts'.

    Args:
      labels: of the training examples.

    Raises:
      ConfigError: not one number a class, by name or in their order.
    """
    wanted = tuple(config.class_weights)
    if not wanted:
        return None
    counts = np.bincount(labels, minlength=len(classes))
    balanced = wanted == ("balanced",)
    chosen = 1 / counts if balanced else np.array(numbers_by_name(wanted, classes, "config.task.class_weights"))
    return (chosen * counts.sum() / (chosen * counts).sum()).astype(np.float32)


def entropy(logits: jax.Array) -> jax.Array:
    """How unsure each prediction is, in nats: (B, K) -> (B,)."""
    logs = jax.nn.log_softmax(logits.astype(jnp.float32))
    return -(jnp.exp(logs) * logs).sum(axis=-1)


def choices(classes: int) -> dict[str, int]:
    """What `train.best` may name: 1 where larger is better, -1 where smaller is."""
    larger = ["accuracy", "balanced_accuracy", "f1_macro", "mcc", *["f1"] * (classes == 2)]
    return {"loss": -1, **dict.fromkeys([*larger, *["auroc"] * (classes <= LISTED)], 1)}


def metrics(logits: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    """What is logged of a training batch besides its loss: means over it."""
    return {"accuracy": (logits.argmax(-1) == batch["label"]).mean()}


def sums(logits: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    """Exact sums over the examples where `mask` is set; they add up over batches and devices.

    Returns:
      loss: float32; confusion: (K, K) int32, row = label, column = prediction.
    """
    logits, mask, classes = logits.astype(jnp.float32), batch["mask"], logits.shape[-1]
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
    cell = batch["label"] * classes + logits.argmax(-1)
    confusion = jnp.zeros(classes * classes, jnp.int32).at[cell].add(mask.astype(jnp.int32))
    return {"loss": (losses * mask).sum(), "confusion": confusion.reshape(classes, classes)}


def each(logits: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    """What is kept of every example: its label and what was predicted, (B,) int32; its logits, (B, K) float32."""
    logits = logits.astype(jnp.float32)
    return {"label": batch["label"], "prediction": logits.argmax(-1).astype(jnp.int32), "logits": logits}


def summarize(totals: Totals) -> dict[str, float]:
    """Sums over a split to metrics: loss (nats), accuracy, and what is fair to small classes; and the count.

    balanced_accuracy: the mean of the classes' recalls; f1_macro: the mean of their F1, 2 hits / (labels + found); both
    over the classes that some example of the part has. mcc: the correlation of labels and predictions (Gorodkin 2004),
    0 where either is always the same. auroc: the mean of the areas under the ROC curves of each class against all
    others; of up to `LISTED` classes. f1, of two classes: that of the second.
    """
    confusion = np.asarray(totals["confusion"], np.float64)
    examples, hits = confusion.sum(), np.diag(confusion)
    labels, found = confusion.sum(axis=1), confusion.sum(axis=0)
    present, f1 = labels > 0, 2 * hits / np.maximum(labels + found, 1)
    return {
        "loss": float(totals["loss"]) / int(examples),
        "accuracy": int(hits.sum()) / int(examples),
        "balanced_accuracy": float((hits[present] / labels[present]).mean()),
        "f1_macro": float(f1[present].mean()),
        "mcc": _mcc(hits.sum(), labels, found),
        **({"f1": float(f1[1])} if len(f1) == 2 else {}),
        **({"auroc": _auroc(totals)} if len(f1) <= LISTED and "logits" in totals else {}),
        "examples": int(examples),
    }


def outputs(logits: np.ndarray) -> np.ndarray:
    """Logits (N, K) to what people are told, probabilities; float64 inside."""
    from scipy.special import softmax

    return softmax(np.float64(logits), axis=-1).astype(np.float32)


def answer(outputs: np.ndarray, classes: Sequence[str], top: int) -> list[tuple[str, float]]:
    """What is said of one example: its `top` classes with their probabilities, most probable first."""
    order = np.argsort(-outputs, kind="stable")[:top]
    return [(classes[i], float(outputs[i])) for i in map(int, order)]


def files(totals: Totals, stem: Path, *, classes: Sequence[str]) -> None:
    """Write one part's confusion matrix and report per class: <stem>_confusion.png and so on."""
    from tljax.reporting import figures

    figures.per_class(totals["confusion"], classes, stem.with_name(f"{stem.name}_per_class.csv"))
    figures.confusion(totals["confusion"], classes, stem.with_name(f"{stem.name}_confusion"))


def columns(totals: Totals, classes: Sequence[str], temperature: float) -> Mapping[str, Sequence[object] | np.ndarray]:
    """Label, prediction and its probability; up to `LISTED` classes the probability of each."""
    found = outputs(temperatures.scaled(totals["logits"], temperature))
    said = {
        "label": [classes[i] for i in totals["label"]],
        "prediction": [classes[i] for i in totals["prediction"]],
        "probability": np.take_along_axis(found, totals["prediction"][:, None], axis=1)[:, 0],
    }
    every = {f"p({name})": found[:, i] for i, name in enumerate(classes)} if len(classes) <= LISTED else {}
    return said | every


def temperature(totals: Totals) -> float:
    """What logits are to be divided by, for the probabilities to be as sure as they are right."""
    from scipy.special import log_softmax

    logits, labels = np.asarray(totals["logits"], np.float64), np.asarray(totals["label"])[:, None]
    return temperatures.fit(lambda scaled: -np.take_along_axis(log_softmax(scaled, axis=-1), labels, axis=1), logits)


def _mcc(correct: float, labels: np.ndarray, found: np.ndarray) -> float:
    """Of how many are right, and how often each class is true and is said, (K,) twice."""
    total = labels.sum()
    spread = np.sqrt(total**2 - np.square(labels).sum()) * np.sqrt(total**2 - np.square(found).sum())
    return float((correct * total - labels @ found) / spread) if spread > 0 else 0.0


def _auroc(totals: Totals) -> float:
    """The mean over the classes of the area under the ROC curve of each against all others; 0.5 where nothing tells."""
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
