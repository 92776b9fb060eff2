"""Multi-label classification: hand-worked numbers, scikit-learn's, sums over padded batches and devices, files."""

import csv

import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from sklearn import metrics

from tests import answers
from tljax.core.errors import ConfigError
from tljax.data.labels import joined
from tljax.reporting import measures
from tljax.tasks import multilabel
from tljax.tasks.multilabel import MultiLabel
from tljax.training import parallel

CONFIG = {"label_smoothing": 0.0, "class_weights": (), "threshold": 0.5, "pos_weight": ()}
NAMES = ("long", "loud", "new")
PLAIN = MultiLabel(0.5, (1.0, 1.0, 1.0))
RNG = np.random.default_rng(0)
LABELS = RNG.random((45, 3)) < 0.4
LOGITS = (2 * LABELS - 1 + 2 * RNG.normal(size=(45, 3))).round(1).astype(np.float32)  # some are equal


def begin(labels, **changes):
    return multilabel.from_training(ConfigDict(CONFIG | changes), np.array(labels, bool), NAMES)


def test_two_sets_are_never_one_text_in_a_file():
    assert [joined(names) for names in (["a", "b|c"], ["a|b", "c"], [])] == ['["a", "b|c"]', '["a|b", "c"]', ""]
    assert joined(["dog", "photo"]) == "dog|photo" and joined(["dog", "a|b"], ";") == "dog;a|b"


def test_the_loss_by_hand():
    """Logits 0 and log 3: a yes is 1/2 and 3/4 probable; -log of 1/2 and of 1 - 3/4, the yes counted 5 times."""
    logits, batch = jnp.array([[0.0, np.log(3.0)]]), {"label": jnp.array([[True, False]])}
    assert float(MultiLabel(0.5, (1.0, 1.0)).loss(logits, batch, None)) == pytest.approx(np.log(2 * 4) / 2, rel=1e-6)
    weighted = MultiLabel(0.5, (5.0, 7.0))
    assert float(weighted.loss(logits, batch, None)) == pytest.approx((5 * np.log(2) + np.log(4)) / 2, rel=1e-6)
    mixed = {**batch, "share": jnp.array([0.25]), "other": {"label": jnp.array([[False, True]])}}
    other = (np.log(2) + 7 * np.log(4 / 3)) / 2
    expected = 0.25 * (5 * np.log(2) + np.log(4)) / 2 + 0.75 * other
    assert float(weighted.loss(logits, mixed, None)) == pytest.approx(expected, rel=1e-6)
    assert float(PLAIN.metrics(jnp.array(LOGITS), {"label": jnp.array(LABELS)})["hamming_accuracy"]) == pytest.approx(
        ((LOGITS >= 0) == LABELS).mean()
    )


def test_weights_of_a_yes():
    labels = [[1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 0]]
    assert begin(labels).pos_weight == (1.0, 1.0, 1.0)
    assert begin(labels, pos_weight=("balanced",)).pos_weight == (3.0, 1 / 3, 3.0)
    assert begin(labels, pos_weight=(1, 2, 3), threshold=0.3) == MultiLabel(0.3, (1.0, 2.0, 3.0))
    with pytest.raises(ConfigError, match=r"each of the 3 \(long, loud, new\), or .* order; got 2"):
        begin(labels, pos_weight=(1, 2))
    assert begin(labels, pos_weight=("new=3", "long=1", "loud=0.5")).pos_weight == (1.0, 0.5, 3.0)
    assert multilabel.restore({"threshold": 0.3, "pos_weight": [1.0, 2.0, 3.0]}) == MultiLabel(0.3, (1.0, 2.0, 3.0))


@pytest.mark.parametrize("threshold", [0.5, 0.2])
def test_metrics_are_those_of_scikit_learn(threshold):
    task = MultiLabel(threshold, (1.0, 1.0, 1.0))
    mask = np.arange(45) % 4 > 0
    kept = answers.totals(task, LABELS, LOGITS, mask)
    kept |= {name: kept[name][mask] for name in ("label", "prediction")}
    labels, yes = LABELS[mask], 1 / (1 + np.exp(-LOGITS[mask])) >= threshold
    said = task.summarize(kept)
    assert said.pop("loss") == pytest.approx(metrics.log_loss(labels.ravel(), 1 / (1 + np.exp(-LOGITS[mask].ravel()))))
    assert said == pytest.approx({
        "mean_average_precision": metrics.average_precision_score(labels, LOGITS[mask], average="macro"),
        "f1_micro": metrics.f1_score(labels, yes, average="micro"),
        "f1_macro": metrics.f1_score(labels, yes, average="macro"),
        "subset_accuracy": metrics.accuracy_score(labels, yes),
        "hamming_accuracy": 1 - metrics.hamming_loss(labels, yes),
        "examples": mask.sum(),
    }, abs=1e-12)  # fmt: skip


@pytest.mark.filterwarnings("error")
def test_metrics_by_hand_and_a_label_that_nobody_has():
    """'long': order yes no yes, precision 1 and 2/3 at its hits; said yes, yes, no: F1 2/4. 'loud': all right."""
    labels = [[1, 1, 0], [0, 0, 0], [1, 0, 0]]
    said = PLAIN.summarize(answers.totals(PLAIN, labels, np.float32([[3, 1, 2], [2, -1, -1], [-1, -1, -1]])))
    assert said["mean_average_precision"] == pytest.approx((5 / 6 + 1) / 2)
    assert said["f1_macro"] == pytest.approx((1 / 2 + 1) / 2) and said["f1_micro"] == pytest.approx(2 * 2 / (3 + 4))
    assert said["subset_accuracy"] == 0.0 and said["hamming_accuracy"] == pytest.approx(6 / 9)
    nobody = PLAIN.summarize(answers.totals(PLAIN, np.zeros((2, 3), bool), np.zeros((2, 3), np.float32) - 1))
    assert (nobody["mean_average_precision"], nobody["f1_macro"], nobody["hamming_accuracy"]) == (0.0, 0.0, 1.0)


def test_an_example_that_is_drawn_twice_counts_twice_in_average_precision():
    weights = RNG.integers(0, 3, 45).astype(float)
    found = measures.average_precision(LABELS, LOGITS)(weights)
    expected = [
        metrics.average_precision_score(LABELS[:, k], LOGITS[:, k], sample_weight=weights)
        for k in range(LABELS.shape[1])
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert np.isnan(measures.average_precision(LABELS & (np.arange(3) > 0), LOGITS)(weights)[0])


def test_the_interval_is_about_the_value_and_narrower_with_more_examples():
    totals = answers.totals(PLAIN, LABELS, LOGITS)
    low, high = PLAIN.interval(totals)
    assert 0.3 < low < PLAIN.summarize(totals)["mean_average_precision"] < high <= 1
    more = answers.totals(PLAIN, np.tile(LABELS, (16, 1)), np.tile(LOGITS, (16, 1)))
    ends = PLAIN.interval(more)
    assert 3 < (high - low) / (ends[1] - ends[0]) < 5  # the root of 16
    assert PLAIN.interval(answers.totals(PLAIN, LABELS[:1], LOGITS[:1])) is None


def test_answers_that_are_written_alike_are_equally_good():
    """Both probabilities are written as 1, so that nobody who reads them finds the right one before the wrong one."""
    found = answers.totals(PLAIN, [[1, 0, 0], [0, 0, 0]], np.float32([[25, -1, -1], [20, -1, -1]]))
    assert PLAIN.summarize(found)["mean_average_precision"] == 0.5


@pytest.mark.parametrize("mode", parallel.MODES)
def test_every_example_counts_once_whatever_the_batch_and_the_devices(mode):
    whole = answers.totals(PLAIN, LABELS, LOGITS)
    for size in (4, 48):
        found = answers.in_batches(PLAIN, LABELS, LOGITS, size=size, mode=mode)
        for name in ("examples", "exact", "labels", "predicted", "hits", "label", "prediction"):
            np.testing.assert_array_equal(found[name], whole[name], err_msg=name)
        assert PLAIN.summarize(found) == pytest.approx(PLAIN.summarize(whole), rel=1e-6)


def test_what_is_said_of_an_example_and_the_files(tmp_path):
    outputs = PLAIN.outputs(np.float32([[0.1, -5, 3], [-1, -1, -1]]))
    assert PLAIN.answer(outputs[0], NAMES, 1) == [("new", float(outputs[0][2])), ("long", float(outputs[0][0]))]
    assert [name for name, _ in MultiLabel(0.9, PLAIN.pos_weight).answer(outputs[0], NAMES, 1)] == ["new"]
    assert PLAIN.answer(outputs[1], NAMES, 3) == [] and outputs[0][2] == pytest.approx(1 / (1 + np.exp(-3)))
    found = answers.totals(PLAIN, [[1, 1, 0], [0, 0, 0]], np.float32([[3, -1, 2], [2, -1, -1]]))
    PLAIN.files(found, tmp_path / "test", classes=NAMES)
    rows = [list(csv.reader(file.read_text().splitlines())) for file in sorted(tmp_path.iterdir())]
    assert rows == [
        [
            ["label", "precision", "recall", "f1", "average precision", "examples"],
            ["long", "0.5000", "1.0000", "0.6667", "1.0000", "1"],
            ["loud", "0.0000", "0.0000", "0.0000", "0.5000", "1"],
            ["new", "0.0000", "0.0000", "0.0000", "0.0000", "0"],
        ],
    ]
    said = PLAIN.columns(found, NAMES, 2.0)
    assert list(said) == ["label", "prediction", "p(long)", "p(loud)", "p(new)"]
    assert (said["label"], said["prediction"]) == ([("long", "loud"), ()], [("long", "new"), ("long",)])
    np.testing.assert_allclose(said["p(new)"], 1 / (1 + np.exp([-2.0, 1.0])), rtol=1e-6)  # no temperature: a threshold
