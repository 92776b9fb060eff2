"""Boxes on a page: precision over recall of each class, and the worst pictures with label and answer drawn on them."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from tljax.core.types import NO_BOX, Record
from tljax.data.picture import grey_levels
from tljax.reporting import average_precision, box_figures
from tljax.reporting.page import pictures
from tljax.runs.pages.finished import Finished

WIDE = 320  # pixels of a picture's longer side


def curves(run: Finished) -> pictures.Picture:
    """Precision over recall of every class on the test part."""
    classes = run.experiment.classes
    labels, answers = run.experiment.task.in_pictures(run.totals["test"])
    found = average_precision.curves(labels, answers, len(classes))
    said = ", ".join(
        f"{name} AP50 {curve.average[box_figures.AT_50]:.2f}"
        for name, curve in zip(classes, found, strict=True)
        if curve.boxes
    )
    return pictures.figure(box_figures.precision_recall(found, classes), f"Precision over recall: {said}.")


def drawn(run: Finished, chosen: Sequence[int], scores: np.ndarray) -> list[Record]:
    """These pictures of the test part, each with its boxes, and with those that are found."""
    task, classes, rows = run.experiment.task, run.experiment.classes, []
    labels, answers = task.in_pictures(run.totals["test"])
    for i in chosen:
        image, scale = _small(run, i)
        found = answers[i][answers[i][:, 5] >= task.shown] * scale
        known = labels[i][labels[i][:, 4] > NO_BOX] * scale[:5]
        true = np.concatenate([known, np.ones((len(known), 1))], axis=1)
        name, nothing = run.name("test", i), np.zeros((0, 6))
        said = {
            "picture": box_figures.drawn(image, nothing, classes),
            f"boxes there: {len(known)}": box_figures.drawn(image, true, classes, scores=False),
            f"boxes found: {len(found)}": box_figures.drawn(image, found, classes, label=known),
        }
        shown = [pictures.thumbnail(x, f"{name}: {what}", WIDE) for what, x in said.items()]
        rows.append({"name": name, "score": float(scores[i]), "pictures": shown})
    return rows


def _small(run: Finished, position: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture of the test part in the size of the page, and the factors for its boxes, their class and score."""
    part = run.experiment.parts["test"]
    image = part.subset[position]["image"]
    if image.dtype != np.uint8:
        image = grey_levels.eight_bits(image, part.levels, run.config.data.channels)
    scale = min(1.0, WIDE / max(image.shape[:2]))
    picture = Image.fromarray(image.squeeze())
    picture = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
    return np.asarray(picture), np.array([scale] * 4 + [1.0, 1.0])
