"""Boxes on a page: precision over recall of each class, and the worst pictures with label and answer drawn on them."""

from collections.abc import Sequence

import jax
import numpy as np

from tljax.core.types import NO_BOX, Record
from tljax.reporting import average_precision, box_figures
from tljax.reporting.page import pictures
from tljax.runs.pages.finished import Finished
from tljax.serving import saved_model
from tljax.serving.explain import heat_maps

WIDE = 320  # pixels of a picture's longer side


def curves(run: Finished) -> pictures.Picture:
    """Precision over recall of every class on the test part."""
    sums, classes = run.totals["test"], run.experiment.classes
    found = average_precision.curves(list(sums["label"]), list(sums["found"]), len(classes))
    said = ", ".join(
        f"{name} AP50 {curve.average[box_figures.AT_50]:.2f}"
        for name, curve in zip(classes, found, strict=True)
        if curve.boxes
    )
    return pictures.figure(box_figures.precision_recall(found, classes), f"Precision over recall: {said}.")


def drawn(run: Finished, chosen: Sequence[int], scores: np.ndarray) -> list[Record]:
    """These pictures of the test part, each as the network saw it, with its boxes, and with those that are found."""
    model, sums, classes = saved_model.load(run.folder), run.totals["test"], run.experiment.classes
    stored = run.experiment.parts["test"].take(np.array(chosen))
    moved = run.experiment.prepare(stored | {"position": np.arange(len(chosen))}, jax.random.key(0), False)
    images, rows = heat_maps.seen(model, np.asarray(moved["inputs"])), []
    for image, i in zip(images, chosen, strict=True):
        label, found = sums["label"][i], sums["found"][i]
        found = found[found[:, 5] >= run.experiment.task.shown]
        known = label[label[:, 4] > NO_BOX]
        image = _without_padding(image, known)
        true = np.concatenate([known, np.ones((len(known), 1))], axis=1)
        name, nothing = run.name("test", i), np.zeros((0, 6))
        said = {
            "picture": box_figures.drawn(image, nothing, classes),
            f"boxes there: {len(known)}": box_figures.drawn(image, true, classes, scores=False),
            f"boxes found: {len(found)}": box_figures.drawn(image, found, classes, label=label),
        }
        shown = [pictures.thumbnail(x, f"{name}: {what}", WIDE) for what, x in said.items()]
        rows.append({"name": name, "score": float(scores[i]), "pictures": shown})
    return rows


def _without_padding(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """A picture without the black rows and columns at its lower and right edge, but with all of its boxes."""
    filled = (image != 0).any(axis=-1)
    if not filled.any():
        return image
    ends = [int(filled.any(axis=axis).nonzero()[0][-1]) + 1 for axis in (1, 0)]
    wanted = np.ceil(boxes[:, 2:4].max(axis=0)).astype(int) if len(boxes) else (0, 0)
    return image[: max(ends[0], wanted[0]), : max(ends[1], wanted[1])]
