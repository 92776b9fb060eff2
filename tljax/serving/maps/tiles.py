"""Large pictures in overlapping windows of the network's input, whose probabilities are averaged.

Pictures fitted whole into the input lose what is small in them. With `data.tiles=2` they are fitted into twice its
height and width, never larger than they are, and cut into windows that overlap by at least half.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from tljax.core.errors import DataError
from tljax.core.types import Json
from tljax.data import pictures
from tljax.data.parts.subsets import Subset
from tljax.serving.predictor import Predictor


def asked(sizes: Json) -> bool:
    """Whether pictures are cut; `sizes` as of `inputs.image.sizes`."""
    return sizes.get("tiles", 1) > 1


def said(predictor: Predictor, image: np.ndarray) -> np.ndarray:
    """The class of every pixel of a picture (H, W, C) uint8: (H, W) uint8.

    Raises:
      DataError: the picture has more than 8 bits.
    """
    if image.dtype != np.uint8:
        raise DataError("config.data.tiles needs pictures of 8 bits; one has more. Set config.data.tiles=1.")
    model = predictor.model
    height, width = model.input["shape"]
    whole = _fitted(image.shape[:2], (height, width), model.input["tiles"])
    large = pictures.fit_into(image, whole, interpolation=model.card.interpolation)
    corners = [(top, left) for top in starts(whole[0], height) for left in starts(whole[1], width)]
    windows = [_window(large, corner, (height, width)) for corner in corners]
    sums, counts = np.zeros((*whole, len(model.classes)), np.float32), np.zeros((*whole, 1), np.float32)
    for (top, left), answer in zip(corners, model.told(predictor(windows)), strict=True):
        inside = slice(top, top + height), slice(left, left + width)
        rows, columns = sums[inside].shape[:2]
        sums[inside] += _resized(answer, (height, width))[:rows, :columns]
        counts[inside] += 1
    return np.argmax(_resized(sums / counts, image.shape[:2]), axis=-1).astype(np.uint8)


def maps(predictor: Predictor, subset: Subset) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The label and the answer (H, W) of every example of a part."""
    for i in range(len(subset)):
        example: Any = subset[i]
        yield np.asarray(example["label"]), said(predictor, example["image"])


def starts(length: int, window: int) -> list[int]:
    """Where windows begin along a side: evenly, with an overlap of at least half; the last ends with the side."""
    if length <= window:
        return [0]
    number = -(-2 * (length - window) // window)
    return [round(i * (length - window) / number) for i in range(number + 1)]


def _fitted(shape: tuple[int, ...], window: tuple[int, int], tiles: int) -> tuple[int, int]:
    """The size of a picture of `shape` in `tiles` times the window: at most its own, or that of the picture whole."""
    most = min(tiles, max(1.0, *(side / one for side, one in zip(shape, window, strict=True))))
    return pictures.inside(shape, (round(window[0] * most), round(window[1] * most)))


def _window(image: np.ndarray, corner: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    """The window of a picture, black beyond its edge."""
    part = image[corner[0] : corner[0] + shape[0], corner[1] : corner[1] + shape[1]]
    return np.pad(part, ((0, shape[0] - part.shape[0]), (0, shape[1] - part.shape[1]), (0, 0)))


def _resized(planes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(h, w, K) -> (*shape, K), bilinear."""
    found = [
        np.asarray(Image.fromarray(plane).resize((shape[1], shape[0]), Image.Resampling.BILINEAR))
        for plane in np.ascontiguousarray(np.moveaxis(planes.astype(np.float32), -1, 0))
    ]
    return np.stack(found, axis=-1)
