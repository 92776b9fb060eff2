"""The cheapest honest way to the same answer where labels are sets or numbers; `probe` has that for classes."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tljax.reporting import measures
from tljax.reporting.page.html import Content
from tljax.runs.pages import probe
from tljax.runs.pages.finished import Finished

LABELS = 100  # of sets; with more it is not cheap
ALPHA = {"words": 1.0, "features": 1 / probe.STRENGTH}  # scikit-learn's, of a ridge regression


def measure(run: Finished) -> Content | None:
    """ "name", "value" of the run's metric on the test part, "examples", "why" and "interval", which is not measured.

    None where it is not cheap, or the metric is another.
    """
    kind, metric = run.experiment.task.LABEL_KIND, run.result["metric"]
    if not run.full or (kind, metric) not in FITS or len(run.experiment.classes) > LABELS:
        return None
    places = {part: probe.drawn(len(run.experiment.parts[part]), run.config.seed) for part in ("train", "test")}
    labels = {part: np.asarray(run.experiment.parts[part].subset.labels)[some] for part, some in places.items()}
    name, what, rows, _ = probe.rows(run, places)
    prepared = (probe.words() if run.of_texts else probe.scaler()).fit(rows["train"])
    train, test = (prepared.transform(rows[part]) for part in ("train", "test"))
    said, fit = FITS[kind, metric]
    value = fit(train, labels["train"], test, labels["test"], "words" if run.of_texts else "features")
    return {"name": name, "value": value, "why": f"{said} on {what}", "examples": len(labels["test"]), "interval": None}


def _sets(train: Any, labels: np.ndarray, test: Any, truth: np.ndarray, of: str) -> float:
    """The mean average precision of a logistic regression for every label."""
    from sklearn.linear_model import LogisticRegression

    scores = np.zeros(truth.shape)
    for k, column in enumerate(labels.T):
        if len(set(column.tolist())) == 2:  # one that all have, or none, cannot be fitted
            fitted = LogisticRegression(**probe.SETTINGS[of]).fit(train, column)
            scores[:, k] = fitted.decision_function(test)
    found = measures.average_precision(truth, scores)(np.ones(len(truth)))
    return float(found[np.isfinite(found)].mean())


def _numbers(train: Any, labels: np.ndarray, test: Any, truth: np.ndarray, of: str) -> float:
    """The mean R^2 of a ridge regression; standardised labels have that of the user's."""
    from sklearn.linear_model import Ridge
    from sklearn.metrics import r2_score

    fitted = Ridge(alpha=ALPHA[of]).fit(train, labels)
    return float(r2_score(truth, fitted.predict(test).reshape(truth.shape)))


FITS: dict[tuple[str, str], tuple[str, Callable[..., float]]] = {
    ("sets", "mean_average_precision"): ("a logistic regression for every label", _sets),
    ("numbers", "r2"): ("ridge regression", _numbers),
}
