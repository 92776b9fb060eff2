import numpy as np
import pytest
import sklearn.metrics

from tljax.reporting import measures
from tljax.reporting.measures import Outcome


def made(n=400, classes=3):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(n, classes)) * 2
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Outcome([f"class {k}" for k in range(classes)], rng.integers(0, classes, n), probabilities)


def test_classes_are_measured_as_scikit_learn_does():
    one = made()
    precision, recall, f1, examples = sklearn.metrics.precision_recall_fscore_support(one.labels, one.predicted)
    found = measures.per_class(one)
    for name, expected in {"precision": precision, "recall": recall, "f1": f1, "examples": examples}.items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-12, err_msg=name)


def test_guessing_is_of_the_training_part():
    one = Outcome(["a", "b"], np.array([0, 0, 0, 1]), np.eye(2)[[0, 0, 1, 1]])
    assert measures.commonest(one, np.array([1, 1, 0])) == ("b", 0.25)


def test_the_surest_mistakes_come_first():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.7, 0.3]])
    one = Outcome(["a", "b"], np.array([1, 0, 0, 0]), probabilities)
    assert one.mistakes().tolist() == [0, 1, 2]
    assert measures.confused(one, 5) == [
        {"label": "a", "said": "b", "count": 2, "of": 3},
        {"label": "b", "said": "a", "count": 1, "of": 1},
    ]


def test_calibration_error_by_hand():
    """Four examples of 0.9, three of them right, and one of 0.6, right: (4 * 0.15 + 1 * 0.4) / 5."""
    probabilities = np.array([[0.9, 0.1]] * 4 + [[0.6, 0.4]])
    one = Outcome(["a", "b"], np.array([0, 0, 0, 1, 0]), probabilities)
    assert measures.reliability(one) == [
        (pytest.approx(0.6), 1.0, 1),
        (pytest.approx(0.9), 0.75, 4),
    ]
    assert measures.calibration_error(one) == pytest.approx(0.2)


def test_coverage_leaves_out_the_least_sure():
    one = Outcome(["a", "b"], np.array([0, 0, 1]), np.array([[0.6, 0.4], [0.9, 0.1], [0.8, 0.2]]))
    shares, accuracy = measures.coverage(one)
    np.testing.assert_allclose(shares, [1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(accuracy, [1, 1 / 2, 2 / 3])


def test_conformal_sets_hold_the_label_as_often_as_promised():
    test = Outcome(["a", "b", "c"], *_drawn(4000))
    held_out = Outcome(["a", "b", "c"], *_drawn(1000, seed=1))
    found = measures.conformal(held_out, test)
    assert 0.88 < found["covered"] < 0.93 and 1 < found["size"] < 3
    few = Outcome(["a", "b", "c"], held_out.labels[:8], held_out.probabilities[:8])
    assert measures.conformal(few, test) is None  # eight examples cannot promise nine of ten


def _drawn(n, seed=0):
    """(labels, the probabilities that they were drawn from)"""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(3), n)
    return (rng.random((n, 1)) > probabilities.cumsum(axis=1)).sum(axis=1), probabilities
