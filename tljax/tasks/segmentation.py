"""Segmentation: the class of every pixel; mean IoU, exact over all pixels, and F1 of boundaries."""

import csv
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from tljax.core import functions
from tljax.core.atomic import whole
from tljax.core.errors import ConfigError
from tljax.core.options import Option, one_of
from tljax.core.types import IGNORED, Batch, Json, Totals
from tljax.data.labels import NUMBERS_BY_NAME, numbers_by_name
from tljax.networks.backbone import Backbone
from tljax.networks.segmentation import counts
from tljax.networks.segmentation.heads import HEADS, enlarged
from tljax.networks.segmentation.losses import LOSSES
from tljax.reporting.maps import scores

LABEL_KIND = "maps"  # the kind of labels
BEST_METRIC = "mean_iou"  # the metric for tables and for the choice of the best epoch
OPTIONS = {
    "head": Option("unet", f"{', '.join(HEADS)}; or a function (backbone, classes) -> head, 'file.py:function'."),
    "loss": Option("cross_entropy", "Of every pixel, or of overlap.", one_of(*LOSSES)),
    "class_weights": Option(
        (), 'Weight of a class\'s pixels: balanced, "road=2" by name, or a number for each.', NUMBERS_BY_NAME
    ),
}


def from_training(config: ConfigDict, labels: np.ndarray | None, classes: Sequence[str]) -> "Segmentation":
    """The task for a training part.

    Args:
      labels: the pixels of each example and class, (N, K); None: the source has not counted them.

    Raises:
      ConfigError: there is no such head, there is not one weight for each class, or pixels are not counted.
    """
    if config.head not in HEADS:
        functions.find(config.head, f"a head ({', '.join(HEADS)})")
    class_weights = tuple(config.class_weights)
    if class_weights == ("balanced",):
        return Segmentation(config.head, config.loss, _balanced(labels))
    weights = (
        numbers_by_name(class_weights, classes, "config.task.class_weights") if class_weights else (1.0,) * len(classes)
    )
    return Segmentation(config.head, config.loss, weights)


def _balanced(pixels: np.ndarray | None) -> tuple[float, ...]:
    """N / (K n_k) for n_k of the N pixels of a part, as `classification.weights`; 1 for a class without pixels.

    Args:
      pixels: of each example and class, (N, K).
    """
    if pixels is None:
        raise ConfigError(
            "config.task.class_weights=balanced needs a source that counts pixels before training: image_masks. Give "
            "a number for each class."
        )
    counts = np.asarray(pixels, np.float64).sum(0)
    there = counts > 0
    weights = np.where(there, counts.sum() / (there.sum() * np.maximum(counts, 1)), 1.0)
    return tuple(map(float, weights))


def restore(known: Json) -> "Segmentation":
    """The task of a finished run, from its fields in model.json."""
    if known["head_name"] not in HEADS:
        raise ValueError(f"its head '{known['head_name']}' is none of {', '.join(HEADS)}, and a folder runs no code")
    return Segmentation(known["head_name"], known["loss_name"], tuple(known["class_weights"]))


@dataclasses.dataclass(frozen=True)
class Segmentation:
    """The class of every pixel; logits (B, h, w, K) are enlarged to the label map (B, H, W)."""

    head_name: str
    loss_name: str
    class_weights: tuple[float, ...]

    LABEL_KIND = LABEL_KIND
    BEST_METRIC = BEST_METRIC

    def head_on(self, backbone: Backbone, classes: int) -> nn.Module:
        """The head, which chooses the stages that it reads."""
        make = HEADS[self.head_name].on if self.head_name in HEADS else functions.find(self.head_name, "a head")
        return make(backbone, classes)

    def choices(self, classes: int) -> dict[str, int]:
        """The metrics that `train.best` may name."""
        del classes
        return {"loss": -1, BEST_METRIC: 1, "pixel_accuracy": 1, "boundary_f1": 1}

    def weights(self, config: ConfigDict, labels: np.ndarray | None, classes: Sequence[str]) -> None:
        """All pictures have the same weight."""

    def loss(self, logits: jax.Array, batch: Batch, config: ConfigDict) -> jax.Array:
        """The mean over the pictures of `LOSSES`; pixels of IGNORED count for nothing."""
        del config  # `from_training` has read it
        return self._losses(logits, batch).mean()

    def metrics(self, logits: jax.Array, batch: Batch) -> dict[str, jax.Array]:
        """The share of right pixels of a training batch."""
        predicted, label = self._enlarged(logits, batch).argmax(-1), batch["label"]
        right = ((predicted == label) & (label != IGNORED)).sum((1, 2))
        return {"pixel_accuracy": (right / jnp.maximum((label != IGNORED).sum((1, 2)), 1)).mean()}

    def totals(self, logits: jax.Array, batch: Batch) -> dict[str, jax.Array]:
        """Sums over the pictures where `mask` is True: loss, examples, and `counts` of pixels and of boundaries."""
        classes, mask = logits.shape[-1], batch["mask"]
        predicted = self._enlarged(logits, batch).argmax(-1)
        label = jnp.where(mask[:, None, None], batch["label"], jnp.asarray(IGNORED, batch["label"].dtype))
        return {
            "loss": (self._losses(logits, batch) * mask).sum(),
            "examples": mask.sum(),
            "pixels": counts.confusion(label, predicted, classes).sum(0),
            "boundaries": counts.boundaries(label, predicted, classes).sum(0),
        }

    def per_example(self, logits: jax.Array, batch: Batch) -> dict[str, jax.Array]:
        """Pixels of every picture and class, (B, K) int32: of the label, of the answer, of both."""
        predicted = self._enlarged(logits, batch).argmax(-1)
        table = counts.confusion(batch["label"], predicted, logits.shape[-1])
        return {"label": table.sum(2), "predicted": table.sum(1), "both": jnp.diagonal(table, axis1=1, axis2=2)}

    def summarize(self, totals: Totals) -> dict[str, float]:
        """Sums of a part -> metrics in [0, 1], loss (nats) and the count.

        mean_iou: the mean of the classes' IoU over the classes that a pixel of the part is of, or is said to be of;
        pixel_accuracy: the share of right pixels; boundary_f1: the mean of the classes' F1 of boundary pixels.
        """
        iou, f1 = scores.iou(totals["pixels"]), scores.boundary_f1(totals["boundaries"])
        pixels, examples = np.asarray(totals["pixels"], np.float64), int(totals["examples"])
        return {
            "loss": float(totals["loss"]) / examples,
            BEST_METRIC: scores.mean(iou),
            "pixel_accuracy": float(np.diag(pixels).sum() / max(pixels.sum(), 1)),
            "boundary_f1": scores.mean(f1),
            "pixels": int(pixels.sum()),
            "examples": examples,
        }

    def in_own_size(self, maps: Iterable[tuple[np.ndarray, np.ndarray]], classes: int) -> Totals:
        """The counts of pixels of each picture in its own size: of its label and of the answer, (H, W) each."""
        tables, edges = [], []
        for label, predicted in maps:
            tables.append(scores.confusion(label, predicted, classes))
            edges.append(scores.boundaries(label, predicted, classes))
        table = np.stack(tables)
        each = {"label": table.sum(2), "predicted": table.sum(1), "both": np.diagonal(table, axis1=1, axis2=2)}
        return {**each, "pixels": table.sum(0), "boundaries": np.sum(edges, axis=0)}

    def interval(self, totals: Totals) -> tuple[float, float] | None:
        """The 95 % interval of mean IoU, by the bootstrap over pictures."""
        return scores.interval(*(np.asarray(totals[name]) for name in ("label", "predicted", "both")))

    def outputs(self, logits: np.ndarray) -> np.ndarray:
        """Logits (N, h, w, K) -> the probability of each class at every place."""
        from scipy.special import softmax

        return softmax(np.float64(logits), axis=-1).astype(np.float32)

    def answer(self, outputs: np.ndarray, classes: Sequence[str], top: int) -> list[tuple[str, float]]:
        """The answer for one picture: the share of its places that each class has, largest first; none of 0."""
        del top
        shares = np.bincount(outputs.argmax(-1).reshape(-1), minlength=len(classes)) / outputs[..., 0].size
        return [(classes[i], float(shares[i])) for i in map(int, np.argsort(-shares, kind="stable")) if shares[i]]

    def per_class(self, totals: Totals, classes: Sequence[str]) -> Mapping[str, Sequence[object] | np.ndarray]:
        """A row for each class."""
        pixels = np.asarray(totals["pixels"], np.float64)
        labels, predicted, both = pixels.sum(1), pixels.sum(0), np.diag(pixels)
        return {
            "class": list(classes),
            "IoU": scores.iou(pixels),
            "precision": both / np.where(predicted, predicted, np.nan),
            "recall": both / np.where(labels, labels, np.nan),
            "boundary F1": scores.boundary_f1(totals["boundaries"]),
            "pixels": labels.astype(np.int64),
        }

    def files(self, totals: Totals, stem: Path, *, classes: Sequence[str]) -> None:
        """Write one part's numbers of each class and its confusion of pixels: <stem>_per_class.csv and so on."""
        from tljax.reporting import figures

        table = self.per_class(totals, classes)
        with (
            whole(stem.with_name(f"{stem.name}_per_class.csv")) as part,
            part.open("w", newline="", encoding="utf-8") as out,
        ):
            rows = csv.writer(out)
            rows.writerow(table)
            rows.writerows([x if isinstance(x, str) else f"{x:.6g}" for x in row] for row in _rows(table))
        figures.confusion(totals["pixels"], classes, stem.with_name(f"{stem.name}_confusion"))

    def columns(
        self, totals: Totals, classes: Sequence[str], temperature: float
    ) -> Mapping[str, Sequence[object] | np.ndarray]:
        """The metrics of every picture, and the IoU of each class in it."""
        del temperature  # the largest probability stays the largest
        label, predicted, both = (np.asarray(totals[name], np.float64) for name in ("label", "predicted", "both"))
        either = label + predicted - both
        iou = both / np.where(either, either, np.nan)
        shown = {f"IoU({name})": ["" if np.isnan(x) else x for x in iou[:, i]] for i, name in enumerate(classes)}
        return {
            "mean_iou": self.scores(totals),
            "pixel_accuracy": both.sum(1) / np.maximum(label.sum(1), 1),
            **(shown if len(classes) <= 100 else {}),
        }

    def scores(self, totals: Totals) -> np.ndarray:
        """The mean IoU of every picture, (N,), over the classes of its label or its answer."""
        label, predicted, both = (np.asarray(totals[name], np.float64) for name in ("label", "predicted", "both"))
        either = label + predicted - both
        present = either > 0
        return np.where(present, both / np.maximum(either, 1), 0).sum(1) / np.maximum(present.sum(1), 1)

    def _enlarged(self, logits: jax.Array, batch: Batch) -> jax.Array:
        return enlarged(logits, batch["label"].shape[1:])

    def _losses(self, logits: jax.Array, batch: Batch) -> jax.Array:
        """(B,)"""
        large, weights = self._enlarged(logits, batch), jnp.array(self.class_weights, jnp.float32)
        parts = [loss(large, batch["label"], weights) for loss in LOSSES[self.loss_name]]
        return jnp.stack(parts).sum(0)


def _rows(table: Mapping[str, Sequence[object] | np.ndarray]) -> list[tuple[object, ...]]:
    return list(zip(*table.values(), strict=True))
