"""The errors of a run for its page: the surest mistakes, thumbnails of all, confused pairs of classes, copies."""

import numpy as np

from tljax.data.picture import duplicates
from tljax.reporting import measures
from tljax.reporting.page import pictures
from tljax.reporting.page.html import Content
from tljax.runs.pages import judged
from tljax.runs.pages.finished import Finished
from tljax.runs.pages.judged import Judged
from tljax.runs.pages.probe import Probe

SHOWN, SHEET, PAIRS, COPIES = 12, 60, 8, 12


def gather(run: Finished, found_by: Probe | None) -> Content:
    """The worst examples of the test part; of a task whose answers have no such order, none.

    Args:
      found_by: a probe, which also says which training labels may be wrong.
    """
    kinds = {"classes": _classes, "sets": _sets, "numbers": _numbers}
    found: Content = {"worst": [], "title": "", "sheet": [], "more": 0, "wrong": 0, "pairs": []}
    found |= {"suspects": [], "all_suspects": 0, "probe": ""}
    kind = run.experiment.task.LABEL_KIND
    found |= {"copies": _copies(run), "notes": _notes(run)}
    found |= _suspects(run, found_by) if found_by else {}
    return found | (kinds[kind](run) if kind in kinds else {})


def _suspects(run: Finished, probe: Probe) -> Content:
    """Training examples whose label may be wrong, with what a classifier says that did not learn from them."""
    labels, classes = np.asarray(run.experiment.parts["train"].subset.labels), run.experiment.classes
    shown = []
    for i in map(int, probe.suspects[:SHOWN]):
        row = probe.out_of_fold[np.searchsorted(probe.looked_at, i)]
        label, said = classes[int(labels[i])], classes[int(row.argmax())]
        known = run.card("train", i, f"labelled {label}, a probe says {said}")
        shown.append(known | {"label": label, "said": said, "p": float(row.max())})
    return {"suspects": shown, "all_suspects": len(probe.suspects), "probe": probe.name}


def _classes(run: Finished) -> Content:
    test = run.test
    wrong = test.mistakes()

    def card(i: int, size: int) -> Content:
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


def _sets(run: Finished) -> Content:
    test = judged.of(run)
    worst = [_card(run, test, i, f"labels {test.labels[i]}, predicted {test.said[i]}") for i in test.wrong[:SHOWN]]
    return {"title": "The largest losses", "worst": worst, "wrong": len(test.wrong)}


def _numbers(run: Finished) -> Content:
    test = judged.of(run)
    worst = [_card(run, test, i, f"is {test.labels[i]}, predicted {test.said[i]}") for i in test.wrong[:SHOWN]]
    return {"title": "The largest errors", "worst": worst}


def _card(run: Finished, test: Judged, i: int, alternative: str) -> Content:
    return run.card("test", int(i), alternative) | {"label": test.labels[i], "said": test.said[i], "p": None}


def _copies(run: Finished) -> list[str]:
    """The first lines of copies.txt, for people."""
    lines = run.experiment.lists.get(duplicates.FILE, "").splitlines()
    root = f"{run.experiment.info.source}/"
    more = [f"and {len(lines) - COPIES} more in {duplicates.FILE}"] if len(lines) > COPIES else []
    return [line.replace(root, "").replace("\t", " · ") for line in lines[:COPIES]] + more


def _notes(run: Finished) -> list[str]:
    """What was said of copies and repeats between parts."""
    notes = [note.removeprefix("copies: ") for note in run.experiment.notes if note.startswith(("copies:", "repeats:"))]
    return [note[:1].upper() + note[1:] for note in notes]
