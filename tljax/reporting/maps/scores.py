"""How right maps of classes are: counts of one picture in its own size, IoU, boundary F1, and the interval of mIoU.

The counts are those of `networks.segmentation.counts`, for pictures of any size, one at a time, without a compiler.
"""

import math

import numpy as np

from tljax.core.types import IGNORED

TOLERANCE = 0.0075  # of the picture's diagonal, as in `counts`
ROUNDS, SEED = 1000, 0  # of the bootstrap
BITS = 63  # classes in one integer


def confusion(label: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(H, W) twice -> (K, K) int64: pixels by label (rows) and answer (columns); those of IGNORED in either are not."""
    known = (label != IGNORED) & (predicted != IGNORED)
    cells = label[known].astype(np.int64) * classes + predicted[known]
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def boundaries(label: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(4, K) int64: boundary pixels of the answer, those near one of the label; then both the other way round."""
    known = (label != IGNORED) & (predicted != IGNORED)
    reach = max(1, round(TOLERANCE * math.hypot(*label.shape)))
    ours, theirs = (_edges(one, known) for one in (predicted, label))
    rows = []
    for edges, one, other, of_other in ((ours, predicted, theirs, label), (theirs, label, ours, predicted)):
        near = np.zeros_like(edges)
        for first in range(0, classes, BITS):
            bits = np.where(other & (of_other >= first) & (of_other < first + BITS), _bit(of_other, first), 0)
            mine = edges & (one >= first) & (one < first + BITS)
            near |= mine & ((_grown(bits, reach) & _bit(one, first)) != 0)
        rows += [np.bincount(one[some], minlength=classes)[:classes] for some in (edges, near)]
    return np.stack(rows)


def iou(pixels: np.ndarray) -> np.ndarray:
    """(K, K) -> (K,); NaN for a class that no pixel is of, or is said to be of."""
    pixels = np.asarray(pixels, np.float64)
    return _quotient(pixels.sum(1), pixels.sum(0), np.diag(pixels))


def boundary_f1(table: np.ndarray) -> np.ndarray:
    """(4, K) of `boundaries` -> (K,); NaN for a class without a boundary."""
    predicted, predicted_near, label, label_near = np.asarray(table, np.float64)
    precision, recall = predicted_near / np.maximum(predicted, 1), label_near / np.maximum(label, 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return np.where(predicted + label > 0, f1, np.nan)


def mean(values: np.ndarray) -> float:
    """The mean of those that are not NaN; 0 if all are."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else 0.0


def interval(label: np.ndarray, predicted: np.ndarray, both: np.ndarray) -> tuple[float, float] | None:
    """The 95 % interval of mean IoU by the bootstrap over pictures (Efron 1979), percentiles; None for one picture.

    Args:
      label: (N, K) pixels of every picture and class of the label; `predicted`, `both`: of the answer, and of both.
    """
    number = len(label)
    if number < 2:
        return None
    weights = np.random.default_rng(SEED).multinomial(number, np.full(number, 1 / number), ROUNDS).astype(np.float64)
    with np.errstate(invalid="ignore"):
        rows = _quotient(*(weights @ np.asarray(one, np.float64) for one in (label, predicted, both)))  # (ROUNDS, K)
    low, high = np.percentile([mean(row) for row in rows], [2.5, 97.5])
    return float(low), float(high)


def _quotient(label: np.ndarray, predicted: np.ndarray, both: np.ndarray) -> np.ndarray:
    either = label + predicted - both
    return both / np.where(either > 0, either, np.nan)


def _edges(one: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Known pixels with a known neighbour (of four) of another class."""
    edges = np.zeros(one.shape, bool)
    for here, there in (
        ((slice(1, None),), (slice(None, -1),)),
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
    ):
        differs = (one[here] != one[there]) & known[here] & known[there]
        edges[here] |= differs
        edges[there] |= differs
    return edges


def _bit(one: np.ndarray, first: int) -> np.ndarray:
    """Class -> an integer with one bit; only for classes from `first` on, fewer than BITS."""
    return np.left_shift(np.int64(1), np.clip(one.astype(np.int64) - first, 0, BITS - 1))


def _grown(bits: np.ndarray, reach: int) -> np.ndarray:
    """The bits of all pixels in the square of `reach` to each side, by doubling."""
    for axis in (0, 1):
        padded = np.moveaxis(np.pad(bits, [(reach, reach) if i == axis else (0, 0) for i in (0, 1)]), axis, 0)
        length, whole = 1, 2 * reach + 1
        while length < whole:  # each entry holds the bits of the next `length` pixels
            step = min(length, whole - length)
            padded = np.concatenate([padded[:-step] | padded[step:], padded[-step:]])
            length += step
        bits = np.moveaxis(padded[: bits.shape[axis]], 0, axis)
    return bits
