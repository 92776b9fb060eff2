"""Metrics of a part's probabilities besides accuracy: for each class, calibration, and mistakes.

Probabilities are (N, K), labels (N,) are numbers of classes; a confusion matrix (K, K) has a row for each label.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from tljax.core.untrusted import Record

DRAWN = 1000  # classes up to which a confusion matrix is made: its size is their square
BINS = 15  # bins of equal width for the calibration error, as in Guo et al. 2017


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Labels and predicted probabilities of every example of a part, for classification."""

    classes: Sequence[str]
    labels: np.ndarray  # (N,)
    probabilities: np.ndarray  # (N, K)

    @property
    def predicted(self) -> np.ndarray:
        """(N,)"""
        return self.probabilities.argmax(axis=1)

    @property
    def sureness(self) -> np.ndarray:
        """The probability of the predicted class, (N,)."""
        return self.probabilities.max(axis=1)

    @property
    def right(self) -> np.ndarray:
        """(N,) bool."""
        return self.predicted == self.labels

    @property
    def confusion(self) -> np.ndarray:
        """(K, K) counts."""
        return matrix(self.labels, self.predicted, len(self.classes))

    def mistakes(self) -> np.ndarray:
        """Positions of wrong predictions, the surest first."""
        wrong = np.flatnonzero(~self.right)
        return wrong[np.argsort(-self.sureness[wrong], kind="stable")]


def matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """The confusion matrix (K, K) of labels (N,) and predictions (N,): row = label, column = prediction."""
    cells = np.asarray(labels, np.int64) * classes + predicted
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def per_class(outcome: Outcome) -> dict[str, np.ndarray]:
    """Precision, recall, F1 and number of examples of every class, (K,) each; 0 if the divisor is 0."""
    said_of, size = outcome.predicted, len(outcome.classes)
    labels, predicted, hits = (
        np.bincount(some, minlength=size) for some in (outcome.labels, said_of, said_of[said_of == outcome.labels])
    )
    return {
        "precision": hits / np.maximum(predicted, 1),
        "recall": hits / np.maximum(labels, 1),
        "f1": 2 * hits / np.maximum(labels + predicted, 1),
        "examples": labels,
    }


def commonest(outcome: Outcome, train: np.ndarray) -> tuple[str, float]:
    """(The most common class of the training labels, the accuracy of always predicting it)."""
    guess = int(np.bincount(train, minlength=len(outcome.classes)).argmax())
    return outcome.classes[guess], float((outcome.labels == guess).mean())


def confused(outcome: Outcome, most: int) -> list[Record]:
    """The pairs of classes that are confused most often."""
    classes, wrong = outcome.classes, ~outcome.right
    mistakes = np.stack([outcome.labels[wrong], outcome.predicted[wrong]], axis=1)
    pairs, counts = np.unique(mistakes, axis=0, return_counts=True)
    of = np.bincount(outcome.labels, minlength=len(classes))
    return [
        {"label": classes[a], "said": classes[b], "count": int(count), "of": int(of[a])}
        for (a, b), count in ((pairs[i], counts[i]) for i in np.argsort(-counts, kind="stable")[:most])
    ]


def reliability(outcome: Outcome, bins: int = BINS) -> list[tuple[float, float, int]]:
    """(Mean sureness, accuracy, examples) for every bin of sureness that is not empty."""
    place = np.minimum((outcome.sureness * bins).astype(int), bins - 1)
    return [
        (float(outcome.sureness[here].mean()), float(outcome.right[here].mean()), int(here.sum()))
        for here in (place == i for i in range(bins))
        if here.any()
    ]


def average_precision(labels: np.ndarray, scores: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Average precision of K labels, both (N, K): precision at every threshold, weighted by the recall it adds.

    Returns:
      A function of the weight of every example (N,), to (K,); NaN for a label without weight.
    """
    order = np.argsort(-scores, axis=0, kind="stable")
    labels, scores = (np.take_along_axis(x, order, axis=0) for x in (labels.astype(np.float64), scores))
    last = np.vstack([scores[1:] != scores[:-1], np.ones_like(scores[:1], bool)])  # of examples with equal scores
    places = np.where(last, np.arange(len(scores))[:, None], len(scores))
    ends = np.minimum.accumulate(places[::-1], axis=0)[::-1]

    def weighted(weights: np.ndarray) -> np.ndarray:
        moved = weights[order]
        hits, all_of = (np.cumsum(x, axis=0) for x in (moved * labels, moved))
        precision = np.take_along_axis(hits / np.maximum(all_of, 1e-300), ends, axis=0)
        with np.errstate(invalid="ignore"):
            return (moved * labels * precision).sum(axis=0) / hits[-1]

    return weighted


def calibration_error(outcome: Outcome) -> float:
    """The mean difference between sureness and accuracy over bins of sureness (ECE; Guo et al. 2017, equation 3)."""
    return sum(n * abs(sure - right) for sure, right, n in reliability(outcome)) / len(outcome.labels)


def coverage(outcome: Outcome) -> tuple[np.ndarray, np.ndarray]:
    """(Shares of the examples, the surest first; the accuracy on each share): the gain of leaving out unsure ones."""
    order = np.argsort(-outcome.sureness, kind="stable")
    count = np.arange(1, len(order) + 1)
    return count / len(order), outcome.right[order].cumsum() / count


def conformal(held_out: Outcome, outcome: Outcome, share: float = 0.9) -> dict[str, float] | None:
    """Sets of classes that hold the true class in at least `share` of the cases (Sadinle et al. 2019).

    Args:
      held_out: a part that was not used for training.

    Returns:
      "threshold": a class is in the set from this probability on; "covered": how often the set holds the label; "size":
      mean number of classes in a set. None if `held_out` is too small to guarantee the share.
    """
    scores = np.sort(1 - held_out.probabilities[np.arange(len(held_out.labels)), held_out.labels])
    place = int(np.ceil((len(scores) + 1) * share))
    if place > len(scores):
        return None
    inside = outcome.probabilities >= 1 - scores[place - 1]
    covered = inside[np.arange(len(outcome.labels)), outcome.labels]
    return {
        "threshold": float(1 - scores[place - 1]),
        "covered": float(covered.mean()),
        "size": float(inside.sum(axis=1).mean()),
    }
