"""Scores against their definitions, worked by other means: dense Gaussians on a grid, covariances, hand and loop."""

import numpy as np
import pytest
from scipy import optimize, stats

from tljax.transfer import transferability as t

RNG = np.random.default_rng(0)


def make(n=24, width=3, classes=2, signal=1.0):
    labels = np.arange(n) % classes
    centres = RNG.normal(size=(classes, width))
    return signal * centres[labels] + RNG.normal(size=(n, width)), labels


@pytest.mark.parametrize("width", [3, 30])
def test_logme_is_the_largest_evidence_on_a_grid(width):
    """y ~ N(0, I / beta + F F' / alpha): a dense Gaussian's density, and nowhere on a grid is it larger."""
    features, labels = make(width=width)
    grid, found = np.exp(np.linspace(-7, 7, 141)), []
    for label in (0, 1):
        y = (labels == label).astype(float)
        values, vectors = np.linalg.eigh(features @ features.T)
        along = (vectors.T @ y) ** 2
        variances = 1 / grid[None, :, None] + np.maximum(values, 0) / grid[:, None, None]  # (alpha, beta, N)
        density = -0.5 * (np.log(2 * np.pi * variances) + along / variances).sum(-1)
        i, j = np.unravel_index(density.argmax(), density.shape)
        cov = np.eye(len(y)) / grid[j] + features @ features.T / grid[i]
        assert density[i, j] == pytest.approx(stats.multivariate_normal(np.zeros(len(y)), cov).logpdf(y))
        assert 0 < i < 140 and 0 < j < 140
        found.append(density.max() / len(y))
    assert np.mean(found) <= t.logme(features, labels) + 1e-12
    assert t.logme(features, labels) == pytest.approx(np.mean(found), abs=5e-4)


@pytest.mark.parametrize("scale", [1e-7, 1.0, 1e5])
@pytest.mark.parametrize("width", [3, 40])
def test_logme_is_as_large_as_a_search_finds(width, scale):
    features, labels = make(n=20, width=width)
    values = np.maximum(np.linalg.eigvalsh(features @ features.T), 0)
    vectors, found = np.linalg.eigh(features @ features.T)[1], []
    for label in (0, 1):
        along = (vectors.T @ (labels == label)) ** 2

        def lost(logs, along=along):
            variances = np.exp(-logs[1]) + values * np.exp(-logs[0])
            return 0.5 * (np.log(2 * np.pi * variances) + along / variances).sum()

        best = optimize.minimize(lost, (0.0, 0.0), method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-13})
        found.append(-best.fun / len(labels))
    assert t.logme(scale * features, labels) == pytest.approx(np.mean(found), abs=1e-6)


def test_a_class_without_an_example_counts_for_nothing():
    features, labels = make(n=60, width=4)
    for score in (t.logme, t.h_score, t.shrunk_h_score, t.knn):
        assert score(features, 2 * labels) == score(features, labels), score


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_features_that_are_all_the_same_say_nothing_and_fail_nowhere(value):
    features, labels = np.full((30, 4), value), np.arange(30) % 3
    found = t.scores(features, labels, None)
    assert found["shrunk H"] == found["H-score"] == 0.0 and np.isfinite(found["LogME"])


def test_logme_rises_with_signal_and_does_not_change_under_rotation():
    scores = []
    for signal in (0.0, 1.0, 3.0):
        state = RNG.bit_generator.state
        features, labels = make(n=60, width=5, classes=3, signal=signal)
        RNG.bit_generator.state = state
        scores.append(t.logme(features, labels))
    assert scores == sorted(scores)
    rotation, _ = np.linalg.qr(RNG.normal(size=(5, 5)))
    assert t.logme(features @ rotation, labels) == pytest.approx(scores[-1], abs=1e-9)


def test_h_score_by_covariances():
    features, labels = make(n=40, width=3, classes=4)
    means = np.stack([features[labels == label].mean(0) for label in labels])
    cov, between = np.cov(features.T, bias=True), np.cov(means.T, bias=True)
    assert t.h_score(features, labels) == pytest.approx(np.trace(np.linalg.inv(cov) @ between), rel=1e-9)
    assert t.h_score(features @ RNG.normal(size=(3, 3)), labels) == pytest.approx(t.h_score(features, labels), rel=1e-6)
    wide, labels = make(n=12, width=20, classes=3)
    assert t.h_score(wide, labels) == pytest.approx(2.0)
    assert t.scores(wide, labels, None)["H-score"] is None


def test_shrunk_h_score_is_the_trace_with_a_shrunk_covariance():
    features, labels = make(n=30, width=4, classes=3)
    n, centred = len(labels), features - features.mean(0)
    cov, means = np.cov(features.T, bias=True), np.stack([features[labels == label].mean(0) for label in labels])
    target = np.trace(cov) / 4 * np.eye(4)
    distance = ((cov - target) ** 2).sum()
    noise = sum(((np.outer(x, x) - cov) ** 2).sum() for x in centred) / n**2  # Ledoit and Wolf 2004, lemma 3.4
    a = min(noise, distance) / distance
    expected = np.trace(np.linalg.inv((1 - a) * cov + a * target) @ ((1 - a) * np.cov(means.T, bias=True)))
    assert 0.02 < a < 0.98
    assert t.shrunk_h_score(features, labels) == pytest.approx(expected, rel=1e-9)


# Two source classes. P(y, z): class 0 has (0.9 + 0.6, 0.1 + 0.4) / 4, class 1 has (0.2 + 0.3, 0.8 + 0.7) / 4.
OUTPUTS = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])


def test_leep_by_hand():
    """P(0 | z) = 1.5 / 2 and 0.5 / 2, so sum_z P(y | z) p(z | x) is 0.7, 0.55, 0.65, 0.6."""
    labels = np.array([0, 0, 1, 1])
    expected = np.log([0.7, 0.55, 0.65, 0.6])
    assert t.leep(OUTPUTS, labels) == pytest.approx(expected.mean(), rel=1e-12)
    assert t.leep(OUTPUTS[:, ::-1], labels) == pytest.approx(expected.mean(), rel=1e-12)


def test_nce_by_hand():
    """Labels 0 1 1 1 on predictions 0 0 1 1: P(. | z=0) = 1/2, 1/2; P(1 | z=1) = 1."""
    assert t.nce(OUTPUTS, np.array([0, 1, 1, 1])) == pytest.approx((np.log(0.5) + np.log(0.5) + 0 + 0) / 4)
    assert t.nce(OUTPUTS, np.array([0, 0, 1, 1])) == 0.0


def test_leep_bounds_nce_where_the_source_is_sure():
    sure = np.eye(3)[RNG.integers(0, 3, 50)]
    labels = RNG.integers(0, 4, 50)
    assert t.leep(sure, labels) == pytest.approx(t.nce(sure, labels), rel=1e-12)


@pytest.mark.parametrize("k", [1, 4, 5])
def test_knn_by_loop(k):
    features, labels = make(n=1100, width=3, classes=3)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    hits = 0
    for i in range(len(labels)):
        near = unit @ unit[i]
        near[i] = -9
        chosen = np.argsort(-near)[:k]
        votes = {c: (sum(labels[chosen] == c), sum(near[chosen][labels[chosen] == c] + 1)) for c in range(3)}
        hits += max(votes, key=lambda c: votes[c]) == labels[i]
    assert t.knn(features, labels, k=k) == hits / len(labels)
    assert t.knn(7 * features, labels, k=k) == hits / len(labels)


def test_an_example_is_no_neighbour_of_its_own():
    assert t.knn(np.eye(2), np.array([0, 1]), k=5) == 0.0


def test_scores_without_a_source_classifier():
    features, labels = make()
    assert [name for name, value in t.scores(features, labels, None).items() if value is None] == ["LEEP", "NCE"]
    logits = np.log(OUTPUTS)[np.arange(len(labels)) % 4]
    assert t.scores(features, labels, logits)["LEEP"] == pytest.approx(t.leep(np.exp(logits), labels))
