"""Operations are counted by hand, and are near to what XLA says, on which they do not depend."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import small
from tljax.networks import flops, ops, pooling
from tljax.networks.families import resnet, vgg
from tljax.networks.network import Network


def shape(*sizes):
    return jax.ShapeDtypeStruct(sizes, jnp.float32)


@pytest.mark.parametrize(
    ("function", "shapes", "operations"),
    [
        (lambda a, b: a @ b, [(3, 5), (5, 7)], 2 * 3 * 5 * 7),
        (lambda a, b: jnp.einsum("bnd,bmd->bnm", a, b), [(4, 6, 8), (4, 5, 8)], 2 * 4 * 6 * 5 * 8),
        (lambda x, k: ops.conv(x, k, padding=1), [(2, 8, 8, 3), (3, 3, 3, 5)], 2 * 2 * 64 * 5 * 27),
        (lambda x, k: ops.conv(x, k, stride=2), [(2, 8, 8, 3), (1, 1, 3, 5)], 2 * 2 * 16 * 5 * 3),
        (lambda x, k: ops.conv(x, k, padding=1, groups=6), [(1, 8, 8, 6), (3, 3, 1, 6)], 2 * 64 * 6 * 9),
        (lambda x: pooling.max_pool(nn.relu(x), window=2, stride=2) + 1, [(2, 8, 8, 3)], 0),
        (jax.jit(jax.checkpoint(lambda a, b: jnp.sin(a @ b))), [(3, 5), (5, 7)], 2 * 3 * 5 * 7),
        (lambda a, b: jax.lax.scan(lambda x, _: (x @ b, None), a, length=6)[0], [(3, 5), (5, 5)], 6 * 2 * 3 * 5 * 5),
    ],
    ids=["dot", "batched dot", "conv", "1x1", "depthwise", "nothing", "inside others", "loop"],
)
def test_by_hand(function, shapes, operations):
    assert flops.count(function, *(shape(*sizes) for sizes in shapes)) == operations


def test_a_program_that_does_not_say_how_often_is_refused():
    with pytest.raises(ValueError, match="found 'while'"):
        flops.count(lambda x: jax.lax.while_loop(lambda y: y[0] > 0, lambda y: y - 1, x), shape(3))


@pytest.mark.parametrize(
    "backbone",
    [resnet.ResNet(small.TINY), vgg.VGG(vgg.Variant((1, 1, 1, 1, 1), True, (8,) * 5, 16))],
    ids=["resnet", "vgg"],
)
def test_near_to_xlas_own_count(backbone):
    """XLA's adds what is done element by element, and leaves out products with padding."""
    network, pixels = Network(backbone, nn.Dense(3)), np.zeros((1, 64, 64, 3), np.float32)
    variables = jax.eval_shape(network.init, jax.random.key(0), pixels)
    found = flops.count(network.apply, variables, pixels)
    with ops.plain():
        theirs = jax.jit(network.apply).lower(variables, pixels).cost_analysis()["flops"]
    assert found == pytest.approx(theirs, rel=0.1)
