"""Transferability: scores of how well frozen features suit a task, from features, labels and the source's outputs.

Nothing is trained. Larger is better for every score. Scores rank weights on one data set; only `knn` is an accuracy.
"""

import dataclasses

import numpy as np

ROUNDS = 1000  # the most iterations of LogME's fixed point; with fewer examples than features it takes some hundreds
CLOSE = 1e-9  # relative change of alpha / beta at which the iteration has converged
TINY = 1e-12  # replaces 0 in divisors


@dataclasses.dataclass(frozen=True)
class Facts:
    """Facts about a task that are measured before training."""

    examples: int
    classes: int
    smallest: int  # examples of the smallest class
    largest: int
    knn: float  # accuracy among `measured` examples
    chance: float  # accuracy of always predicting the largest class, among the same examples
    logme: float
    shrunk_h: float
    measured: int  # number of examples that were used

    @property
    def per_class(self) -> float:
        return self.examples / self.classes

    @property
    def similarity(self) -> float:
        """(accuracy - chance) / (1 - chance): at most 1, below 0 if worse than chance."""
        return (self.knn - self.chance) / max(1 - self.chance, TINY)

    @property
    def error(self) -> float:
        """The standard error of `similarity`: the binomial's, as if the examples were independent."""
        return float(np.sqrt(self.knn * (1 - self.knn) / self.measured)) / max(1 - self.chance, TINY)


def facts(features: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> Facts:
    """Measure the facts.

    Args:
      features: (N, D), frozen features of all or some training examples.
      labels: (N,), their labels.
      counts: (K,) training examples of every class.
    """
    return Facts(
        examples=int(counts.sum()),
        classes=len(counts),
        smallest=int(counts.min()),
        largest=int(counts.max()),
        knn=knn(features, labels),
        chance=float(np.bincount(labels).max() / len(labels)),
        logme=logme(features, labels),
        shrunk_h=shrunk_h_score(features, labels),
        measured=len(labels),
    )


def logme(features: np.ndarray, labels: np.ndarray) -> float:
    """LogME (You et al. 2021): the largest log evidence of a linear model from features to labels, per example.

    y = F w + noise, w ~ N(0, 1 / alpha), noise ~ N(0, 1 / beta). With A = alpha I + beta F'F and m = beta A^-1 F'y,

      L = n/2 log beta + D/2 log alpha - n/2 log 2 pi - beta/2 |Fm - y|^2 - alpha/2 m'm - 1/2 log det A

    is increased by alpha <- gamma / m'm and beta <- (n - gamma) / |Fm - y|^2. Here gamma is the sum of
    beta s_i^2 / (alpha + beta s_i^2) over the singular values s_i of F. Both start at 1. The scale of F is such that
    the mean of s_i^2 is 1; the largest L does not depend on it. The score is the mean of max L / n over classes that
    occur, where y is 1 for examples of the class and 0 for the others.

    Args:
      features: (N, D).
      labels: (N,), 0 to K - 1.
    """
    features = np.asarray(features, np.float64)
    left, singular, _ = np.linalg.svd(features, full_matrices=False)
    evidence = [_evidence(left, singular, features.shape, labels == label) for label in np.unique(labels)]
    return float(np.mean(evidence))


def _evidence(left: np.ndarray, singular: np.ndarray, shape: tuple[int, ...], target: np.ndarray) -> float:
    """max L / n for one target (N,); `left` (N, r) and `singular` (r,) are from the SVD of the features, (N, D)."""
    n, squares = shape[0], singular**2 / max(float(np.mean(singular**2)), TINY**2)
    projected = (left.T @ target) ** 2  # (r,): y'y along each singular vector
    outside = max(float(target.sum() - projected.sum()), 0.0)  # the part of y'y outside the span of the features
    alpha = beta = 1.0
    for _ in range(ROUNDS):
        shares = beta * squares / (alpha + beta * squares)
        gamma, ratio = shares.sum(), alpha / beta
        length = (beta**2 * squares / (alpha + beta * squares) ** 2 * projected).sum()  # m'm
        residual = ((1 - shares) ** 2 * projected).sum() + outside  # |Fm - y|^2
        alpha, beta = max(gamma / max(length, TINY), TINY), (n - gamma) / max(residual, TINY)
        if abs(alpha / beta - ratio) <= CLOSE * ratio:
            break
    shares = beta * squares / (alpha + beta * squares)
    length = (beta**2 * squares / (alpha + beta * squares) ** 2 * projected).sum()
    residual = ((1 - shares) ** 2 * projected).sum() + outside
    determinant = np.log1p(beta * squares / alpha).sum()  # log det A - D log alpha
    evidence = n * np.log(beta / (2 * np.pi)) - beta * residual - alpha * length - determinant
    return float(evidence / (2 * n))


def h_score(features: np.ndarray, labels: np.ndarray) -> float:
    """H-score (Bao et al. 2019): tr(cov(f)^-1 cov(E[f | y])), 0 to K - 1.

    The inverse is Moore and Penrose's. If there are not more examples than features, the score is K - 1 for almost all
    features, and has no meaning.
    """
    centred = _centred(features)
    inverse = np.linalg.pinv(centred.T @ centred / len(labels), hermitian=True)
    return float(np.sum(inverse * _between(centred, labels)))


def shrunk_h_score(features: np.ndarray, labels: np.ndarray) -> float:
    """The H-score with a shrunk covariance, for few examples (Ibrahim et al. 2021).

    tr(cov_a^-1 (1 - a) cov(E[f | y])), where cov_a = (1 - a) cov(f) + a (tr cov(f) / D) I, and a is that of Ledoit and
    Wolf (2004). The inverse is Moore and Penrose's: constant features have score 0.
    """
    centred = _centred(features)
    from sklearn.covariance import LedoitWolf

    estimate = LedoitWolf(assume_centered=True).fit(centred)
    return float(
        np.sum(
            np.linalg.pinv(estimate.covariance_, hermitian=True) * (1 - estimate.shrinkage_) * _between(centred, labels)
        )
    )


def _centred(features: np.ndarray) -> np.ndarray:
    return np.asarray(features, np.float64) - np.mean(features, axis=0, dtype=np.float64)


def _between(centred: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """cov(E[f | y]), (D, D)."""
    _, labels = np.unique(labels, return_inverse=True)
    means = np.stack([centred[labels == label].mean(0) for label in range(labels.max() + 1)])[labels]
    return means.T @ means / len(labels)


def leep(outputs: np.ndarray, labels: np.ndarray) -> float:
    """LEEP (Nguyen et al. 2020): the mean over examples of log sum_z P(y | z) p(z | x).

    p(z | x), (N, Z), are the source classifier's probabilities, and P(y | z) follows from P(y, z), their mean over
    the examples of class y, weighted by its share.
    """
    joint = np.stack([outputs[labels == label].sum(0) for label in range(int(labels.max()) + 1)]) / len(labels)
    conditional = joint / np.maximum(joint.sum(0), TINY)  # (K, Z)
    return float(np.log((conditional[labels] * outputs).sum(1)).mean())


def nce(outputs: np.ndarray, labels: np.ndarray) -> float:
    """Negative conditional entropy -H(Y | Z) (Tran et al. 2019): z is the predicted source class."""
    predicted = outputs.argmax(1)
    counts = np.zeros((int(labels.max()) + 1, outputs.shape[1]))
    np.add.at(counts, (labels, predicted), 1)
    return float(np.log(counts[labels, predicted] / counts.sum(0)[predicted]).mean())


def knn(features: np.ndarray, labels: np.ndarray, *, k: int = 5) -> float:
    """Leave-one-out accuracy of k nearest neighbours by cosine: votes; in a tie, the class of larger similarity."""
    unit = np.asarray(features, np.float64)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), TINY)
    k, one_hot = min(k, len(labels) - 1), np.eye(int(labels.max()) + 1)[labels]
    correct = 0
    for begin in range(0, len(unit), 1024):  # (1024, N) at a time
        places = np.arange(begin, min(begin + 1024, len(unit)))
        near = unit[places] @ unit.T
        near[np.arange(len(places)), places] = -np.inf
        chosen = np.argpartition(-near, k - 1, axis=1)[:, :k]
        similar = np.take_along_axis(near, chosen, axis=1)  # (b, k), in [-1, 1]
        votes = one_hot[chosen].sum(1) + (one_hot[chosen] * (similar[..., None] + 1)).sum(1) / (2 * k + 1)
        correct += int((votes.argmax(1) == labels[places]).sum())
    return correct / len(labels)


def scores(features: np.ndarray, labels: np.ndarray, logits: np.ndarray | None) -> dict[str, float | None]:
    """All scores; None if one has no meaning: the H-score with few examples, and LEEP and NCE without `logits`."""
    from scipy.special import softmax

    outputs = None if logits is None else softmax(np.asarray(logits, np.float64), axis=1)
    return {
        "LogME": logme(features, labels),
        "H-score": h_score(features, labels) if len(features) > features.shape[1] else None,
        "shrunk H": shrunk_h_score(features, labels),
        "LEEP": None if outputs is None else leep(outputs, labels),
        "NCE": None if outputs is None else nce(outputs, labels),
        "kNN": knn(features, labels),
    }
