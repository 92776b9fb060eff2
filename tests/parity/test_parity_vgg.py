"""VGG against torch, live: the written-out module with all of its channels, every variant."""

from functools import partial

import jax
import numpy as np
import pytest
from reference import draw
from reference import vgg_convnext as shared

from tljax.networks.families import vgg

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="torch is not installed; `make parity` installs it")
from reference import torch_vgg, torch_vgg_convnext  # noqa: E402


@pytest.mark.parametrize("variant", torch_vgg.VARIANTS)
def test_stages_and_logits_on_drawn_weights(variant):
    net = shared.network(vgg, variant)
    arrays = draw.weights(shared.published_shapes(vgg, net))
    variables = shared.placed(vgg, net, arrays)
    module = torch_vgg_convnext.load(torch_vgg.VGG(variant), arrays)
    for shape in draw.INPUTS:
        x = draw.image(shape)
        expected = torch_vgg_convnext.outputs(module, x, torch_vgg.STAGES)
        assert shared.above(1e-5, shared.outputs(net, variables, x), expected, f"{variant} {shape}") == {}


def test_the_published_size_needs_no_averaging_and_a_larger_one_does():
    # 224 / 32 = 7; 260 / 32 leaves 8 rows and 300 / 32 leaves 9 columns for the 7x7 of fc6.
    net = shared.network(vgg, "11", **shared.NARROW)
    module = torch_vgg_convnext.load(torch_vgg.VGG("11", **shared.NARROW), shared.drawn_arrays(vgg, net))
    for shape in ((1, 224, 224, 3), (1, 260, 300, 3)):
        x = draw.image(shape)
        expected = torch_vgg_convnext.outputs(module, x, torch_vgg.STAGES)
        assert shared.above(1e-5, shared.outputs(net, shared.drawn(vgg, net), x), expected, f"{shape}") == {}


def test_adaptive_mean_is_torchs():
    sizes = (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 14, 20)
    pool, ours = torch.nn.AdaptiveAvgPool2d(7), jax.jit(partial(vgg.adaptive_mean, size=7))
    for height, width in zip(sizes, reversed(sizes), strict=True):
        x = draw.image((2, height, width, 3))
        expected = torch_vgg_convnext.nhwc(pool(torch_vgg_convnext.nchw(x)))
        np.testing.assert_allclose(ours(x), expected, atol=1e-6)


@pytest.mark.parametrize("variant", ["11", "16_bn"])
def test_gradients_in_float64(variant):
    """In float64, so that no ReLU opens by rounding; the features, in float32 before the head, leave 6e-8."""
    net = shared.network(vgg, variant, **shared.NARROW)
    module = torch_vgg_convnext.load(torch_vgg.VGG(variant, **shared.NARROW), shared.drawn_arrays(vgg, net))
    x, labels = draw.image((2, 45, 70, 3)), np.array([3, 9])
    loss, grads = shared.gradients(vgg, variant, x, labels)
    value, expected = torch_vgg_convnext.gradients(module, x, labels)
    assert loss == pytest.approx(value, rel=1e-6)
    assert shared.above(1e-6, grads, expected, f"{variant} float64 gradients") == {}
