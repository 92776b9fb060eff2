"""What all boxes together show of how they were written: in shares of the picture, by two corners, twice.

`boxes` are arrays (n, 5) [top, left, bottom, right, class], one a picture.
"""

from collections.abc import Sequence

import numpy as np

from tljax.core.errors import DataError

MARGIN = 1.0  # pixels that a box may stand out of its picture


def refuse_shares(boxes: Sequence[np.ndarray], source: str) -> None:
    """Raise DataError if boxes that must be in pixels all lie within the first pixel."""
    corners = _together(boxes)[:, :4]
    if len(corners) and (np.abs(corners) <= 1).all():
        raise DataError(
            f"Boxes of '{source}' must be in pixels; all {len(corners):,} lie between 0 and 1, as shares of the "
            f"picture do. Multiply them by its width and height."
        )


def refuse_corners(boxes: Sequence[np.ndarray], sizes: Sequence[tuple[int, int] | None], source: str) -> None:
    """Raise DataError if boxes [left, top, width, height] stand out of their pictures, and fit as two corners.

    Args:
      sizes: (H, W) of each picture; None: not known.
    """
    corners = _together(boxes)[:, :4]
    size = np.repeat([one or (np.inf, np.inf) for one in sizes], [len(one) for one in boxes], axis=0)
    first, second = corners[:, :2], corners[:, 2:] - corners[:, :2]  # the second as it was written
    outside = (corners[:, 2:] > size + MARGIN).any(axis=1)
    if outside.sum() > 1 and ((second > first) & (second <= size + MARGIN)).all():  # one alone is a slip
        raise DataError(
            f"A bbox in '{source}' must be [x, y, width, height]; {int(outside.sum()):,} of {len(corners):,} stand out "
            f"of their pictures, and all fit as [left, top, right, bottom]. Subtract left and top from the other two."
        )


def repeated(boxes: Sequence[np.ndarray]) -> list[str]:
    """A warning if a box occurs more than once in its picture, with the same class."""
    number = sum(len(one) - len(np.unique(one, axis=0)) for one in boxes)
    return [f"warning: {number:,} boxes repeat another one of their picture, place and class: each counts as an object"
            ] if number else []  # fmt: skip


def _together(boxes: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros((0, 5)), *boxes])
