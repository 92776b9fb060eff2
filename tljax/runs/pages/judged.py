"""The test part's labels and answers in words, whether they are classes, sets or numbers."""

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np

from tljax.runs.pages.finished import Finished

GROUPS = 23  # sets of labels that have a colour of their own


@dataclasses.dataclass(frozen=True)
class Judged:
    """N examples; all sequences are in their order."""

    outputs: np.ndarray  # (N, K), as `tljax predict` shows them
    truth: np.ndarray  # (N, K): 1 for a class or label that is true, else 0; or the numbers
    labels: Sequence[str]
    said: Sequence[str]
    right: np.ndarray | None  # (N,) bool; None of numbers
    wrong: np.ndarray  # positions, the worst first; of numbers the half with the larger errors
    groups: Sequence[str]  # the labels that a map tells apart; none of numbers


def of(run: Finished) -> Judged:
    """Of a run whose answers are of `asked.KINDS`."""
    return {"classes": _classes, "sets": _sets, "numbers": _numbers}[run.experiment.task.LABEL_KIND](run)


def _classes(run: Finished) -> Judged:
    test = run.test
    labels, said = ([test.classes[int(i)] for i in some] for some in (test.labels, test.predicted))
    truth = np.arange(len(test.classes)) == test.labels[:, None]
    return Judged(test.probabilities, truth, labels, said, test.right, test.mistakes(), test.classes)


def _sets(run: Finished) -> Judged:
    sums, task = run.totals["test"], run.experiment.task
    truth, outputs = np.asarray(sums["label"]), task.outputs(sums["prediction"])
    losses = -np.log(np.maximum(np.where(truth, outputs, 1 - outputs), 1e-7)).mean(axis=1)
    yes = outputs >= task.threshold
    right, order = (yes == truth).all(axis=1), np.argsort(-losses, kind="stable")

    def names(row: np.ndarray) -> str:
        return ", ".join(name for name, holds in zip(run.experiment.classes, row, strict=True) if holds) or "none"

    labels = [names(row) for row in truth]
    groups = [name for name, _ in collections.Counter(labels).most_common(GROUPS)]
    return Judged(outputs, truth, labels, [names(row) for row in yes], right, order[~right[order]], groups)


def _numbers(run: Finished) -> Judged:
    sums, decode = run.totals["test"], run.experiment.task.decode
    far = np.abs(sums["prediction"] - sums["label"]).max(axis=1)  # standardised: targets have different units
    truth, outputs = decode(sums["label"]), decode(sums["prediction"])
    labels, said = ([", ".join(f"{value:.4g}" for value in row) for row in some] for some in (truth, outputs))
    return Judged(outputs, truth, labels, said, None, np.argsort(-far, kind="stable")[: -(-len(far) // 2)], ())
