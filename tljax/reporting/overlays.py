"""Maps of classes as people see them: a colour for each class, laid over the picture."""

import colorsys
from collections.abc import Sequence

import numpy as np

from tljax.core.types import IGNORED

GROUND = ("ground", "background")  # classes that stay uncoloured
OPACITY = 0.55


def palette(classes: Sequence[str]) -> np.ndarray:
    """(K, 3) uint8: colours that differ, the same for the same number of a class; black for the ground."""
    rows = []
    for i, name in enumerate(classes):
        hue, light = (0.6 + i * 0.618034) % 1, (0.95, 0.75, 0.55)[i % 3]  # golden section: neighbours lie far apart
        rows.append((0, 0, 0) if name.lower() in GROUND else colorsys.hsv_to_rgb(hue, 0.75, light))
    return (np.array(rows) * 255).round().astype(np.uint8)


def overlaid(image: np.ndarray, label: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """A picture (H, W, C) uint8 in grey with its map (H, W) in colours: (H, W, 3) uint8. IGNORED stays uncoloured."""
    grey = image[..., :3].astype(np.float32).mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    known = label != IGNORED
    shade = colours[np.where(known, label, 0)].astype(np.float32)
    opacity = OPACITY * (known & shade.any(axis=-1))[..., None]
    return (grey * (1 - opacity) + shade * opacity).round().astype(np.uint8)
