import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from tljax.reporting import label_errors


def test_candidates_by_hand():
    """Thresholds are the means 0.7 of class 0 and 0.8 of class 1; only the second example passes one with another."""
    probabilities = np.array([[0.95, 0.05], [0.15, 0.85], [1.0, 0.0], [0.2, 0.8]])
    assert label_errors.candidates(np.array([0, 0, 0, 1]), probabilities).tolist() == [1]
    unsure = np.array([[0.95, 0.05], [0.45, 0.55], [1.0, 0.0], [0.2, 0.8]])  # 0.55 is less than others of class 1 have
    assert label_errors.candidates(np.array([0, 0, 0, 1]), unsure).tolist() == []


def test_flipped_labels_of_two_clouds_are_found():
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], 100)
    rows = rng.normal(size=(300, 5)) + 8 * np.eye(5)[truth]
    flipped = rng.choice(300, 15, replace=False)
    labels = truth.copy()
    labels[flipped] = (labels[flipped] + 1) % 3
    outside = cross_val_predict(LogisticRegression(), rows, labels, cv=5, method="predict_proba")
    assert set(label_errors.candidates(labels, outside)[:15].tolist()) == set(flipped.tolist())


def test_a_class_without_examples_is_nobodys():
    probabilities = np.array([[0.6, 0.0, 0.4], [0.1, 0.0, 0.9]])
    assert label_errors.candidates(np.array([0, 2]), probabilities).tolist() == []
