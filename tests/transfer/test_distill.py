"""Distillation: its equations, its teachers' answers, and what teachers must have."""

from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import default
from tests import small
from tljax.core import plugins, settings
from tljax.core.errors import ConfigError, DataError
from tljax.runs import experiment, teachers
from tljax.runs.run import run
from tljax.serving import saved_model
from tljax.transfer.method import Method
from tljax.transfer.strategies import distill
from tljax.transfer.strategy import Forward

RNG = np.random.default_rng(0)
ZS, ZT = (RNG.normal(size=(6, 3)).astype(np.float32) * 3 for _ in range(2))
QS, QT = RNG.normal(size=(6, 4)).astype(np.float32), RNG.normal(size=(6, 9)).astype(np.float32)


def softmax(z):
    powers = np.exp(z.astype(np.float64))
    return powers / powers.sum(axis=-1, keepdims=True)


def config(**keys):
    one = default.get_config().strategy
    one.update(keys)
    return one


def test_the_loss_is_t_squared_times_the_divergence_and_its_share_of_the_labels():
    keys = config(temperature=2.5, own=0.3)
    rows = distill.answers([ZT], [QT], keys)
    assert set(rows) == {"teacher"}
    p, q = softmax(ZT / 2.5), softmax(ZS / 2.5)
    divergence = 2.5**2 * (p * np.log(p / q)).sum(axis=-1).mean()
    batch = {name: jnp.asarray(x) for name, x in rows.items()}
    forward = Forward(jnp.asarray(QS), jnp.asarray(ZS), batch, jnp.float32(0.7), "distill", None)
    value, logged = distill.loss(forward, keys)
    assert value == pytest.approx(0.3 * 0.7 + 0.7 * divergence, rel=1e-5)
    assert logged["teacher"] == pytest.approx(divergence, rel=1e-5)
    certain = distill.answers([np.array([[1e4, 0.0, 0.0]])], [QT], keys)["teacher"]  # no log of 0
    assert np.isfinite(jax.grad(distill.of_logits)(jnp.zeros((1, 3)), jnp.asarray(certain), 2.5)).all()


def test_several_teachers_answer_with_the_mean_of_their_probabilities():
    rows = distill.answers([ZS, ZT], [QS, QT], config(features=2.0))
    np.testing.assert_allclose(rows["teacher"], (softmax(ZS / 4) + softmax(ZT / 4)) / 2, rtol=1e-5)
    assert rows["teacher_features"].shape == (6, 13)


def test_features_are_compared_by_how_alike_the_examples_are():
    def alike(q):
        g = q.astype(np.float64) @ q.T
        return g / np.sqrt((g**2).sum(axis=1, keepdims=True))

    expected = ((alike(QS) - alike(QT)) ** 2).sum() / 36
    assert distill.of_features(jnp.asarray(QS), jnp.asarray(QT)) == pytest.approx(expected, rel=1e-5)
    assert distill.of_features(jnp.asarray(QT), jnp.asarray(2 * QT)) == pytest.approx(0, abs=1e-6)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """The folder of a LeNet from scratch on the digits 5 to 9."""
    folder = tmp_path_factory.mktemp("teacher")
    run(small.config(report="none", train__epochs=4.0), folder)
    return folder


def student(teacher, **changes):
    keys = {"strategy__name": "distill", "model__weights": str(teacher / "model"), "report": "none"}
    return small.config(**(keys | {"strategy__teachers": (str(teacher),)} | changes))


def test_what_stands_beside_an_example_is_its_teachers_answer(teacher):
    one, _ = settings.resolve(student(teacher, strategy__features=1.0))
    method = Method.of(distill, one.strategy)
    begun = experiment.load(one, axis=None, method=method)
    rows = teachers.beside(begun, method, one)
    model = saved_model.load(teacher)
    train = begun.parts["train"]
    batch = begun.prepare(train.take(np.arange(len(train))), jax.random.key(0), False)
    logits = model.network.apply(model.variables, batch["inputs"])
    np.testing.assert_allclose(rows.beside["teacher"], softmax(np.asarray(logits) / 4), rtol=1e-4)
    features = model.network.apply(model.variables, batch["inputs"], method="features")
    np.testing.assert_allclose(rows.beside["teacher_features"], features, rtol=1e-4, atol=1e-5)
    right = (np.asarray(logits).argmax(axis=-1) == train.subset.labels).mean()
    assert rows.notes[-1] == (
        f"teacher: '{teacher}', asked once for all {len(train)} training examples; right on {right:.1%} of them"
    )
    assert rows.fingerprints()["teachers"] and "teachers" not in begun.fingerprints()


def test_another_order_of_classes_is_put_right():
    classification = plugins.find("tasks", "classification")
    model = SimpleNamespace(classes=("bee", "ant", "fly"), classifier=None, task=classification)
    assert teachers.order(Path("run"), model, ["ant", "bee", "fly"]) == [1, 0, 2]


def test_teachers_are_held_to_the_classes_by_name_and_asked_for(teacher, tmp_path):
    with pytest.raises(DataError, match=r"are 5, 6, 7, 8, 9; the run has 5, 6, 7\. Name another teacher"):
        run(student(teacher, data__classes=("5", "6", "7")), tmp_path / "few")
    with pytest.raises(ConfigError, match="needs config.strategy.teachers: folders of finished runs"):
        run(student(teacher, strategy__teachers=()), tmp_path / "none")
    with pytest.raises(ConfigError, match=r"these are augmented: .* Set config\.data\.augment=false"):
        run(student(teacher, data__pad=1), tmp_path / "augmented")
