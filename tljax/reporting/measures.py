"""What a part's probabilities say beyond accuracy: how good for each class, how sure, and where they are wrong.

Probabilities are (N, K), labels (N,) numbers of classes, a confusion matrix (K, K) has a row a label.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

BINS = 15  # of equal width, as Guo et al. 2017 count calibration error


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run says of every example of a part, where labels are classes."""

    classes: Sequence[str]
    labels: np.ndarray  # (N,)
    probabilities: np.ndarray  # (N, K)

    @property
    def predicted(self) -> np.ndarray:
        """(N,)"""
        return self.probabilities.argmax(axis=1)

    @property
    def sureness(self) -> np.ndarray:
        """The probability of what is predicted, (N,)."""
        return self.probabilities.max(axis=1)

    @property
    def right(self) -> np.ndarray:
        """(N,) bool."""
        return self.predicted == self.labels

    @property
    def confusion(self) -> np.ndarray:
        """(K, K) counts."""
        size = len(self.classes)
        return np.bincount(self.labels * size + self.predicted, minlength=size**2).reshape(size, size)

    def mistakes(self) -> np.ndarray:
        """Positions of what is wrong, the surest first."""
        wrong = np.flatnonzero(~self.right)
        return wrong[np.argsort(-self.sureness[wrong], kind="stable")]


def per_class(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall, F1 and number of examples of every class, (K,) each; 0 where there is nothing to divide."""
    hits, labels, said = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    return {
        "precision": hits / np.maximum(said, 1),
        "recall": hits / np.maximum(labels, 1),
        "f1": 2 * hits / np.maximum(labels + said, 1),
        "examples": labels,
    }


def summary(outcome: Outcome) -> dict[str, float]:
    """Macro F1 and balanced accuracy over the classes that the part has; of two classes the area under their ROC."""
    from sklearn.metrics import roc_auc_score

    found = per_class(outcome.confusion)
    present = found["examples"] > 0
    said = {"macro F1": float(found["f1"][present].mean()), "balanced accuracy": float(found["recall"][present].mean())}
    if len(outcome.classes) == 2 and present.all():
        said["ROC-AUC"] = float(roc_auc_score(outcome.labels, outcome.probabilities[:, 1]))
    return said


def commonest(outcome: Outcome, train: np.ndarray) -> tuple[str, float]:
    """(The commonest class of the training labels, the accuracy of always saying it)."""
    guess = int(np.bincount(train, minlength=len(outcome.classes)).argmax())
    return outcome.classes[guess], float((outcome.labels == guess).mean())


def confused(confusion: np.ndarray, classes: Sequence[str], most: int) -> list[dict[str, Any]]:
    """The pairs of classes that are taken for each other most often."""
    wrong = confusion - np.diag(np.diag(confusion))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    cells = [np.unravel_index(i, wrong.shape) for i in order]
    return [
        {"label": classes[a], "said": classes[b], "count": int(wrong[a, b]), "of": int(confusion[a].sum())}
        for a, b in cells
        if wrong[a, b]
    ]


def reliability(outcome: Outcome, bins: int = BINS) -> list[tuple[float, float, int]]:
    """(Mean sureness, accuracy, examples) of every bin of sureness that has any."""
    place = np.minimum((outcome.sureness * bins).astype(int), bins - 1)
    return [
        (float(outcome.sureness[here].mean()), float(outcome.right[here].mean()), int(here.sum()))
        for here in (place == i for i in range(bins))
        if here.any()
    ]


def calibration_error(outcome: Outcome) -> float:
    """The mean difference between sureness and accuracy over bins of sureness (ECE; Guo et al. 2017, equation 3)."""
    return sum(n * abs(sure - right) for sure, right, n in reliability(outcome)) / len(outcome.labels)


def coverage(outcome: Outcome) -> tuple[np.ndarray, np.ndarray]:
    """(Shares of the examples, the surest first; the accuracy on each): what it is worth to leave out the rest."""
    order = np.argsort(-outcome.sureness, kind="stable")
    count = np.arange(1, len(order) + 1)
    return count / len(order), outcome.right[order].cumsum() / count


def conformal(held_out: Outcome, outcome: Outcome, share: float = 0.9) -> dict[str, float] | None:
    """Sets of classes that hold the true one in at least `share` of the cases (Sadinle et al. 2019).

    Args:
      held_out: a part that nothing was learned from; None comes back where it is too small to promise that.

    Returns:
      "threshold": a class is in the set from that probability on; "covered": how often the set holds the label; "size":
      classes in a set, the mean.
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
