"""The heads of segmentation on every kind of backbone, and the stages that they choose."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.core.errors import ConfigError
from tljax.core.plugins import find
from tljax.networks import network
from tljax.networks.backbone import Backbone
from tljax.networks.families import convnext, resnet, vgg
from tljax.networks.segmentation import counts, losses, stages
from tljax.networks.segmentation.heads import HEADS, enlarged
from tljax.networks.stage_maps import StageMap, as_map
from tljax.networks.vision_transformer import Variant as Patches

RESNET = resnet.Variant((1, 1, 1, 1), bottleneck=False, width=8)
BACKBONES = {
    "resnet": ("resnet", RESNET),
    "vgg": ("vgg", vgg.Variant((1,) * 5, batch_norm=False, widths=(4, 4, 8, 8, 8), dense=8)),
    "convnext": ("convnext", convnext.Variant((1, 1, 1, 1), (8, 8, 16, 16))),
    "vit": ("vit", Patches(16, 12, 3, 4)),
    "vit with registers": ("vit", Patches(16, 12, 3, 4, registers=4, average=True)),
    "vit with rotary": ("vit", Patches(16, 12, 3, 4, rotary=100.0)),
}
# Backbone -> the stages of U-Net, and the last map.
CHOSEN = {
    "resnet": ("stage1", "stage2", "stage3", "stage4"),
    "vgg": ("conv2", "conv3", "conv4", "conv5"),
    "convnext": ("stage1", "stage2", "stage3", "stage4"),
    "vit": ("block0", "block1", "block2", "norm"),
    "vit with registers": ("embed", "block0", "block2", "block3"),
    "vit with rotary": ("block0", "block1", "block2", "norm"),
}


class NoStages(Backbone):
    @property
    def stages(self):
        return ()


def backbone(name):
    family, variant = BACKBONES[name]
    return find("families", family).build(variant)


@pytest.mark.parametrize("name", BACKBONES)
def test_heads_choose_stages_and_give_maps(name):
    one = backbone(name)
    assert tuple(level.name for level in stages.pyramid(one)) == CHOSEN[name]
    assert stages.last(one).name == CHOSEN[name][-1]
    x = jnp.zeros((2, 64, 64, 3))
    for head, make in HEADS.items():
        net = network.with_head(one, make.on(one, 5))
        variables = jax.eval_shape(net.init, jax.random.key(0), x)
        shape = jax.eval_shape(net.apply, variables, x).shape
        stride = stages.pyramid(one)[0].stride if head == "unet" else stages.last(one).stride
        assert shape == (2, 64 // stride, 64 // stride, 5), (name, head)
        assert net.reads == (CHOSEN[name] if head == "unet" else CHOSEN[name][-1:])


def test_a_rectangle_is_a_rectangle():
    one = backbone("resnet")
    net = network.with_head(one, HEADS["unet"].on(one, 5))
    x = jnp.zeros((1, 64, 96, 3))
    variables = jax.eval_shape(net.init, jax.random.key(0), x)
    assert jax.eval_shape(net.apply, variables, x).shape == (1, 16, 24, 5)


@pytest.mark.parametrize("head", ["unet", "linear"])
def test_patches_of_a_rectangle_are_a_rectangle(head):
    one = find("families", "vit").build(Patches(patch=16, width=16, heads=2, depth=2))
    net, x = network.with_head(one, HEADS[head].on(one, 5)), jnp.zeros((1, 64, 96, 3))
    fitted = network.on(net, x)
    variables = jax.eval_shape(fitted.init, jax.random.key(0), x)
    assert jax.eval_shape(fitted.apply, variables, x).shape == (1, 4, 6, 5)
    with pytest.raises(ConfigError, match="24 make no 4 x 4"):
        jax.eval_shape(net.init, jax.random.key(0), x)
    tokens = jnp.arange(25.0)[None, :, None]
    assert as_map(tokens, StageMap("block1", 16, 1, 1), (64, 96))[0, 1, 2, 0] == 1 + 6 + 2
    assert one.resized((64, 64), (64, 96)) == "position embeddings 4x4 -> 4x6" and not one.resized((64, 64), (64, 64))


def test_backbones_without_maps_are_errors():
    with pytest.raises(ConfigError, match="needs a backbone of pictures with maps"):
        stages.last(NoStages(find("families", "lenet").variant_of("small")))


def test_enlarged_maps_keep_what_is_linear():
    ramp = jnp.arange(8.0)[None, :, None, None] * jnp.ones((1, 8, 8, 1))
    large = np.asarray(enlarged(ramp, (32, 32)))[0, :, 0, 0]
    np.testing.assert_allclose(large[2:-2], (np.arange(32)[2:-2] + 0.5) / 4 - 0.5, rtol=1e-6)


def test_counts_are_exact_and_leave_out_ignored_pixels():
    rng = np.random.default_rng(0)
    label, said = rng.integers(0, 4, (2, 3, 20, 24))
    label[:, :3] = 255
    table = np.asarray(counts.confusion(jnp.asarray(label, jnp.uint8), jnp.asarray(said), 4))
    for i in range(3):
        expected = [[((label[i] == a) & (said[i] == b)).sum() for b in range(4)] for a in range(4)]
        np.testing.assert_array_equal(table[i], expected)


def test_boundaries_are_those_that_loops_find():
    rng = np.random.default_rng(1)
    label, said = np.repeat(np.repeat(rng.integers(0, 3, (2, 1, 4, 4)), 5, 2), 5, 3)
    label[0, :4, :4] = 255
    table = np.asarray(counts.boundaries(jnp.asarray(label, jnp.uint8), jnp.asarray(said), 3))[0]

    def edge(one, k):
        found = np.zeros((20, 20), bool)
        for i, j in np.ndindex(20, 20):
            beside = [(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)]
            inside = [one[a, b] for a, b in beside if 0 <= a < 20 and 0 <= b < 20]
            found[i, j] = one[i, j] == k and any(x not in (k, 255) for x in inside)
        return found

    def near(one, other):  # the tolerance of 20 x 20 is one pixel
        return sum(other[max(0, i - 1) : i + 2, max(0, j - 1) : j + 2].any() for i, j in np.argwhere(one))

    masked = np.where(label[0] == 255, 255, said[0])
    for k in range(3):
        ours, theirs = edge(masked, k), edge(label[0], k)
        assert table[:, k].tolist() == [ours.sum(), near(ours, theirs), theirs.sum(), near(theirs, ours)]


def test_losses_are_those_of_their_formulas():
    rng = np.random.default_rng(2)
    logits, label = rng.normal(size=(2, 4, 5, 3)), rng.integers(0, 3, (2, 4, 5))
    label[0, 0], weights = 255, np.array([1.0, 2.0, 0.5])
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    found = {
        name: np.asarray(
            one[0](jnp.asarray(logits, jnp.float32), jnp.asarray(label), jnp.asarray(weights, jnp.float32))
        )
        for name, one in losses.LOSSES.items()
        if len(one) == 1
    }
    for i in range(2):
        inside = label[i] != 255
        own = np.take_along_axis(p[i], np.where(inside, label[i], 0)[..., None], -1)[..., 0][inside]
        w = weights[label[i][inside]]
        np.testing.assert_allclose(found["cross_entropy"][i], (-np.log(own) * w).sum() / w.sum(), rtol=1e-5)
        np.testing.assert_allclose(found["focal"][i], (-np.log(own) * (1 - own) ** 2 * w).sum() / w.sum(), rtol=1e-5)
        scores = []
        for k in range(3):
            y, q = (label[i] == k)[inside], p[i][..., k][inside]
            scores.append((2 * (y * q).sum() + 1) / (y.sum() + q.sum() + 1))
        present = weights * [(label[i] == k).any() for k in range(3)]  # class 0 is not in the first picture
        expected = ((1 - np.array(scores)) * present).sum() / present.sum()
        np.testing.assert_allclose(found["dice"][i], expected, rtol=1e-5)
