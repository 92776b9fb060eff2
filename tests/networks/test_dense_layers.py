"""Dense layers and GELU in the form for a CPU: values, gradients, and what an accelerator gets."""

import re
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import draw, ours

from tljax.networks import layers, ops
from tljax.networks.attention import attended
from tljax.networks.vision_transformer import Variant, ViT

KERNEL = {"params": {"kernel": draw.uniform("kernel", (4, 3), -1, 1), "bias": np.ones(3, np.float32)}}
X, G = jnp.asarray(draw.uniform("x", (2, 5, 4), -2, 2)), jnp.asarray(draw.uniform("g", (2, 5, 3), -1, 1))


def both(module: nn.Module):
    """The output, and the gradients of the variables and of the input."""
    value, pull = jax.vjp(module.apply, KERNEL, X)
    return value, *jax.tree.leaves(pull(G))


def test_a_dense_layer_and_its_gradients():
    for found, expected in zip(both(layers.Dense(3)), both(nn.Dense(3)), strict=True):
        assert found.shape == expected.shape and ours.difference(found, expected) < 1e-6


def test_gelu_and_its_gradient():
    x, exact = jnp.linspace(-8, 8, 401), partial(nn.gelu, approximate=False)
    np.testing.assert_allclose(layers.gelu(x), exact(x), rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        jax.grad(lambda x: layers.gelu(x).sum())(x), jax.grad(lambda x: exact(x).sum())(x), atol=1e-6
    )


FORMS = {
    "dense": (lambda x: layers.Dense(3).apply(KERNEL, x), lambda x: nn.Dense(3).apply(KERNEL, x)),
    "gelu": (layers.gelu, partial(nn.gelu, approximate=False)),
    "attention": (lambda x: attended(*3 * [x[..., None]]), lambda x: jax.nn.dot_product_attention(*3 * [x[..., None]])),
    "rows": (layers.rows, lambda x: x),
}


@pytest.mark.parametrize("name", FORMS)
def test_an_accelerator_gets_the_plain_form(name):
    own, plain = FORMS[name]
    with ops.plain():
        assert lowered(own) == lowered(plain)
    assert name == "rows" or lowered(own) != lowered(plain)  # on a CPU they differ


def lowered(function) -> str:
    return jax.jit(lambda x: function(x)).lower(X).as_text()


def test_the_backward_pass_grows_linearly_with_depth():
    """Multiplications in the compiled program: each further block adds as many as the one before it."""
    counts = [multiplications(depth) for depth in (2, 3, 4)]
    assert counts[2] - counts[1] <= counts[1] - counts[0]


def multiplications(depth: int) -> int:
    network, x = ViT(Variant(8, 16, 2, depth)), jnp.asarray(draw.uniform("picture", (2, 32, 32, 3), -1, 1))
    variables = jax.eval_shape(network.init, jax.random.key(0), x)
    gradient = jax.jit(jax.grad(lambda v: network.apply(v, x).sum()))
    return len(re.findall(r" multiply\(", gradient.lower(variables).compile().as_text()))
