"""SetFit: its loss over pairs, counted one by one; what it needs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import default
from tests import small
from tljax.core.errors import ConfigError
from tljax.runs.run import run
from tljax.transfer.strategies import setfit
from tljax.transfer.strategy import Forward

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(7, 5)).astype(np.float32), np.array([0, 1, 2, 0, 1, 0, 3])


def cosine(u, v):
    return (u * v).sum() / np.sqrt((u**2).sum() * (v**2).sum())


def test_the_loss_is_the_mean_over_pairs_of_one_class_and_over_the_others():
    errors = {True: [], False: []}
    for i in range(len(Y)):
        for j in range(i + 1, len(Y)):
            alike = bool(Y[i] == Y[j])
            errors[alike].append((cosine(X[i], X[j]) - alike) ** 2)
    assert len(errors[True]) == 4 and len(errors[False]) == 17
    expected = (np.mean(errors[True]) + np.mean(errors[False])) / 2
    assert setfit.of_pairs(jnp.asarray(X), jnp.asarray(Y)) == pytest.approx(expected, rel=1e-5)
    # Lengths do not matter, and where one kind is missing the other has its half.
    assert setfit.of_pairs(3 * jnp.asarray(X), jnp.asarray(Y)) == pytest.approx(expected, rel=1e-5)
    apart = np.mean([cosine(X[i], X[j]) ** 2 for i in range(7) for j in range(i + 1, 7)])
    assert setfit.of_pairs(jnp.asarray(X), jnp.arange(7)) == pytest.approx(apart / 2, rel=1e-5)
    assert np.isfinite(jax.grad(setfit.of_pairs)(jnp.zeros((3, 4)), jnp.array([0, 0, 1]))).all()


def test_pairs_tune_the_backbone_and_then_the_head_learns_by_the_tasks_loss():
    config = default.get_config().strategy
    groups = {"low": ("backbone/a/kernel",), "high": ("backbone/b/kernel",), "head": ("head/kernel",)}
    pairs, head = setfit.plan(groups, config)
    assert (pairs.learning, pairs.until, head.learning, head.until) == (("low", "high"), 0.5, ("head",), 1.0)
    forward = Forward(jnp.asarray(X), jnp.zeros((7, 4)), {"label": jnp.asarray(Y)}, jnp.float32(1.25), "pairs", None)
    assert setfit.loss(forward, config)[0] == setfit.of_pairs(forward.features, forward.batch["label"])
    assert setfit.loss(forward._replace(phase="head"), config) == (1.25, {})


def test_one_example_has_no_pair():
    with pytest.raises(ConfigError, match="2 examples or more in a batch; got 1"):
        setfit.of_pairs(jnp.zeros((1, 3)), jnp.zeros(1))


def test_what_has_no_pairs_of_classes_is_refused(tmp_path, monkeypatch):
    run(small.config(report="none", train__epochs=1.0), tmp_path / "first")
    asked = {"strategy__name": "setfit", "model__weights": str(tmp_path / "first" / "model"), "report": "none"}
    mixed = small.config(**asked, train__batch_size=24)
    mixed.task.mixup = 0.2
    with pytest.raises(ConfigError, match="setfit trains by a loss of its own and needs no mixed pictures: set"):
        run(mixed, tmp_path / "second")
    assert not (tmp_path / "second").exists()
