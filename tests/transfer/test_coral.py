"""The distance of covariances: by hand, against numpy, and what its gradient does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.transfer.adaptation import coral

SOURCE = np.array([[0.0, 0.0], [2.0, 2.0]], np.float32)  # covariance [[2, 2], [2, 2]]
TARGET = np.array([[1.0, 3.0], [1.0, 5.0], [1.0, 7.0]], np.float32)  # [[0, 0], [0, 4]]


def test_by_hand():
    """Differences 2, 2, 2 and -2: squares sum to 16, over 4 x 2^2."""
    assert float(coral.coral(SOURCE, TARGET)) == 16 / 16


def test_against_numpy():
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(9, 4)), 3 + 2 * rng.normal(size=(6, 4))
    expected = ((np.cov(source.T) - np.cov(target.T)) ** 2).sum() / (4 * 4**2)
    assert float(coral.coral(jnp.float32(source), jnp.float32(target))) == pytest.approx(expected, rel=1e-5)


def test_means_do_not_count_and_the_same_is_0():
    assert float(coral.coral(SOURCE, SOURCE)) == 0.0
    assert float(coral.coral(SOURCE, SOURCE + 64)) == 0.0


def test_the_term_is_weighted_and_the_log_is_not():
    term, logged = coral.term(SOURCE, TARGET, {}, jnp.float32(0.5), None)
    assert float(term) == 0.5 and float(logged["coral"]) == 1.0


def test_its_gradient_brings_covariances_together():
    both = jnp.float32(SOURCE), jnp.float32(TARGET)
    for _ in range(200):
        steps = jax.grad(lambda pair: coral.coral(*pair))(both)
        both = tuple(x - 0.5 * g for x, g in zip(both, steps, strict=True))
    assert float(coral.coral(*both)) < 1e-6
