"""Both estimators by hand and against loops, the median, and where the gradient goes."""

import itertools
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import default
from tljax.transfer.adaptation import mmd

SOURCE = np.array([[0.0], [1.0]], np.float32)
TARGET = np.array([[0.0], [2.0]], np.float32)


def k(distance):
    """A kernel of sigma 1."""
    return math.exp(-(distance**2) / 2)


BETWEEN = (k(0) + k(2) + k(1) + k(1)) / 4
BY_HAND = {False: k(1) + k(2) - 2 * BETWEEN, True: (1 + k(1)) / 2 + (1 + k(2)) / 2 - 2 * BETWEEN}


@pytest.mark.parametrize("biased", [False, True])
def test_by_hand(biased):
    found = mmd.mmd(SOURCE, TARGET, widths=(1.0,), biased=biased, sigma=1.0)
    assert float(found) == pytest.approx(BY_HAND[biased], rel=1e-5)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("sigma", [0.0, 1.7])
def test_against_loops(biased, sigma):
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(5, 3)), 1 + rng.normal(size=(7, 3))
    both = [*source, *target]
    sigma_used = sigma or np.median([np.linalg.norm(a - b) for a, b in itertools.combinations(both, 2)])

    def kernel(a, b):
        return np.mean([np.exp(-((a - b) ** 2).sum() / (2 * u * sigma_used**2)) for u in (0.5, 1, 2)])

    def within(x):
        pairs = [kernel(a, b) for (i, a), (j, b) in itertools.product(enumerate(x), enumerate(x)) if biased or i != j]
        return np.mean(pairs)

    expected = within(source) + within(target) - 2 * np.mean([kernel(a, b) for a in source for b in target])
    found = mmd.mmd(jnp.float32(source), jnp.float32(target), widths=(0.5, 1, 2), biased=biased, sigma=sigma)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_the_unbiased_one_is_0_in_the_mean_and_the_biased_one_is_not():
    draws = jax.random.normal(jax.random.key(0), (400, 2, 8, 3))
    plain, biased = (partial(mmd.mmd, widths=(1.0,), biased=biased, sigma=1.0) for biased in (False, True))
    means = [float(jax.vmap(one)(draws[:, 0], draws[:, 1]).mean()) for one in (plain, biased)]
    assert abs(means[0]) < 0.01 < 0.1 < means[1]


def test_the_same_examples_give_no_nan():
    same = jnp.ones((4, 3))
    value, gradient = jax.value_and_grad(lambda x: mmd.mmd(x, same, widths=(1.0,), biased=True, sigma=0.0))(same)
    assert float(value) == 0.0 and np.isfinite(gradient).all()


def test_no_gradient_flows_through_the_median():
    source, target = (jax.random.normal(jax.random.key(i), (6, 3)) + i for i in range(2))
    sigma = float(np.sqrt(mmd._median(mmd._squared_distances(jnp.concatenate([source, target])))))
    gradients = [
        jax.grad(lambda x, s=s: mmd.mmd(x, target, widths=(1.0,), biased=False, sigma=s))(source) for s in (0.0, sigma)
    ]
    np.testing.assert_allclose(*gradients, rtol=1e-5, atol=1e-7)


def test_the_term_follows_the_config():
    config = default.get_config().adaptation
    config.update(bandwidth=1.0, widths=(1.0,))
    for estimator, biased in (("unbiased", False), ("biased", True)):
        config.estimator = estimator
        term, logged = mmd.term(SOURCE, TARGET, {}, jnp.float32(3.0), config)
        assert float(logged["mmd"]) == pytest.approx(BY_HAND[biased], rel=1e-5)
        assert float(term) == pytest.approx(3 * BY_HAND[biased], rel=1e-5)
