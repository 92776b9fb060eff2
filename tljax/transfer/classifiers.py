"""The classifiers of the strategy `classic`: scaling of features, grids of settings, cross-validation and the fit."""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.svm import SVC, LinearSVC

from tljax.core.types import Json, Record

Scores = Callable[[np.ndarray], np.ndarray]
BIAS = 100.0  # ridge's constant feature: so large that the penalty hardly shrinks the bias
TREES = 300


class Ridge(ClassifierMixin, BaseEstimator):
    """`W = (X'X + l2 I)^-1 X'Y = X' (XX' + l2 I)^-1 Y`, by the smaller matrix; Y is 1 at the label, else -1."""

    def __init__(self, l2: float = 1.0) -> None:
        self.l2 = l2

    def fit(self, x: np.ndarray, y: np.ndarray) -> "Ridge":
        self.classes_ = np.unique(y)
        x = np.pad(x, ((0, 0), (0, 1)), constant_values=BIAS)
        targets = np.where(y[:, None] == self.classes_[None], 1.0, -1.0)
        if len(x) >= x.shape[1]:
            weights = np.linalg.solve(x.T @ x + self.l2 * np.eye(x.shape[1]), x.T @ targets)
        else:
            weights = x.T @ np.linalg.solve(x @ x.T + self.l2 * np.eye(len(x)), targets)
        self.coef_, self.intercept_ = weights[:-1].T, BIAS * weights[-1]
        return self

    def decision_function(self, x: np.ndarray) -> np.ndarray:
        return x @ self.coef_.T + self.intercept_

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.classes_[self.decision_function(x).argmax(1)]


# name -> the scaler of its features, and the classifier. GRIDS: the values to choose from, strongest regularisation
# first.
MAKE: Mapping[str, Callable[[], tuple[Any, Any]]] = {
    "logistic": lambda: (StandardScaler(), LogisticRegression(max_iter=1000)),
    "linear_svm": lambda: (StandardScaler(), LinearSVC(dual="auto", max_iter=20_000)),
    "rbf_svm": lambda: (StandardScaler(), SVC()),
    "knn": lambda: (Normalizer(), KNeighborsClassifier()),
    "random_forest": lambda: ("passthrough", RandomForestClassifier(TREES)),
    "ridge": lambda: (StandardScaler(), Ridge()),
}
GRIDS: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "logistic": {"C": tuple(10.0**e for e in range(-5, 2))},
    "linear_svm": {"C": tuple(10.0**e for e in range(-6, 1))},
    "rbf_svm": {"C": (0.1, 1.0, 10.0, 100.0), "gamma": (0.1, 0.3, 1.0, 3.0)},  # gamma: times 1 / D
    "knn": {"n_neighbors": (50, 20, 10, 5, 3, 1)},
    "random_forest": {"min_samples_leaf": (10, 5, 2, 1)},
    "ridge": {"l2": tuple(2.0**e for e in range(20, -11, -2))},
}


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A classifier that has been fitted."""

    scores: Scores  # features (N, D) -> (N, K); the predicted class has the largest
    chosen: Record  # the settings that cross-validation chose
    accuracy: float | None  # mean over folds with these settings; None if a class is too small for folds
    learned: int  # number of learned numbers: weights; a kernel machine's coefficients; nodes of trees; knn: 0
    linear: tuple[np.ndarray, np.ndarray] | None  # kernel (D, K) and bias (K,) of a linear classifier


def fit(x: np.ndarray, y: np.ndarray, config: ConfigDict, *, seed: int, together: np.ndarray | None = None) -> Fitted:
    """Choose and fit `config.classifier`.

    Args:
      x: features (N, D) of the training part.
      y: labels (N,), at least one of every class.
      seed: for the folds, and for random classifiers.
      together: (N,) numbers of what belongs together (`data.group`), which stays in one fold.
    """
    x, name = np.asarray(x, np.float64), config.classifier
    groups = np.arange(len(y)) if together is None else together
    folds = min(config.folds, *(len(np.unique(groups[y == label])) for label in np.unique(y)))
    grid = _grid(name, x, folds)
    if folds < 2:  # a class of one example, or of one patient, cannot be held out
        chosen, accuracy = {key: values[len(values) // 2] for key, values in grid.items()}, None
    else:
        cv = (StratifiedKFold if together is None else StratifiedGroupKFold)(folds, shuffle=True, random_state=seed)
        search = GridSearchCV(_pipeline(name, seed), _of_fit(grid), cv=cv, refit=False).fit(x, y, groups=together)
        chosen = {key.removeprefix("fit__"): value for key, value in search.best_params_.items()}
        accuracy = float(search.best_score_)
    model = _fitted(x, y, name, chosen, seed)
    linear = _linear(model)
    return Fitted(
        scores=(lambda some: some @ linear[0] + linear[1]) if linear else partial(_scores, model),
        chosen=chosen,
        accuracy=accuracy,
        learned=sum(part.size for part in linear) if linear else _learned(model["fit"]),
        linear=linear,
    )


def refit(x: np.ndarray, y: np.ndarray, *, classifier: str, chosen: Json, seed: int) -> Scores:
    """The scores of a classifier that is not linear: fitted again to the same `x` and `y` with the chosen settings."""
    return partial(_scores, _fitted(np.asarray(x, np.float64), y, classifier, chosen, seed))


def _pipeline(name: str, seed: int) -> Pipeline:
    pipeline = Pipeline(list(zip(("scale", "fit"), MAKE[name](), strict=True)))
    return pipeline.set_params(fit__random_state=seed) if "fit__random_state" in pipeline.get_params() else pipeline


def _of_fit(values: Json) -> Record:
    """The settings under the names that a pipeline has for those of its last step."""
    return {f"fit__{key}": value for key, value in values.items()}


def _fitted(x: np.ndarray, y: np.ndarray, name: str, chosen: Json, seed: int) -> Pipeline:
    return _pipeline(name, seed).set_params(**_of_fit(chosen)).fit(x, y)


def _grid(name: str, x: np.ndarray, folds: int) -> dict[str, list[Any]]:
    """The values to choose from that are possible with these examples."""
    grid = {key: list(values) for key, values in GRIDS[name].items()}
    if name == "knn":
        smallest = len(x) if folds < 2 else len(x) - -(-len(x) // folds)  # examples to fit on in the smallest fold
        grid["n_neighbors"] = [k for k in grid["n_neighbors"] if k <= smallest] or [1]
    if name == "rbf_svm":
        grid["gamma"] = [factor / x.shape[1] for factor in grid["gamma"]]
    return grid


def _linear(model: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """Kernel (D, K) and bias (K,) for unscaled features (they include the scaling); None if it is not linear."""
    scale, last = model.named_steps.values()
    if not hasattr(last, "intercept_") or isinstance(last, SVC):
        return None
    kernel, bias = last.coef_.T, np.asarray(last.intercept_)
    if kernel.shape[1] == 1:  # for two classes scikit-learn keeps only the difference
        kernel, bias = np.concatenate([0 * kernel, kernel], axis=1), np.concatenate([0 * bias, bias])
    kernel = kernel / scale.scale_[:, None]
    return kernel, bias - scale.mean_ @ kernel


def _scores(model: Any, x: np.ndarray) -> np.ndarray:
    """(N, K): decision values; for votes log((votes + 1) / (voters + K)), Laplace's rule, never -inf."""
    if hasattr(model, "decision_function"):
        values = model.decision_function(x)
        return np.stack([0 * values, values], axis=1) if values.ndim == 1 else values
    voters, shares = getattr(model["fit"], "n_neighbors", TREES), model.predict_proba(x)
    return np.log((shares * voters + 1) / (voters + shares.shape[1]))


def _learned(last: Any) -> int:
    if isinstance(last, SVC):
        return last.dual_coef_.size + last.intercept_.size
    return sum(tree.tree_.node_count for tree in getattr(last, "estimators_", ()))
