"""Figures of boxes: precision over recall, and boxes drawn on a picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from tljax.reporting import figures
from tljax.reporting.average_precision import RECALLS, Curve
from tljax.reporting.figures import plt

AT_50, AT_75 = 0, 5  # places in `average_precision.THRESHOLDS`
SHOWN = 10  # the most classes with a line of their own
COLORS = plt.get_cmap("tab10").colors  # type: ignore[attr-defined]
TRUE = (255, 255, 255)  # of a box that is there
ENLARGED = 320  # pixels; smaller pictures are enlarged before boxes are drawn on them


def precision_recall(curves: Sequence[Curve], classes: Sequence[str]) -> Figure:
    """Precision over recall of every class with boxes, at IoU 0.5 (solid) and 0.75 (dashed), as COCO reads it."""
    figure, axis = plt.subplots(figsize=(5.2, 4.2), layout="constrained")
    some = [(name, curve) for name, curve in zip(classes, curves, strict=True) if curve.boxes][:SHOWN]
    for place, (name, curve) in enumerate(some):
        for at, style in ((AT_50, "-"), (AT_75, "--")):
            read = np.append(curve.precision[at], 0.0)[np.searchsorted(curve.recall[at], RECALLS, side="left")]
            said = f"{name} {read.mean():.2f}" if at == AT_50 else None
            axis.plot(RECALLS, read, style, color=COLORS[place % len(COLORS)], label=said)
    axis.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axis.grid(alpha=0.3)
    axis.legend(title="AP50; dashed: IoU 0.75", fontsize=8)
    return figure


def save_precision_recall(curves: Sequence[Curve], classes: Sequence[str], file: Path) -> None:
    figures._save(precision_recall(curves, classes), file)


def drawn(
    image: np.ndarray,
    found: np.ndarray,
    classes: Sequence[str],
    *,
    label: np.ndarray | None = None,
    scores: bool = True,
) -> np.ndarray:
    """A picture with boxes on it, (H', W', 3) uint8; a small one is enlarged.

    Args:
      image: (H, W, C) uint8.
      found: (n, 6), boxes in its pixels with class and score, in the colour of their class.
      label: (m, 5), the boxes that are there, white and dashed.
      scores: whether the score stands behind the class.
    """
    picture = Image.fromarray(np.ascontiguousarray(image.squeeze())).convert("RGB")
    scale = max(1.0, ENLARGED / max(picture.size))
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    for top, left, bottom, right, *_ in () if label is None else label[label[:, 4] >= 0] * scale:
        _dashed(pen, (left, top, right, bottom))
    for top, left, bottom, right, number, score in found[::-1]:  # the best on top
        color = tuple(round(255 * x) for x in COLORS[int(number) % len(COLORS)])
        corner = (left * scale, top * scale)
        pen.rectangle((*corner, right * scale, bottom * scale), outline=color, width=2)
        said = f"{classes[int(number)]} {score:.2f}" if scores else classes[int(number)]
        pen.rectangle(pen.textbbox((corner[0] + 2, corner[1] + 1), said), fill=color)
        pen.text((corner[0] + 2, corner[1] + 1), said, fill=(255, 255, 255))
    return np.asarray(picture)


def _dashed(pen: ImageDraw.ImageDraw, box: tuple[float, float, float, float], dash: int = 4) -> None:
    left, top, right, bottom = map(round, box)
    for x in range(left, right, 2 * dash):
        for y in (top, bottom):
            pen.line((x, y, min(x + dash, right), y), fill=TRUE)
    for y in range(top, bottom, 2 * dash):
        for x in (left, right):
            pen.line((x, y, x, min(y + dash, bottom)), fill=TRUE)
