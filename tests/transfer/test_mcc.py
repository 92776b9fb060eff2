"""Minimum class confusion: by hand, its bounds, and what its gradient does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import default
from tljax.transfer.adaptation import mcc

RNG = np.random.default_rng(0)


def by_hand(logits, temperature):
    """The paper's equations with loops."""
    shares = np.exp(logits / temperature) / np.exp(logits / temperature).sum(1, keepdims=True)
    entropies = [-sum(p * np.log(p) for p in row) for row in shares]
    sure = [1 + np.exp(-h) for h in entropies]
    weights = [len(logits) * s / sum(sure) for s in sure]
    classes = logits.shape[1]
    confusion = np.zeros((classes, classes))
    for w, row in zip(weights, shares, strict=True):
        confusion += w * np.outer(row, row)
    confusion /= confusion.sum(1, keepdims=True)
    return sum(confusion[i, j] for i in range(classes) for j in range(classes) if i != j) / classes


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_by_hand(temperature):
    logits = RNG.normal(size=(6, 4)) * 3
    found = mcc.mcc(jnp.float32(logits), temperature=temperature)
    assert float(found) == pytest.approx(by_hand(logits, temperature), rel=1e-5)


def test_sure_predictions_confuse_nothing_and_equal_ones_all():
    sure = 1000 * np.eye(3, dtype=np.float32)
    assert float(mcc.mcc(sure, temperature=1.0)) == pytest.approx(0, abs=1e-6)
    assert float(mcc.mcc(np.zeros((5, 4), np.float32), temperature=1.0)) == pytest.approx(1 - 1 / 4)


def test_the_term_is_weighted_reads_the_target_alone_and_uses_the_option():
    target, config = RNG.normal(size=(4, 3)).astype(np.float32), default.get_config().adaptation
    config.temperature = 2.0
    term, logged = mcc.term(np.full((4, 3), np.nan, np.float32), target, {}, jnp.float32(0.5), config)
    assert float(logged["class_confusion"]) == pytest.approx(by_hand(target, 2.0), rel=1e-5)
    assert float(term) == pytest.approx(0.5 * float(logged["class_confusion"]))


def test_its_gradient_makes_predictions_sure():
    logits = jnp.float32(RNG.normal(size=(8, 3)))
    before = mcc.mcc(logits, temperature=1.0)
    for _ in range(50):
        logits -= 20 * jax.grad(lambda z: mcc.mcc(z, temperature=1.0))(logits)
    assert mcc.mcc(logits, temperature=1.0) < 0.2 * before
    assert jax.nn.softmax(logits).max(axis=1).min() > 0.8
