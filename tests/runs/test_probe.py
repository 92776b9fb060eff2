"""The baselines of the page learn: what they reach is what scikit-learn's own settings reach."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tljax.runs.pages import baseline, probe


def texts(count, seed):
    """Long texts of rare words, of which three in a hundred tell the class: tf-idf makes their gradients small."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    signs = [[f"bad{i}" for i in range(10)], [f"good{i}" for i in range(10)]]
    rows = [
        " ".join(rng.permutation([*(f"word{i}" for i in rng.integers(0, 2000, 97)), *rng.choice(signs[label], 3)]))
        for label in labels
    ]
    return rows, labels


def test_the_bag_of_words_learns():
    (train, labels), (test, answers) = texts(240, 0), texts(120, 1)
    assert probe.bag_of_words().fit(train, labels).score(test, answers) > 0.9


@pytest.mark.parametrize("width", [16, 384])
def test_the_linear_probe_is_as_good_as_with_the_tolerance_of_scikit_learn(width):
    rng = np.random.default_rng(0)
    rows, direction = rng.normal(size=(600, width)) * rng.uniform(0.01, 10, width), rng.normal(size=width)
    labels = (rows / rows.std(axis=0) @ direction + rng.normal(size=600) * np.sqrt(width) / 2 > 0).astype(int)
    exact = make_pipeline(StandardScaler(), LogisticRegression(C=probe.STRENGTH, max_iter=3000))
    found = probe.linear().fit(rows[:400], labels[:400]).score(rows[400:], labels[400:])
    assert found == pytest.approx(exact.fit(rows[:400], labels[:400]).score(rows[400:], labels[400:]), abs=0.02)


def test_the_baselines_of_sets_and_numbers_find_what_is_linear():
    """Of two labels and two numbers one follows from the features, and one is chance: means of 1 and about a half."""
    rng = np.random.default_rng(0)
    rows, chance = rng.normal(size=(400, 8)), rng.normal(size=400)
    numbers = np.stack([rows[:, 0] - rows[:, 1], chance], axis=1)
    train, test = rows[:300], rows[300:]
    assert baseline._numbers(train, numbers[:300], test, numbers[300:], "features") == pytest.approx(0.45, abs=0.1)
    assert baseline._numbers(train, numbers[:300, :1], test, numbers[300:, :1], "words") > 0.99
    sets = numbers > 0
    found = baseline._sets(train, sets[:300], test, sets[300:], "features")
    assert found == pytest.approx((1 + sets[300:, 1].mean()) / 2, abs=0.1)
    everybody = np.ones((400, 1), bool)  # a label that all have needs no fit
    assert baseline._sets(train, everybody[:300], test, everybody[300:], "features") == 1
