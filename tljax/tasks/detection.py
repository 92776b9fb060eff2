"""Detection: a box around every object, and its class. FCOS on a pyramid of the backbone's stages; COCO's AP.

The head is in `networks/detection/`. It is trained by focal loss, 1 - GIoU and the cross-entropy of centre-ness, added
up as in FCOS (arXiv 1904.01355, equation 2, with the later GIoU).
"""

import csv
import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from tljax.core.atomic import whole
from tljax.core.errors import ConfigError, DataError
from tljax.core.options import STRINGS, Option, Rule
from tljax.core.types import Batch, Json, Totals
from tljax.data.boxes import placing
from tljax.networks import stage_maps
from tljax.networks.backbone import Backbone
from tljax.networks.detection import boxes, fcos, targets
from tljax.reporting import average_precision

LABEL_KIND = "boxes"  # the kind of labels
BEST_METRIC = "AP"  # the metric for tables and for the choice of the best epoch
WHOLE: Rule = ("a whole number from 1 on", lambda x: x >= 1)
UP: Rule = ("a whole number from 0 on", lambda x: x >= 0)
SHARE: Rule = ("in (0, 1)", lambda x: 0 < x < 1)
OPTIONS = {
    "stages": Option((), "Stages of the pyramid, finest first; (): the last of stride 8, 16 and 32; of a ViT the last.",
                     STRINGS),
    "width": Option(256, "Channels of the pyramid and the head (FCOS: 256).", WHOLE),
    "depth": Option(4, "Convolutions before the answers for class and box (FCOS: 4).", UP),
    "extra_levels": Option(2, "Levels coarser than the last stage (FCOS: 2, for large pictures).", UP),
    "place": Option(0.5, "Where in its stride a place lies: 0.5, the middle, as FCOS; 0, as torchvision's weights.",
                    ("in [0, 1]", lambda x: 0 <= x <= 1)),
    "detections": Option(100, "The most boxes that are found in a picture (COCO: 100).", WHOLE),
    "candidates": Option(1000, "The most answers that non-maximum suppression looks at.", WHOLE),
    "least_score": Option(0.05, "Answers with this score or less are no boxes.", SHARE),
    "most_overlap": Option(0.6, "IoU from which on the worse of two boxes of a class is dropped (FCOS: 0.6).", SHARE),
    "shown": Option(0.4, "Boxes with at least this score are printed and drawn.", SHARE),
}  # fmt: skip
STRIDES = (8, 16, 32)  # of the stages that are read, FCOS's C3 to C5


def choices(classes: int) -> dict[str, int]:
    """The metrics that `train.best` may name: 1 if larger is better, -1 if smaller is better."""
    del classes
    return {"loss": -1, **dict.fromkeys((BEST_METRIC, "AP50", "AP75"), 1)}


def from_training(config: ConfigDict, labels: np.ndarray | None, classes: Sequence[str]) -> "Detection":
    """The task for a training part, from config.task."""
    del labels  # loaded with the pictures
    return restore({name: config[name] for name in OPTIONS} | {"classes": len(classes)})


def restore(known: Json) -> "Detection":
    """The task of a finished run, from its fields in model.json."""
    options = {"place": 0.5, **known, "stages": tuple(known["stages"])}  # earlier runs had no other place
    return Detection(**options)


@dataclasses.dataclass(frozen=True)
class Detection:
    """Boxes of K classes; the options are those of the file."""

    classes: int
    stages: tuple[str, ...]
    width: int
    depth: int
    extra_levels: int
    detections: int
    candidates: int
    least_score: float
    most_overlap: float
    shown: float
    place: float = 0.5

    LABEL_KIND = LABEL_KIND
    BEST_METRIC = BEST_METRIC
    choices = staticmethod(choices)

    def head_on(self, backbone: Backbone, outputs: int) -> fcos.Head:
        """The head on the backbone's stages; see `fcos.Head`.

        Raises:
          ConfigError: the backbone has no such stages.
        """
        chosen = _stages(stage_maps.of(backbone), self.stages)
        return fcos.Head(
            outputs,
            tuple(one.name for one in chosen),
            tuple(one.stride for one in chosen),
            self.width,
            self.depth,
            self.extra_levels,
            chosen[0].tokens_before,
            backbone.dtype,
            self.place,
        )

    def weights(self, config: ConfigDict, labels: np.ndarray | None, classes: Sequence[str]) -> None:
        """All pictures have the same weight."""

    def loss(self, logits: dict[str, jax.Array], batch: Batch, config: ConfigDict) -> jax.Array:
        """Mean over pictures of the three losses of `targets`, added up."""
        del config
        return jnp.stack(_losses(logits, batch)).sum(0).mean()

    def metrics(self, logits: dict[str, jax.Array], batch: Batch) -> dict[str, jax.Array]:
        """The parts of the loss of a training batch."""
        found = _losses(logits, batch)
        return {f"loss_{name}": x.mean() for name, x in zip(found._fields, found, strict=True)}

    def totals(self, logits: dict[str, jax.Array], batch: Batch) -> dict[str, jax.Array]:
        """Sums over the pictures where `mask` is True: loss, float32; examples, int32."""
        losses = jnp.stack(_losses(logits, batch)).sum(0)
        return {"loss": (losses * batch["mask"]).sum(), "examples": batch["mask"].sum()}

    def per_example(self, logits: dict[str, jax.Array], batch: Batch) -> dict[str, jax.Array]:
        """What was found in every picture, in pixels of the input, (B, D, 6); see `boxes.chosen`."""
        del batch
        return {"found": self._found(logits)}

    def summarize(self, totals: Totals) -> dict[str, float]:
        """AP, AP50, AP75 in [0, 1], loss and the number of pictures.

        Raises:
          DataError: the part has no box, so that nothing can be found in it.
        """
        found = average_precision.summary(self._curves(totals))
        if np.isnan(found[BEST_METRIC]):
            raise DataError(
                f"Average precision needs boxes to be found; the {int(totals['examples'])} pictures of a part have "
                f"none. Divide the pictures otherwise (config.data.splits, config.data.fractions, config.seed)."
            )
        examples = int(totals["examples"])
        return {"loss": float(totals["loss"]) / examples, **found, "examples": examples}

    def outputs(self, logits: Any) -> np.ndarray:
        """The head's output for N pictures -> what was found, (N, D, 6)."""
        return np.asarray(jax.jit(self._found)(logits))

    def answer(self, outputs: np.ndarray, classes: Sequence[str], top: int) -> list[tuple[str, float]]:
        """The answer for one picture: class and score of every box that is shown, best first."""
        del top
        return [(classes[int(row[4])], float(row[5])) for row in outputs if row[5] >= self.shown]

    def per_class(self, totals: Totals, classes: Sequence[str]) -> dict[str, list[Any]]:
        """AP, AP50, AP75 of every class, NaN without boxes; the number of its boxes, and of answers."""
        curves = self._curves(totals)
        averages = [average_precision.summary([curve]) for curve in curves]
        return {
            "class": list(classes),
            **{name: [one[name] for one in averages] for name in ("AP", "AP50", "AP75")},
            "boxes": [curve.boxes for curve in curves],
            "answers": [len(curve.scores) for curve in curves],
        }

    def scores(self, totals: Totals) -> np.ndarray:
        """The F1 of every picture at IoU 0.5, of the answers that are shown; 1 where there is nothing, and none is."""
        return np.array([average_precision.f1(label, answer, self.classes, self.shown)
                         for label, answer in zip(*self.in_pictures(totals), strict=True)])  # fmt: skip

    def in_pictures(self, totals: Totals) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Of every picture its boxes (M, 5) and its answers (n, 6), in its own pixels: what `tljax predict` writes."""
        answers = map(placing.in_picture, totals["found"], totals["window"])
        return list(totals["boxes"]), list(answers)

    def files(self, totals: Totals, stem: Path, *, classes: Sequence[str]) -> None:
        """Write AP of each class, <stem>_per_class.csv, and its curve, <stem>_precision_recall.png."""
        from tljax.reporting import box_figures

        curves, table = self._curves(totals), self.per_class(totals, classes)
        with (
            whole(stem.with_name(f"{stem.name}_per_class.csv")) as part,
            part.open("w", newline="", encoding="utf-8") as out,
        ):
            rows = csv.writer(out)
            rows.writerow(table)
            for row in zip(*table.values(), strict=True):
                rows.writerow([f"{value:.4f}" if isinstance(value, float) else value for value in row])
        box_figures.save_precision_recall(curves, classes, stem.with_name(f"{stem.name}_precision_recall.png"))

    def _found(self, logits: dict[str, jax.Array]) -> jax.Array:
        return jax.vmap(
            lambda scores, places: boxes.chosen(
                scores,
                places,
                number=self.detections,
                candidates=self.candidates,
                least=self.least_score,
                most_overlap=self.most_overlap,
            )
        )(targets.scores(logits), logits["boxes"])

    def _curves(self, totals: Totals) -> list[average_precision.Curve]:
        return average_precision.curves(*self.in_pictures(totals), self.classes)


def _losses(logits: dict[str, jax.Array], batch: Batch) -> targets.Losses:
    """The three losses of every picture, (B,) each."""
    return jax.vmap(targets.losses)(logits, batch["label"].astype(jnp.float32))


def _stages(known: Sequence[stage_maps.StageMap], wanted: Sequence[str]) -> list[stage_maps.StageMap]:
    """The stages of the pyramid: those that are wanted; else the last map of every stride, or the last tokens."""
    table, tokens = {one.name: one for one in known}, [one for one in known if one.tokens_before is not None]
    maps = {one.stride: one for one in known if one.tokens_before is None and one.stride in STRIDES}
    chosen = [table[name] for name in wanted if name in table] if wanted else tokens[-1:] or list(maps.values())
    rising = all(other.stride == 2 * one.stride for one, other in itertools.pairwise(chosen))
    several = len(chosen) > 1 and any(one.tokens_before is not None for one in chosen)
    if not chosen or len(chosen) < len(wanted) or not rising or several:
        raise ConfigError(
            f"config.task.stages must name maps whose strides double, finest first, or one stage of tokens; got "
            f"{tuple(wanted)}. The stages and their strides are "
            f"{', '.join(f'{one.name} {one.stride}' for one in known)}."
        )
    return chosen
