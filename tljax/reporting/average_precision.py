"""COCO's average precision of boxes over a whole part: the numbers of pycocotools, from arrays.

Definition: https://cocodataset.org/#detection-eval. Boxes of every size count, and at most 100 answers of a class in a
picture. Boxes are [top, left, bottom, right, class, ...]; a class below 0 is padding.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

THRESHOLDS = np.linspace(0.5, 0.95, 10)  # IoU from which on an answer may be right
RECALLS = np.linspace(0.0, 1.0, 101)  # at which precision is read
MOST = 100  # answers of a class in a picture, those with the highest scores


class Curve(NamedTuple):
    """The answers of one class in all pictures, best first."""

    scores: np.ndarray  # (D,)
    right: np.ndarray  # (T, D) bool: whether an answer found a box, at every threshold
    boxes: int  # how many there are to be found

    @property
    def recall(self) -> np.ndarray:
        """(T, D): the share of boxes found up to each answer."""
        return self.right.cumsum(axis=1) / max(self.boxes, 1)

    @property
    def precision(self) -> np.ndarray:
        """(T, D): the share of right answers of each answer and all surer ones; where a less sure answer has a higher
        share, that one (COCO's rule).
        """
        shares = self.right.cumsum(axis=1) / np.arange(1, len(self.scores) + 1)
        return np.maximum.accumulate(shares[:, ::-1], axis=1)[:, ::-1]

    @property
    def average(self) -> np.ndarray:
        """(T,): the mean precision at RECALLS; 0 where that recall is not reached. NaN if there are no boxes."""
        if not self.boxes:
            return np.full(len(THRESHOLDS), np.nan)
        return np.array([
            np.append(precision, 0.0)[np.searchsorted(recall, RECALLS, side="left")].mean()
            for recall, precision in zip(self.recall, self.precision, strict=True)
        ])  # fmt: skip


def curves(labels: Sequence[np.ndarray], found: Sequence[np.ndarray], classes: int) -> list[Curve]:
    """The curve of every class.

    Args:
      labels: of every picture its boxes, (M, 5).
      found: of every picture its answers, (D, 6): the sixth is the score.
    """
    pairs = [(of_class(label, k), of_class(answer, k)) for k in range(classes)
             for label, answer in zip(labels, found, strict=True)]  # fmt: skip
    number = len(labels)
    return [_curve(pairs[k * number : (k + 1) * number]) for k in range(classes)]


def of_class(rows: np.ndarray, number: int) -> np.ndarray:
    """The rows of a class, in float64."""
    return np.asarray(rows, np.float64)[rows[:, 4] == number]


def overlaps(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (D, 4+) and (M, 4+): (D, M)."""
    low = np.maximum(some[:, None, :2], others[None, :, :2])
    high = np.minimum(some[:, None, 2:4], others[None, :, 2:4])
    both = (high - low).clip(0).prod(-1)
    areas = [(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) for boxes in (some, others)]
    return both / np.maximum(areas[0][:, None] + areas[1][None] - both, 1e-300)


def matched(label: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """Which answers of one picture and class, best first, find a box of their own: (T, D) bool.

    The better answer chooses first, the box with the largest overlap that no better answer has found; of equal ones
    the last, as pycocotools does.
    """
    right, taken = np.zeros((len(THRESHOLDS), len(answer)), bool), np.zeros((len(THRESHOLDS), len(label)), bool)
    if not right.size or not taken.size:
        return right
    shares, every = overlaps(answer, label), np.arange(len(THRESHOLDS))
    for d, row in enumerate(shares):
        free = np.where(taken, -1.0, row[None])
        best = len(label) - 1 - free[:, ::-1].argmax(axis=1)
        right[:, d] = free[every, best] >= THRESHOLDS
        taken[every, best] |= right[:, d]
    return right


def f1(label: np.ndarray, answer: np.ndarray, classes: int, least: float) -> float:
    """The F1 of one picture's answers with at least the score `least`, at IoU 0.5; 1 if nothing is there or found."""
    pairs = [(of_class(label, k), of_class(answer[answer[:, 5] >= least], k)) for k in range(classes)]
    both = sum(len(boxes) + len(answers) for boxes, answers in pairs)
    return 2 * sum(int(matched(*pair)[0].sum()) for pair in pairs) / both if both else 1.0


def _curve(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> Curve:
    best = [(label, answer[np.argsort(-answer[:, 5], kind="stable")[:MOST]]) for label, answer in pairs]
    scores = np.concatenate([answer[:, 5] for _, answer in best])
    right = np.concatenate([matched(label, answer) for label, answer in best], axis=1)
    order = np.argsort(-scores, kind="stable")
    return Curve(scores[order], right[:, order], sum(len(label) for label, _ in best))


def summary(found: Sequence[Curve]) -> dict[str, float]:
    """AP: the mean over classes that have boxes, and over thresholds; AP50, AP75: at IoU 0.5 and 0.75.

    NaN if no class has a box.
    """
    averages = np.array([curve.average for curve in found if curve.boxes]).reshape(-1, len(THRESHOLDS))
    if not len(averages):
        return dict.fromkeys(("AP", "AP50", "AP75"), float("nan"))
    return {
        "AP": float(averages.mean()),
        "AP50": float(averages[:, 0].mean()),
        "AP75": float(averages[:, 5].mean()),
    }
