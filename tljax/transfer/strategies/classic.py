"""Compute features once, then fit a classifier without gradient steps: from scikit-learn, or ridge regression.

`strategy.classifier` is one of:
  logistic       multinomial logistic regression by L-BFGS, as the linear probes of Radford et al. 2021 (CLIP, A.3)
  linear_svm     one against the rest, squared hinge loss (Fan et al. 2008, LIBLINEAR)
  rbf_svm        Gaussian kernel (Cortes & Vapnik 1995); gamma is a factor on 1 / D
  knn            votes of the k nearest by cosine, as Wu et al. 2018, but without their weights of votes
  random_forest  300 trees (Breiman 2001)
  ridge          the few-shot protocol of Dosovitskiy et al. 2020 (ViT, section 4.1) as in big_vision: least squares
                 with an L2 penalty, targets of +-1, and a constant feature of 100 (a bias that is hardly shrunk)
For all except knn and random_forest, features are standardised by the training part.

The strength of regularisation, and k, are chosen from a grid (`classifiers.GRIDS`, strongest first) by the mean
accuracy of a stratified cross-validation on the training part; of equal values, the strongest is taken.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from tljax.core import layer_groups, plugins
from tljax.core.layer_groups import Groups
from tljax.core.options import Option, Rule
from tljax.core.types import Json, Phase

PRETRAINED = True
FOLDS: Rule = ("at least 2", lambda x: x >= 2)
OPTIONS = {
    "classifier": Option("logistic", "logistic, linear_svm, rbf_svm, knn, random_forest or ridge."),
    "folds": Option(5, "Folds of the cross-validation; at most the examples of the smallest class.", FOLDS),
}


def plan(groups: Groups, config: ConfigDict) -> tuple[Phase, ...]:
    """One phase in which only the head changes; `fit` replaces the training.

    Raises:
      ConfigError: no such classifier, or the head has no group of its own.
    """
    from tljax.transfer import classifiers  # it imports scikit-learn, which takes a second

    plugins.entry(classifiers.MAKE, config.classifier, "config.strategy.classifier")
    head = layer_groups.head(groups)
    return (Phase("classic", 1.0, {group: float(group == head) for group in groups}),)


def fit(x: np.ndarray, y: np.ndarray, config: ConfigDict, *, seed: int, together: np.ndarray | None = None) -> Any:
    """Fit a classifier to features (N, D) and labels (N,): `classifiers.fit`; a group stays in one fold."""
    from tljax.transfer import classifiers

    return classifiers.fit(x, y, config, seed=seed, together=together)


def refit(
    x: np.ndarray, y: np.ndarray, *, classifier: str, chosen: Json, seed: int
) -> Callable[[np.ndarray], np.ndarray]:
    """The scores of a classifier that is not linear: fitted again to the same `x` and `y` with the chosen settings."""
    from tljax.transfer import classifiers

    return classifiers.refit(x, y, classifier=classifier, chosen=chosen, seed=seed)
