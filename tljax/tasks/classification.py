"""Single-label classification: a linear head, softmax cross-entropy, accuracy, a confusion matrix."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from tljax import figures
from tljax.layers import TORCH_LINEAR
from tljax.types import Batch

BEST = "accuracy"  # the metric that picks the best epoch and stands in tables: larger is better, at most 1


def head(classes: int) -> nn.Module:
    """Features (B, D) to logits (B, K), K classes."""
    return nn.Dense(classes, kernel_init=TORCH_LINEAR)


def loss(logits: jax.Array, batch: Batch, config: Any) -> jax.Array:
    """Mean cross-entropy over the batch; labels are validated on the host, where the data are read.

    Args:
      config: the task's own; `label_smoothing` mixes so much of the uniform distribution into every label.
    """
    logits = logits.astype(jnp.float32)
    if config.label_smoothing:
        targets = optax.smooth_labels(jax.nn.one_hot(batch["label"], logits.shape[-1]), config.label_smoothing)
        return optax.softmax_cross_entropy(logits, targets).mean()
    return optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"]).mean()


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


def summarize(totals: dict[str, Any]) -> dict[str, float]:
    """Sums over a split to metrics: loss (nats), accuracy in [0, 1], mean accuracy per class, and the count."""
    confusion = np.asarray(totals["confusion"])
    examples, correct = confusion.sum(), np.trace(confusion)
    present = confusion.sum(axis=1) > 0
    per_class = np.diag(confusion)[present] / confusion.sum(axis=1)[present]
    return {
        "loss": float(totals["loss"]) / int(examples),
        "accuracy": int(correct) / int(examples),
        "accuracy_per_class": float(per_class.mean()),
        "examples": int(examples),
    }


def files(totals: dict[str, Any], stem: Path, *, classes: Sequence[str]) -> None:
    """Write the confusion matrix and the report per class of one part, <stem>_confusion.png and so on."""
    figures.per_class(totals["confusion"], classes, stem.with_name(f"{stem.name}_per_class.csv"))
    figures.confusion(totals["confusion"], classes, stem.with_name(f"{stem.name}_confusion"))
