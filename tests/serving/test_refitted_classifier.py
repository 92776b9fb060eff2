"""A classifier from what it was fitted to: the same again, or an error."""

import numpy as np
import pytest
import safetensors.numpy
from ml_collections import ConfigDict

from tljax.core.errors import WeightsError
from tljax.serving import refitted_classifier
from tljax.transfer import classifiers

RNG = np.random.default_rng(0)
LABELS = np.arange(90) % 3
ROWS = (np.eye(3, 8)[LABELS] + 0.5 * RNG.normal(size=(90, 8))).astype(np.float32)


def fitted(name):
    return classifiers.fit(ROWS, LABELS, ConfigDict({"classifier": name, "folds": 3}), seed=3)


def save(folder, one, name="random_forest", seed=3):
    how = {"classifier": name, "chosen": one.chosen, "seed": seed}
    refitted_classifier.save(folder, ROWS, LABELS, one.scores, strategy="classic", **how)


@pytest.mark.parametrize("name", ["rbf_svm", "knn", "random_forest"])
def test_the_same_again(tmp_path, monkeypatch, name):
    monkeypatch.setattr(classifiers, "TREES", 20)
    one, other = fitted(name), RNG.normal(size=(50, 8)).astype(np.float32)
    save(tmp_path, one, name)
    np.testing.assert_array_equal(refitted_classifier.load(tmp_path)(other), one.scores(other))
    assert [file.name for file in tmp_path.iterdir()] == [refitted_classifier.FILE]


def test_another_one_is_an_error(tmp_path, monkeypatch):
    """A forest of another seed stands for one that another version grows."""
    monkeypatch.setattr(classifiers, "TREES", 20)
    save(tmp_path, fitted("random_forest"), seed=4)
    with pytest.raises(
        WeightsError, match=r"as it was, and comes out otherwise: then with scikit-learn \d.*, now scikit"
    ):
        refitted_classifier.load(tmp_path)


def test_a_file_that_is_missing_damaged_or_another(tmp_path, monkeypatch):
    monkeypatch.setattr(classifiers, "TREES", 20)
    file = tmp_path / refitted_classifier.FILE
    save(tmp_path, fitted("knn"), "knn")
    whole = file.read_bytes()
    for content in (None, whole[:-9], b"{}", safetensors.numpy.save({"features": ROWS})):
        file.unlink(missing_ok=True)
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(WeightsError, match="must hold what the run's classifier was fitted to"):
            refitted_classifier.load(tmp_path)
