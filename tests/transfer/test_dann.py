"""The reversal's gradient, the domain classifier's loss by hand, and who learns what from it."""

import math
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.transfer.adaptation import dann

# ReLU of x, then z = h - 1: examples 0 and 3 have logits -1 and 2.
PARAMS = {
    "layer0": {"kernel": np.array([[1.0]], np.float32), "bias": np.zeros(1, np.float32)},
    "layer1": {"kernel": np.array([[1.0]], np.float32), "bias": -np.ones(1, np.float32)},
}
SOURCE, TARGET = np.array([[0.0], [3.0]], np.float32), np.array([[3.0], [3.0]], np.float32)


def softplus(x):
    return math.log1p(math.exp(x))


def test_the_reversal_is_the_identity_and_its_gradient_is_not():
    x = jnp.array([[1.0, -2.0]])
    np.testing.assert_array_equal(dann.reverse(x, jnp.float32(0.3)), x)
    gradient = jax.grad(lambda x: (dann.reverse(x, jnp.float32(0.3)) ** 2).sum())(x)
    np.testing.assert_allclose(gradient, -0.3 * 2 * x, rtol=1e-6)
    assert float(jax.grad(lambda w: dann.reverse(x, w).sum())(jnp.float32(0.3))) == 0.0


def test_the_loss_and_the_accuracy_by_hand():
    loss, logged = dann.term(SOURCE, TARGET, PARAMS, jnp.float32(1.0), None)
    assert float(loss) == pytest.approx((softplus(-1) + softplus(2)) / 2 + softplus(-2), rel=1e-6)
    assert float(logged["domain_accuracy"]) == 0.75  # one of two of the source, both of the target


@pytest.mark.parametrize("weight", [0.0, 0.4])
def test_the_classifier_learns_at_full_rate_and_features_go_the_other_way(weight):
    def loss(params, source, target, weight):
        return dann.term(source, target, params, jnp.float32(weight), None)[0]

    x = (SOURCE + 0.5, TARGET + 0.5)
    params, source, target = jax.grad(loss, (0, 1, 2))(PARAMS, *x, weight)
    plain = jax.grad(lambda *a: loss(*a, -1.0), (0, 1, 2))(PARAMS, *x)  # reversed twice: no reversal
    jax.tree.map(np.testing.assert_array_equal, params, plain[0])
    assert np.abs(plain[1]).min() > 0.01
    np.testing.assert_allclose(source, -weight * plain[1], rtol=1e-6)
    np.testing.assert_allclose(target, -weight * plain[2], rtol=1e-6)


@pytest.mark.parametrize(("hidden", "sizes"), [((), [(5, 1)]), ((7, 3), [(5, 7), (7, 3), (3, 1)])])
def test_the_classifier_at_the_start(hidden, sizes):
    config = SimpleNamespace(hidden=hidden)
    params = dann.initialize(5, config, seed=1)
    assert [params[f"layer{i}"]["kernel"].shape for i in range(len(params))] == sizes
    assert all(np.abs(layer["kernel"]).max() <= layer["kernel"].shape[0] ** -0.5 for layer in params.values())
    again, other = dann.initialize(5, config, seed=1), dann.initialize(5, config, seed=2)
    jax.tree.map(np.testing.assert_array_equal, params, again)
    assert (params["layer0"]["kernel"] != other["layer0"]["kernel"]).all()
