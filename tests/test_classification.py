import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics
from ml_collections import ConfigDict
from scipy.special import log_softmax

from tljax.tasks import classification as task

PLAIN = ConfigDict({"label_smoothing": 0.0})


def make(n=37, classes=4):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, classes)).astype(np.float32), rng.integers(0, classes, n).astype(np.int32)


def test_the_loss_is_the_mean_cross_entropy():
    logits, labels = make()
    expected = -log_softmax(logits, axis=-1)[np.arange(len(labels)), labels].mean()
    assert float(task.loss(logits, {"label": labels}, PLAIN)) == pytest.approx(expected, rel=1e-6)


def test_label_smoothing():
    """Szegedy et al. 2015: the target is (1 - s) one-hot + s / K."""
    logits, labels = make()
    target = 0.9 * np.eye(4)[labels] + 0.1 / 4
    expected = -(target * log_softmax(logits, axis=-1)).sum(-1).mean()
    smoothed = task.loss(jnp.array(logits), {"label": jnp.array(labels)}, ConfigDict({"label_smoothing": 0.1}))
    assert float(smoothed) == pytest.approx(expected, rel=1e-6)


def test_sums_count_masked_examples_once_and_others_not():
    logits, labels = make()
    mask = np.arange(len(labels)) % 3 > 0
    totals = task.sums(jnp.array(logits), {"label": jnp.array(labels), "mask": jnp.array(mask)})
    predicted = logits.argmax(-1)
    expected = sklearn.metrics.confusion_matrix(labels[mask], predicted[mask], labels=range(4))
    np.testing.assert_array_equal(totals["confusion"], expected)
    losses = -log_softmax(logits, axis=-1)[np.arange(len(labels)), labels]
    assert float(totals["loss"]) == pytest.approx(losses[mask].sum(), rel=1e-6)
    metrics = task.summarize({name: np.asarray(value) for name, value in totals.items()})
    assert metrics["examples"] == mask.sum()
    assert metrics["accuracy"] == sklearn.metrics.accuracy_score(labels[mask], predicted[mask])
    balanced = sklearn.metrics.balanced_accuracy_score(labels[mask], predicted[mask])
    assert metrics["accuracy_per_class"] == pytest.approx(balanced)
    assert metrics["loss"] == pytest.approx(losses[mask].mean(), rel=1e-6)


def test_a_class_without_examples_does_not_lower_the_mean():
    totals = {"loss": 1.0, "confusion": np.array([[2, 0, 0], [1, 1, 0], [0, 0, 0]])}
    assert task.summarize(totals)["accuracy_per_class"] == pytest.approx((1.0 + 0.5) / 2)
