import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics
import sklearn.utils.class_weight
from ml_collections import ConfigDict
from scipy.special import log_softmax

from tljax.core.errors import ConfigError
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
    totals = task.totals(jnp.array(logits), {"label": jnp.array(labels), "mask": jnp.array(mask)})
    predicted = logits.argmax(-1)
    expected = sklearn.metrics.confusion_matrix(labels[mask], predicted[mask], labels=range(4))
    found = [totals[name] for name in ("labels", "predicted", "hits")]
    np.testing.assert_array_equal(found, [expected.sum(axis=1), expected.sum(axis=0), np.diag(expected)])
    losses = -log_softmax(logits, axis=-1)[np.arange(len(labels)), labels]
    assert float(totals["loss"]) == pytest.approx(losses[mask].sum(), rel=1e-6)
    metrics = task.summarize({name: np.asarray(value) for name, value in totals.items()})
    assert metrics["examples"] == mask.sum()
    assert metrics["accuracy"] == sklearn.metrics.accuracy_score(labels[mask], predicted[mask])
    balanced = sklearn.metrics.balanced_accuracy_score(labels[mask], predicted[mask])
    assert metrics["balanced_accuracy"] == pytest.approx(balanced)
    assert metrics["loss"] == pytest.approx(losses[mask].mean(), rel=1e-6)


def test_a_class_without_examples_does_not_lower_the_mean():
    totals = {"loss": 1.0, "labels": np.array([2, 2, 0]), "predicted": np.array([3, 1, 0]), "hits": np.array([2, 1, 0])}
    assert task.summarize(totals)["balanced_accuracy"] == pytest.approx((1.0 + 0.5) / 2)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_weights_multiply_the_terms_of_the_mean(smoothing):
    logits, labels = make()
    target = (1 - smoothing) * np.eye(4)[labels] + smoothing / 4
    weight = np.array([1.0, 2.0, 0.5, 4.0], np.float32)[labels]
    expected = (weight * -(target * log_softmax(logits, axis=-1)).sum(-1)).mean()
    config = ConfigDict({"label_smoothing": smoothing})
    found = task.loss(jnp.array(logits), {"label": jnp.array(labels), "weight": jnp.array(weight)}, config)
    assert float(found) == pytest.approx(expected, rel=1e-6)


def test_balanced_weights_are_those_of_scikit_learn():
    labels, names = np.array([0, 0, 0, 1, 2, 2]), ("a", "b", "c")
    expected = sklearn.utils.class_weight.compute_class_weight("balanced", classes=np.arange(3), y=labels)
    found = task.weights(ConfigDict({"class_weights": ("balanced",)}), labels, names)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.dtype == np.float32 and found[labels].mean() == pytest.approx(1.0)
    assert task.weights(ConfigDict({"class_weights": ()}), labels, names) is None


def test_numbers_are_scaled_to_a_mean_of_one():
    """Weights 1, 2, 4 over 3, 1, 2 examples sum to 13: times 6 / 13."""
    labels = np.array([0, 0, 0, 1, 2, 2])
    found = task.weights(ConfigDict({"class_weights": (1, 2, 4)}), labels, ("a", "b", "c"))
    np.testing.assert_allclose(found, np.array([1, 2, 4]) * 6 / 13, rtol=1e-6)
    by_name = ({"c": 4, "a": 1, "b": 2},), ("c=4", "b=2", "a=1")
    for given in by_name:
        again = task.weights(ConfigDict({"class_weights": given}), labels, ("a", "b", "c"))
        np.testing.assert_array_equal(again, found)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ((1, 2), r"for each of the 3 \(a, b, c\), or one number for each in this order; got 2"),
        (("a=1", "b=2", "x=1", "x=2"), "missing: c; unknown: x, x; twice: x"),
        (("a=1", "b=2", "c=1", 5), "without a name: 5"),
    ],
)
def test_weights_that_do_not_fit_the_classes(given, why):
    with pytest.raises(ConfigError, match=why):
        task.weights(ConfigDict({"class_weights": given}), np.array([0, 1, 2]), ("a", "b", "c"))


def test_what_is_kept_of_each_example():
    logits, labels = make()
    found = task.per_example(jnp.array(logits), {"label": jnp.array(labels)})
    np.testing.assert_array_equal(found["prediction"], logits.argmax(-1))
    assert found["prediction"].dtype == np.int32 and (found["label"] == labels).all()


def test_mixed_pictures_have_both_terms():
    logits, labels = make()
    others, weights = np.roll(labels, 1), np.linspace(0.5, 2, len(labels)).astype(np.float32)
    share = np.linspace(0, 1, len(labels)).astype(np.float32)
    terms = -log_softmax(logits, axis=-1)
    own, other = (terms[np.arange(len(labels)), which] for which in (labels, others))
    expected = (share * weights * own + (1 - share) * weights[::-1] * other).mean()
    batch = {"label": labels, "weight": weights, "share": share, "other": {"label": others, "weight": weights[::-1]}}
    found = task.loss(jnp.array(logits), {k: _device(v) for k, v in batch.items()}, PLAIN)
    assert float(found) == pytest.approx(expected, rel=1e-6)


def _device(value):
    return {k: jnp.array(v) for k, v in value.items()} if isinstance(value, dict) else jnp.array(value)


def test_the_temperature_is_that_by_which_sure_logits_were_multiplied():
    """Labels drawn from softmax(logits), then logits three times as large: 20,000 examples find the 3 again."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 4))
    chance = np.exp(log_softmax(logits, axis=-1))
    labels = (rng.random((20_000, 1)) > chance.cumsum(axis=1)).sum(axis=1)
    assert task.temperature({"logits": np.float32(3 * logits), "label": labels}) == pytest.approx(3, abs=0.1)


def test_a_few_examples_that_are_all_right_ask_for_no_endless_sureness():
    logits = np.float32([[3, 0], [0, 3], [4, 0]])
    assert 0.3 < task.temperature({"logits": logits, "label": np.array([0, 1, 0])}) < 1


def test_what_is_listed_of_each_example():
    logits, classes = np.float32([[2, 0], [0, 4]]), ("ant", "p(ant)")
    found = {"logits": logits, "label": np.array([0, 0]), "prediction": logits.argmax(-1)}
    said = task.columns(found, classes, 2.0)
    assert list(said) == ["label", "prediction", "probability", "p(ant)", "p(p(ant))"]
    assert (said["label"], said["prediction"]) == (["ant", "ant"], ["ant", "p(ant)"])
    np.testing.assert_allclose(said["probability"], [1 / (1 + np.exp(-1)), 1 / (1 + np.exp(-2))], rtol=1e-6)
    many = {"logits": np.zeros((1, 101), np.float32), "label": np.array([0]), "prediction": np.array([0])}
    assert list(task.columns(many, [str(i) for i in range(101)], 1.0)) == ["label", "prediction", "probability"]


def test_metrics_that_are_fair_to_small_classes():
    """Against scikit-learn's, on classes of which one is small and one is never said."""
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(200, 4)).astype(np.float32), rng.choice(4, 200, p=(0.7, 0.2, 0.06, 0.04))
    logits[:, 3] -= 100
    found = summary(logits, labels.astype(np.int32))
    said = logits.argmax(-1)
    assert found["balanced_accuracy"] == pytest.approx(sklearn.metrics.balanced_accuracy_score(labels, said))
    assert found["f1_macro"] == pytest.approx(sklearn.metrics.f1_score(labels, said, average="macro"))
    assert found["mcc"] == pytest.approx(sklearn.metrics.matthews_corrcoef(labels, said))
    chance = np.exp(log_softmax(np.float64(logits), axis=-1))
    assert found["auroc"] == pytest.approx(sklearn.metrics.roc_auc_score(labels, chance, multi_class="ovr"))
    assert "f1" not in found


def test_metrics_of_two_classes():
    rng = np.random.default_rng(2)
    logits, labels = rng.normal(size=(90, 2)).astype(np.float32), rng.integers(0, 2, 90).astype(np.int32)
    found = summary(logits, labels)
    assert found["f1"] == pytest.approx(sklearn.metrics.f1_score(labels, logits.argmax(-1)))
    assert found["auroc"] == pytest.approx(sklearn.metrics.roc_auc_score(labels, logits[:, 1] - logits[:, 0]))
    assert found["mcc"] == pytest.approx(sklearn.metrics.matthews_corrcoef(labels, logits.argmax(-1)))


def test_metrics_where_nothing_can_be_told():
    found = summary(np.array([[1.0, 0.0], [2.0, 0.0]], np.float32), np.zeros(2, np.int32))
    assert (found["mcc"], found["auroc"], found["accuracy"]) == (0.0, 0.5, 1.0)


def summary(logits, labels):
    batch = {"label": jnp.array(labels), "mask": jnp.ones(len(labels), bool)}
    totals = task.totals(jnp.array(logits), batch) | task.per_example(jnp.array(logits), batch)
    return task.summarize({name: np.asarray(value) for name, value in totals.items()})


def test_train_best_may_name_what_summarize_gives():
    logits, labels = make(classes=2)
    assert set(task.choices(2)) == set(summary(logits, labels)) - {"examples"}
    logits, labels = make()
    assert set(task.choices(4)) == set(summary(logits, labels)) - {"examples"}
