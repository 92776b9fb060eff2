"""From boxes in the network's input back to the user's picture: the way back through `fit`, crop and resize."""

import numpy as np

from tljax.core.types import Json
from tljax.data import pictures


def in_picture(found: np.ndarray, sizes: Json, shape: tuple[int, ...]) -> np.ndarray:
    """Boxes (n, 4+) in pixels of the input -> in pixels of the picture, cut at its edges; further columns stay.

    Args:
      sizes: of the run (`inputs.image.sizes`): resize, crop and size; or shape, if pictures are fitted in whole.
      shape: (H, W) of the picture.
    """
    corner, scale = _window(sizes, shape)
    boxes = found[:, :4] * np.tile(scale, 2) + np.tile(corner, 2)
    return np.concatenate([boxes.clip(0, [*shape, *shape]), found[:, 4:]], axis=1)


def _window(sizes: Json, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The input in the picture: where it begins, and how many pixels of the picture one of the input is: (2,) each."""
    whole = np.array(shape, float)
    if into := tuple(sizes.get("shape") or ()):
        return np.zeros(2), whole / np.array(pictures.inside(shape, into))
    side = min(shape)
    cut = np.array([max(0, n - pictures.LONGEST * side) // 2 for n in shape])  # as in `pictures.fit`
    seen = np.minimum(whole, pictures.LONGEST * side)
    stored = np.array([max(sizes["resize"], round(n * sizes["resize"] / side)) for n in seen])
    crop = sizes["crop"] or sizes["resize"]
    first = (stored - sizes["resize"]) // 2 + (sizes["resize"] - crop) // 2
    each = seen / stored
    return cut + first * each, each * crop / sizes["size"]
