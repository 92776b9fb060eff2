"""The errors of a run for its page: the surest mistakes, thumbnails of all, confused pairs of classes, copies."""

from typing import Any

import numpy as np

from tljax.data.picture import copies
from tljax.reporting import measures
from tljax.reporting.page import pictures
from tljax.runs.pages.finished import Finished
from tljax.runs.pages.probe import Probe

SHOWN, SHEET, PAIRS, COPIES = 12, 60, 8, 12


def gather(run: Finished, found_by: Probe | None) -> dict[str, Any]:
    """The worst examples of the test part; of a task whose answers have no such order, none.

    Args:
      found_by: a probe, which also says which training labels may be wrong.
    """
    kinds = {"classes": _classes, "sets": _sets, "numbers": _numbers}
    found: dict[str, Any] = {"worst": [], "title": "", "sheet": [], "more": 0, "wrong": 0, "pairs": []}
    found |= {"suspects": [], "all_suspects": 0, "probe": ""}
    kind = run.experiment.task.LABEL_KIND
    found |= {"copies": _copies(run), "notes": _notes(run)}
    found |= _suspects(run, found_by) if found_by else {}
    return found | (kinds[kind](run) if kind in kinds else {})


def _suspects(run: Finished, probe: Probe) -> dict[str, Any]:
    """Training examples whose label may be wrong, with what a classifier says that did not learn from them."""
    labels, classes = np.asarray(run.experiment.parts["train"].subset.labels), run.experiment.classes
    shown = []
    for i in map(int, probe.suspects[:SHOWN]):
        row = probe.out_of_fold[np.searchsorted(probe.looked_at, i)]
        label, said = classes[int(labels[i])], classes[int(row.argmax())]
        known = run.card("train", i, f"labelled {label}, a probe says {said}")
        shown.append(known | {"label": label, "said": said, "p": float(row.max())})
    return {"suspects": shown, "all_suspects": len(probe.suspects), "probe": probe.name}


def _classes(run: Finished) -> dict[str, Any]:
    test = run.test
    wrong = test.mistakes()

    def card(i: int, size: int) -> dict[str, Any]:
        label, said = test.classes[int(test.labels[i])], test.classes[int(test.predicted[i])]
        known = run.card("test", i, f"labelled {label}, predicted {said}", size=size)
        return known | {"label": label, "said": said, "p": float(test.sureness[i])}

    worst = [card(int(i), pictures.THUMBNAIL) for i in wrong[:SHOWN]]
    sheet = [card(int(i), pictures.SMALL) for i in wrong[SHOWN : SHOWN + SHEET]] if not run.of_texts else []
    return {
        "title": "The surest mistakes",
        "worst": worst,
        "sheet": sheet,
        "more": len(wrong) - len(worst) - len(sheet),
        "wrong": len(wrong),
        "pairs": measures.confused(test, PAIRS),
    }


def _sets(run: Finished) -> dict[str, Any]:
    sums, classes = run.totals["test"], run.experiment.classes
    labels, probabilities = np.asarray(sums["label"]), run.experiment.task.outputs(sums["prediction"])
    losses = -np.log(np.maximum(np.where(labels, probabilities, 1 - probabilities), 1e-7)).mean(axis=1)

    def names(row: np.ndarray) -> str:
        return ", ".join(name for name, holds in zip(classes, row, strict=True) if holds) or "none"

    yes = probabilities >= run.experiment.task.threshold
    order = [int(i) for i in np.argsort(-losses, kind="stable")[:SHOWN] if (yes[i] != labels[i]).any()]
    worst = [
        run.card("test", i, f"labels {names(labels[i])}, predicted {names(yes[i])}")
        | {"label": names(labels[i]), "said": names(yes[i]), "p": None}
        for i in order
    ]
    return {"title": "The largest losses", "worst": worst, "wrong": int((yes != labels).any(axis=1).sum())}


def _numbers(run: Finished) -> dict[str, Any]:
    sums, decode = run.totals["test"], run.experiment.task.decode
    far = np.abs(sums["prediction"] - sums["label"]).max(axis=1)
    labels, found = decode(sums["label"]), decode(sums["prediction"])

    def shown(row: np.ndarray) -> str:
        return ", ".join(f"{value:.4g}" for value in row)

    worst = [
        run.card("test", int(i), f"is {shown(labels[i])}, predicted {shown(found[i])}")
        | {"label": shown(labels[i]), "said": shown(found[i]), "p": None}
        for i in np.argsort(-far, kind="stable")[:SHOWN]
    ]
    return {"title": "The largest errors", "worst": worst}


def _copies(run: Finished) -> list[str]:
    """The first lines of copies.txt, for people."""
    lines = run.experiment.lists.get(copies.FILE, "").splitlines()
    root = f"{run.experiment.info.source}/"
    more = [f"and {len(lines) - COPIES} more in {copies.FILE}"] if len(lines) > COPIES else []
    return [line.replace(root, "").replace("\t", " · ") for line in lines[:COPIES]] + more


def _notes(run: Finished) -> list[str]:
    """What was said of copies and repeats between parts."""
    return [note for note in run.experiment.notes if note.startswith(("copies:", "repeats:"))]
