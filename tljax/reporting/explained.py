"""An explanation as a picture of its own: `tljax explain`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tljax.reporting import figures
from tljax.reporting.figures import plt
from tljax.reporting.page.pictures import laid_over

SHOWN = 24  # words
POINTS = "points by which the probability falls without these words"


def picture(image: np.ndarray, maps: Mapping[str, np.ndarray], title: str, file: Path) -> None:
    """What the network saw, (H, W, C) uint8, and each map over it."""
    drawn, axes = plt.subplots(1, 1 + len(maps), figsize=(3.4 * (1 + len(maps)), 3.8), layout="constrained")
    shown = {"what it saw": image.squeeze()} | {name: laid_over(image, heat) for name, heat in maps.items()}
    for axis, (name, pixels) in zip(axes, shown.items(), strict=True):
        axis.imshow(pixels, cmap="gray")
        axis.set_title(name, fontsize=10)
        axis.axis("off")
    drawn.suptitle(title)
    figures._save(drawn, file)


def text(pieces: Sequence[tuple[str, float]], title: str, file: Path, *, unit: str = POINTS) -> None:
    """How much the output falls without each piece of a text: the largest, in the order of the text.

    Args:
      unit: what the effects are; `POINTS` are percent, of a probability from 0 to 1.
    """
    largest = sorted(range(len(pieces)), key=lambda i: -abs(pieces[i][1]))[:SHOWN]
    chosen = [pieces[i] for i in sorted(largest)]
    drawn, axis = plt.subplots(figsize=(7, 1.2 + 0.28 * len(chosen)), layout="constrained")
    effects = [effect * (100 if unit == POINTS else 1) for _, effect in chosen]
    axis.barh(range(len(chosen)), effects, color=["#4477aa" if effect >= 0 else "#ee6677" for effect in effects])
    axis.set_yticks(range(len(chosen)), [_short(words) for words, _ in chosen])
    axis.invert_yaxis()
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set(xlabel=unit, title=title)
    figures._save(drawn, file)


def _short(words: str) -> str:
    plain = " ".join(words.split())
    return plain if len(plain) <= 40 else f"{plain[:39]}…"
