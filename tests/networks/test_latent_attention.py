"""Activations, the gated MLP and the pooling query, by their formulas in float64."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import draw

from tljax.core.trees import flatten, unflatten
from tljax.core.types import EVALUATE
from tljax.networks.latent_attention import ACTIVATIONS, LatentAttention, Mlp

X = np.linspace(-4, 4, 41)
FORMULAS = {
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "gelu_tanh": lambda x: x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
    "relu": lambda x: max(x, 0.0),
    "quick_gelu": lambda x: x / (1 + math.exp(-1.702 * x)),
}


def drawn(module, x, *others):
    shapes = jax.eval_shape(lambda key, x: module.init(key, x, *others), jax.random.key(0), x)["params"]
    return unflatten({path: draw.uniform(path, leaf.shape, -1.0, 1.0) for path, leaf in flatten(shapes).items()})


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_their_formulas(name):
    found = np.asarray(ACTIVATIONS[name](jnp.asarray(X, jnp.float32)))
    np.testing.assert_allclose(found, [FORMULAS[name](x) for x in X], atol=1e-6)


def test_half_of_a_gated_mlp_gates_the_other():
    mlp, x = Mlp(jnp.float32, hidden=3, gated=True), draw.image((2, 5, 4))
    params = drawn(mlp, x)
    assert params["fc1"]["kernel"].shape == (4, 6) and params["fc2"]["kernel"].shape == (3, 4)
    y = x.astype(np.float64) @ params["fc1"]["kernel"] + params["fc1"]["bias"][None, None]
    gate, value = y[..., :3], y[..., 3:]
    expected = (gate / (1 + np.exp(-gate)) * value) @ params["fc2"]["kernel"] + params["fc2"]["bias"][None, None]
    np.testing.assert_allclose(mlp.apply({"params": params}, x), expected, atol=1e-5)


def test_the_pooling_query_finds_what_the_formula_says():
    heads, width = 2, 6
    pool, x = LatentAttention(heads, 5, "gelu_tanh", 1e-6, jnp.float32), draw.image((2, 4, width))
    params = drawn(pool, x, EVALUATE)
    one = {name: np.asarray(leaf, np.float64) for name, leaf in flatten(params).items()}

    def dense(x, name):
        return x @ one[f"{name}/kernel"] + one[f"{name}/bias"]

    query, (keys, values) = dense(one["latent"][0, 0], "q"), np.split(dense(x.astype(np.float64), "kv"), 2, axis=-1)
    pooled = np.zeros((2, width))
    for example in range(2):
        for head in np.split(np.arange(width), heads):
            scores = keys[example][:, head] @ query[head] / math.sqrt(width / heads)
            weights = np.exp(scores - scores.max())
            pooled[example, head] = weights / weights.sum() @ values[example][:, head]
    found = dense(pooled, "proj")
    y = (found - found.mean(1, keepdims=True)) / np.sqrt(found.var(1, keepdims=True) + 1e-6)
    hidden = dense(y * one["norm/scale"] + one["norm/bias"], "mlp/fc1")
    expected = found + dense(np.vectorize(FORMULAS["gelu_tanh"])(hidden), "mlp/fc2")
    np.testing.assert_allclose(pool.apply({"params": params}, x, EVALUATE), expected, atol=1e-5)
