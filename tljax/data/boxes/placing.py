"""From boxes in the network's input back to the user's picture, where they are judged and written.

The way back through `fit`, crop and resize is a row of six numbers for each picture, its `window`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tljax.core.types import Json, Rows
from tljax.data import pictures


class InPictures:
    """Of every picture of a part: its boxes in its own pixels, and its window. Evaluation judges by them."""

    def __init__(self, sizes: Json) -> None:
        """`sizes`: see `window`."""
        self._sizes, self._found = sizes, dict[int, tuple[tuple[int, ...], np.ndarray]]()

    def add(self, position: int, shape: tuple[int, ...], boxes: np.ndarray) -> None:
        """Of a picture of `shape` (H, W): its boxes (n, 5)."""
        self._found[position] = tuple(shape), boxes

    def rows(self, positions: Iterable[int]) -> Rows:
        """Of these pictures: "boxes" (N, M, 5), padded with rows of NO_BOX; "window" (N, 6)."""
        some = [self._found[position] for position in positions]
        most = max((len(boxes) for _, boxes in some), default=0)
        boxes = [pictures.filled_boxes(boxes, most) for _, boxes in some]
        windows = [window(self._sizes, shape) for shape, _ in some]
        return {"boxes": np.array(boxes).reshape(-1, most, 5), "window": np.array(windows).reshape(-1, 6)}

    @property
    def told(self) -> dict[int, tuple[list[int], list[list[float]]]]:
        """The same as JSON has it, for the other processes."""
        return {position: (list(map(int, shape)), boxes.tolist()) for position, (shape, boxes) in self._found.items()}

    def put_together(self, entries: Mapping[int, Any]) -> None:
        """Take what all processes have told."""
        for position, (shape, boxes) in entries.items():
            self.add(position, tuple(shape), np.array(boxes, np.float32).reshape(-1, 5))


def in_picture(found: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Answers (n, 6) in pixels of the input, the sixth a score -> those (m, 6) that lie in the picture, in its pixels.

    Boxes are cut at the picture's edges. Padding and boxes outside of the picture are left out; the order stays.

    Args:
      window: of the picture; see there.
    """
    corner, scale, shape = window.reshape(3, 2)
    boxes = found[:, :4] * np.tile(scale, 2) + np.tile(corner, 2)
    boxes = boxes.clip(0, np.tile(shape, 2))
    inside = (found[:, 5] > 0) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return np.concatenate([boxes, found[:, 4:]], axis=1)[inside]


def window(sizes: Json, shape: tuple[int, ...]) -> np.ndarray:
    """The input in the picture: its first row and column, the pixels of the picture for one row and one column of the
    input, and the picture's height and width: (6,).

    Args:
      sizes: of the run (`inputs.image.sizes`): resize, crop and size; or shape, if pictures are fitted in whole.
      shape: (H, W) of the picture.
    """
    whole = np.array(shape, float)
    if into := tuple(sizes.get("shape") or ()):
        return np.concatenate([np.zeros(2), whole / np.array(pictures.inside(shape, into)), whole])
    side = min(shape)
    resize = sizes["resize"] or side  # 0: the file's size
    cut = np.array([max(0, n - pictures.LONGEST * side) // 2 for n in shape])  # as in `pictures.fit`
    sides = np.minimum(whole, pictures.LONGEST * side)
    stored = np.array([max(resize, round(n * resize / side)) for n in sides])
    crop = sizes["crop"] or resize
    first = (stored - resize) // 2 + (resize - crop) // 2
    each = sides / stored
    return np.concatenate([cut + first * each, each * crop / sizes["size"], whole])
