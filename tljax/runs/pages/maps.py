"""Answers about places in a picture: metrics of each class, and the worst pictures, label and answer."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from tljax.core.types import IGNORED, Record
from tljax.networks.segmentation.heads import enlarged
from tljax.reporting import figures, overlays
from tljax.reporting.page import pictures
from tljax.reporting.page.pictures import Picture
from tljax.runs.pages import boxes
from tljax.runs.pages.finished import Finished
from tljax.serving import saved_model
from tljax.serving.explain import heat_maps
from tljax.serving.predictor import Predictor
from tljax.tasks import Ranks, Tabulates

WORST, BEST = 8, 2  # pictures that are shown
WIDE = 260  # pixels of their longer side


def gather(run: Finished) -> Record | None:
    """The table of the classes, their confusion, and pictures; None for other tasks."""
    task, totals = run.experiment.task, run.totals["test"]
    if not isinstance(task, Tabulates):
        return None
    table = task.per_class(totals, run.experiment.classes)
    rows = [[_cell(value) for value in row] for row in zip(*table.values(), strict=True)]
    found: Record = {"columns": list(table), "rows": rows, "confusion": None, "curves": None, "legend": []}
    found |= {"pictures": [], "score": ""}
    if run.experiment.task.LABEL_KIND == "boxes":
        return found | _boxes(run)
    if run.experiment.task.LABEL_KIND != "maps" or not isinstance(task, Ranks):
        return found
    found["confusion"] = _confusion(np.asarray(totals["pixels"]), run.experiment.classes)
    if not run.full:
        return found
    colours = overlays.palette(run.experiment.classes)
    shades = ["#" + bytes(row).hex() for row in colours.tolist()]
    found["legend"] = [
        {"name": name, "color": color} for name, color in zip(run.experiment.classes, shades, strict=True)
    ]
    return found | {"pictures": _pictures(run, task.scores(totals), colours), "score": "mean IoU"}


def _boxes(run: Finished) -> Record:
    """Precision over recall, and pictures with boxes on them."""
    found, task = {"curves": boxes.curves(run)}, run.experiment.task
    if not run.full or not isinstance(task, Ranks):
        return found
    scores = task.scores(run.totals["test"])
    score = f"F1 at IoU 0.5 (boxes with a score of {run.experiment.task.shown:g} or more)"
    return found | {"pictures": boxes.drawn(run, _extremes(scores), scores), "score": score}


def _extremes(scores: np.ndarray) -> list[int]:
    """The pictures to show: the worst, worst first, then the best ones."""
    order = np.argsort(scores, kind="stable")
    return list(dict.fromkeys(map(int, (*order[:WORST], *order[-BEST:]))))


def _pictures(run: Finished, scores: np.ndarray, colours: np.ndarray) -> list[Record]:
    """Those pictures of the test part: picture, label and answer."""
    chosen, model = _extremes(scores), saved_model.load(run.folder)
    stored = run.experiment.parts["test"].take(np.array(chosen))
    logits = Predictor(model, batch_size=len(chosen))(stored["image"])
    moved = run.experiment.prepare(stored | {"position": np.arange(len(chosen))}, jax.random.key(0), False)
    images, labels = heat_maps.seen(model, np.asarray(moved["inputs"])), np.asarray(moved["label"])
    answers = np.asarray(enlarged(logits, labels.shape[1:])).argmax(-1)
    rows = []
    for n, i in enumerate(chosen):
        inside = _without_padding(stored["image"][n], stored["label"][n], labels.shape[1:])
        image, label, answer = images[n][inside], labels[n][inside], answers[n][inside]
        drawn = {
            "picture": image,
            "label": overlays.overlaid(image, label, colours),
            "answer": overlays.overlaid(image, answer, colours),
        }
        name = run.name("test", i)
        shown = [pictures.thumbnail(x, f"{name}: {what}", WIDE) for what, x in drawn.items()]
        rows.append({"name": name, "score": float(scores[i]), "pictures": shown})
    return rows


def _without_padding(image: np.ndarray, label: np.ndarray, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The rows and columns of what the network saw, without the black ones of no class at its lower and right edge."""
    empty = (image == 0).all(axis=-1) & (label == IGNORED)
    if label.shape != shape or empty.all():
        return slice(None), slice(None)
    filled = ~empty
    return slice(int(filled.any(axis=1).nonzero()[0][-1]) + 1), slice(int(filled.any(axis=0).nonzero()[0][-1]) + 1)


def _confusion(pixels: np.ndarray, classes: Sequence[str]) -> Picture:
    """Which class pixels of each class are said to be, in percent."""
    shares = np.rint(100 * pixels / np.maximum(pixels.sum(axis=1, keepdims=True), 1)).astype(int)
    drawn = figures.matrix(shares, classes, side=min(9.0, 2.2 + 0.4 * len(classes)), font=8)
    wrong = 1 - np.trace(pixels) / max(pixels.sum(), 1)
    return pictures.figure(
        drawn, f"Of the pixels of each class, the percent said to be of each: {wrong:.1%} are wrong."
    )


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    return "-" if np.isnan(value) else f"{value:.3f}"
