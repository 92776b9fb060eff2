"""Regression: hand-worked numbers, scikit-learn's and scipy's, sums over padded batches and devices, files."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict
from scipy import stats
from sklearn import metrics

from tests import answers
from tljax.core.errors import DataError
from tljax.reporting import significance
from tljax.reporting.terminal import number
from tljax.serving.answers import Answers
from tljax.tasks import regression
from tljax.tasks.regression import Regression
from tljax.training import parallel

CONFIG = {"label_smoothing": 0.0, "class_weights": (), "huber": 0.0}
PLAIN = Regression(("length", "score"), (0.0, 0.0), (1.0, 1.0), 0.0)


def begin(labels, names, **changes):
    return regression.from_training(ConfigDict(CONFIG | changes), np.array(labels, float), names)


def made(n=45, targets=2):
    rng = np.random.default_rng(0)
    labels = rng.normal(size=(n, targets)).astype(np.float32)
    return labels, (labels + rng.normal(size=(n, targets))).astype(np.float32)


def test_targets_are_standardised_by_the_training_part_and_come_back():
    task = begin([[2.0, 1000.0], [4.0, 1000.5], [6.0, 1001.0]], ("a", "b"))
    assert task.mean == (4.0, 1000.5) and task.std == pytest.approx((np.sqrt(8 / 3), np.sqrt(1 / 6)))
    other = np.array([[7.25, 999.0]])
    encoded = task.encode(other)
    np.testing.assert_allclose(encoded, (other - task.mean) / task.std, rtol=1e-6)
    assert encoded.dtype == np.float32
    np.testing.assert_allclose(task.decode(encoded), other, rtol=1e-7)
    assert task.answer(task.outputs(encoded)[0], ("a", "b"), 1) == [
        ("a", pytest.approx(7.25)),
        ("b", pytest.approx(999)),
    ]
    assert regression.restore({"names": ["a", "b"], "mean": [4.0, 1000.5], "std": list(task.std), "huber": 0.0}) == task


def test_large_and_small_numbers_keep_their_digits():
    """Seconds since 1970, and lengths in metres of what is small: seven digits of 1.7e9 would say nothing."""
    labels = np.array([[1.7e9 + 1, 3e-7], [1.7e9 + 2, 1e-7], [1.7e9 + 4, 0]])
    task = begin(labels, ("seconds", "metres"))
    encoded = task.encode(labels)
    assert np.abs(task.outputs(encoded) - labels).max(axis=0) == pytest.approx((0, 0), abs=1e-6)
    found = task.columns({"label": encoded, "prediction": encoded}, task.names, 1.0)
    assert [float(x) for x in found["seconds"]] == pytest.approx(labels[:, 0], rel=0, abs=1e-6)
    assert [float(x) for x in found["metres"]] == pytest.approx(labels[:, 1], rel=0, abs=1e-13)
    model = SimpleNamespace(task=task, classes=task.names)
    rows = Answers(model, "id")
    rows.add("a", task.outputs(encoded)[1])
    assert rows.columns["seconds predicted"][0] == pytest.approx(1.7e9 + 2, abs=1e-6)
    assert [number(x) for x in (3e-7, -2.5e-5, 0.0, 0.5, 1234.5, 3)] == [
        "3e-07", "-2.5e-05", "0.0000", "0.5000", "1234.5000", "3",
    ]  # fmt: skip


def test_targets_that_never_change_are_refused():
    with pytest.raises(DataError, match=r"the same in all 2: b\. Choose other columns"):
        begin([[1.0, 5.0], [2.0, 5.0]], ("a", "b"))


def test_losses_by_hand():
    """Errors 1 and 3: squares 1 and 9; Huber's with delta 2: 1/2 and 2 (3 - 2/2) = 4. Mixed with others of error 0."""
    logits, label = jnp.array([[1.0], [3.0]]), jnp.array([[0.0], [0.0]])
    huber = Regression(("a",), (0.0,), (1.0,), 2.0)
    plain = Regression(("a",), (0.0,), (1.0,), 0.0)
    assert float(plain.loss(logits, {"label": label}, None)) == 5.0
    assert float(huber.loss(logits, {"label": label}, None)) == 2.25
    mixed = {"label": label, "share": jnp.array([0.5, 0.25]), "other": {"label": logits}}
    assert float(plain.loss(logits, mixed, None)) == (0.5 * 1 + 0.25 * 9) / 2
    assert float(plain.metrics(logits, {"label": label})["r2"]) == 1 - 5.0


def test_metrics_are_those_of_scikit_learn_and_scipy():
    labels, found = made()
    found[:20] = np.round(found[:20])  # equal ranks
    said = PLAIN.summarize(answers.totals(PLAIN, labels, found))
    labels, found = np.float64(labels), np.float64(found)
    assert said["examples"] == 45
    expected = {
        "r2": metrics.r2_score(labels, found),
        "mse": metrics.mean_squared_error(labels, found),
        "mae": metrics.mean_absolute_error(labels, found),
        "pearson": np.mean([stats.pearsonr(labels[:, t], found[:, t])[0] for t in (0, 1)]),
        "spearman": np.mean([stats.spearmanr(labels[:, t], found[:, t])[0] for t in (0, 1)]),
        "r2/score": metrics.r2_score(labels[:, 1], found[:, 1]),
        "spearman/length": stats.spearmanr(labels[:, 0], found[:, 0])[0],
    }
    assert {name: said[name] for name in expected} == pytest.approx(expected, rel=1e-6)
    assert said["loss"] == pytest.approx(expected["mse"], rel=1e-6)


def test_metrics_by_hand_in_the_units_of_the_data():
    """Labels 10, 20, 30, predictions 10, 30, 20: errors 0, 10, -10; SST 200; ranks 1 2 3 against 1 3 2."""
    task = Regression(("a",), (100.0,), (10.0,), 0.0)
    labels, found = (task.encode(np.array(x, float)[:, None]) for x in ((10, 20, 30), (10, 30, 20)))
    said = task.summarize(answers.totals(task, labels, found))
    expected = {"r2": 0.0, "mse": 200 / 3, "mae": 20 / 3, "pearson": 0.5, "spearman": 0.5, "loss": 2 / 3}
    assert {name: said[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert set(said) == {*expected, "examples"}  # one target has no names of its own


def test_the_interval_of_r2_holds_it_and_is_scikit_learns_for_each_draw(monkeypatch):
    labels, found = made()
    totals = answers.totals(PLAIN, labels, found)
    low, high = PLAIN.interval(totals)
    assert low < PLAIN.summarize(totals)["r2"] < high < 1 and high - low > 0.05
    weights = np.random.default_rng(1).integers(0, 3, 45).astype(float)
    monkeypatch.setattr(significance, "bootstrap", lambda metric, count: metric(weights))
    assert PLAIN.interval(totals) == pytest.approx(metrics.r2_score(labels, found, sample_weight=weights), rel=1e-5)


@pytest.mark.filterwarnings("error")
def test_what_never_changes_has_no_correlation():
    labels, found = made(targets=2)
    said = PLAIN.summarize(answers.totals(PLAIN, labels, 0 * found))
    assert said["pearson"] == said["spearman"] == 0.0 and said["r2"] < 0
    same = np.ones((3, 2), np.float32)
    assert PLAIN.summarize(answers.totals(PLAIN, same, same))["r2"] == 1.0
    assert PLAIN.summarize(answers.totals(PLAIN, same, 0 * same))["r2"] == 0.0


@pytest.mark.parametrize("mode", parallel.MODES)
def test_every_example_counts_once_whatever_the_batch_and_the_devices(mode):
    labels, said = made()
    whole = answers.totals(PLAIN, labels, said)
    for size in (4, 48):
        found = answers.in_batches(PLAIN, labels, said, size=size, mode=mode)
        np.testing.assert_array_equal(found["label"], labels)
        np.testing.assert_array_equal(found["prediction"], said)
        assert found["examples"] == 45 and found["loss"].dtype == np.float64
        assert PLAIN.summarize(found) == pytest.approx(PLAIN.summarize(whole), rel=1e-6)


@pytest.mark.renders
def test_files(tmp_path):
    task = Regression(("a",), (100.0,), (10.0,), 0.0)
    found = answers.totals(task, np.float32([[1], [-2]]), np.float32([[0], [0.5]]))
    task.files(found, tmp_path / "test", classes=("a",))
    assert task.columns(found, ("a",), 1.0) == {"a": ["110", "80"], "a predicted": ["100", "105"]}
    assert (tmp_path / "test_scatter.png").stat().st_size > 1000


def test_huber_is_optaxs_and_the_head_is_linear():
    labels, found = (jnp.array(x) for x in made())
    huber = Regression(("a", "b"), (0.0, 0.0), (1.0, 1.0), 0.5)
    expected = optax.losses.huber_loss(found, labels, delta=0.5).mean()
    assert float(huber.loss(found, {"label": labels}, None)) == pytest.approx(float(expected), rel=1e-6)
    head = huber.head(2).init(jax.random.key(0), jnp.ones((1, 5)))
    assert head["params"]["kernel"].shape == (5, 2)
