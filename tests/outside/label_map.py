"""A task of one's own, outside the package: the class of every pixel, by a head that reads several stages."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from tljax.core.types import IGNORED, Batch, Mode
from tljax.networks.layers import BatchNorm

LABEL_KIND = "maps"
BEST_METRIC = "mean_iou"
WIDTH = 16
CLASSES = 2  # ground, and what stands on it


class Head(nn.Module):
    """Every stage's map, made equally wide and as large as the first one, added up: (B, h, w, K)."""

    outputs: int
    stages: tuple[str, ...] = ("stage1", "stage2", "stage3", "stage4")

    @nn.compact
    def __call__(self, maps: dict[str, jax.Array], mode: Mode) -> jax.Array:
        batch, height, width, _ = maps[self.stages[0]].shape
        wide = [nn.Dense(WIDTH, name=stage)(maps[stage]) for stage in self.stages]
        y = sum(jax.image.resize(x, (batch, height, width, WIDTH), "linear") for x in wide)
        y = nn.relu(BatchNorm(name="norm")(y, mode))
        return nn.Conv(self.outputs, (3, 3), name="conv")(y)


def head(outputs: int) -> nn.Module:
    return Head(outputs)


def weights(config: Any, labels: Any, classes: Sequence[str]) -> None:
    assert labels is None


def loss(logits: jax.Array, batch: Batch, config: Any) -> jax.Array:
    return _losses(logits, batch).mean()


def metrics(logits: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    label = batch["label"]
    return {"pixel_accuracy": (_classes(logits, batch) == label).mean(where=label != IGNORED)}


def totals(logits: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    return {"loss": (_losses(logits, batch) * batch["mask"]).sum(), "examples": batch["mask"].sum()}


def per_example(logits: jax.Array, batch: Batch) -> dict[str, jax.Array]:
    """Pixels of each class that are both said and true, and either: a ratio of these does not add up over batches."""
    label, said = jax.nn.one_hot(batch["label"], CLASSES), jax.nn.one_hot(_classes(logits, batch), CLASSES)
    said = said * (batch["label"] != IGNORED)[..., None]
    both = (label * said).sum((1, 2))
    return {"both": both, "either": (label + said).sum((1, 2)) - both}


def summarize(totals: dict[str, Any]) -> dict[str, float]:
    both, either, examples = totals["both"], totals["either"], int(totals["examples"])
    return {
        "loss": float(totals["loss"]) / examples,
        BEST_METRIC: float((both.sum(0) / np.maximum(either.sum(0), 1)).mean()),
        "mean_iou_per_picture": float((both / np.maximum(either, 1)).mean()),
        "examples": examples,
    }


def outputs(logits: np.ndarray) -> np.ndarray:
    """(N, h, w) int, the class of every pixel."""
    return logits.argmax(-1)


def answer(outputs: np.ndarray, classes: Sequence[str], top: int) -> list[tuple[str, float]]:
    return [(name, float((outputs == i).mean())) for i, name in enumerate(classes)]


def files(totals: dict[str, Any], stem: Path, *, classes: Sequence[str]) -> None:
    np.save(stem.with_name(f"{stem.name}_both.npy"), totals["both"])


def _large(logits: jax.Array, batch: Batch) -> jax.Array:
    return jax.image.resize(logits.astype(jnp.float32), (*batch["label"].shape, logits.shape[-1]), "linear")


def _classes(logits: jax.Array, batch: Batch) -> jax.Array:
    return _large(logits, batch).argmax(-1)


def _losses(logits: jax.Array, batch: Batch) -> jax.Array:
    """(B,) mean cross-entropies over the pixels that count."""
    counts = batch["label"] != IGNORED
    label = jnp.where(counts, batch["label"], 0).astype(jnp.int32)
    losses = optax.softmax_cross_entropy_with_integer_labels(_large(logits, batch), label)
    return (losses * counts).sum((1, 2)) / jnp.maximum(counts.sum((1, 2)), 1)
