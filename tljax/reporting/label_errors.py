"""Which labels may be wrong: confident learning (Northcutt et al. 2021)."""

import numpy as np

FOLDS = 5


def candidates(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Positions of examples whose label may be wrong, the likeliest first.

    A class counts for an example where its probability is at least the mean that examples with that label have; an
    example is a candidate where the likeliest of the classes that count is not its label. They are sorted by how
    unlikely the label is.

    Args:
      labels: (N,) as given.
      probabilities: (N, K), each from a classifier that did not learn from that example.
    """
    size, rows = probabilities.shape[1], np.arange(len(labels))
    thresholds = np.array([_mean(probabilities[labels == k, k]) for k in range(size)])
    counts = probabilities >= thresholds[None]
    other = np.where(counts, probabilities, -1).argmax(axis=1)
    wrong = np.flatnonzero(counts.any(axis=1) & (other != labels))
    return wrong[np.argsort(probabilities[rows, labels][wrong], kind="stable")]


def _mean(values: np.ndarray) -> float:
    """2, which no probability reaches, for a class without examples."""
    return float(values.mean()) if len(values) else 2.0
