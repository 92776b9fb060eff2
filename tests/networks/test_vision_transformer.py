"""The vision transformer: stages, conventions, drop path. Parity with torch: test_vit.py, test_parity_vit.py."""

import dataclasses
import itertools
import math
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import draw, ours

from tljax.core.errors import ConfigError, WeightsError
from tljax.core.trees import count, flatten, unflatten
from tljax.core.types import EVALUATE, Mode
from tljax.networks.families import vit
from tljax.networks.latent_attention import Mlp
from tljax.networks.layers import LayerNorm
from tljax.networks.network import Network
from tljax.networks.vision_transformer import Block, Variant, ViT
from tljax.weights import placement

SMALL = Variant(patch=4, width=8, heads=2, depth=3)
TRAIN = Mode(train=True)


def small(variant: Variant = SMALL, size: tuple[int, int] = (8, 12), **options):
    """A network of three blocks, its drawn parameters and two inputs."""
    net = Network(ViT(variant, **options), nn.Dense(5))
    x = draw.image((2, *size, 3))
    shapes = placement.shapes(net, x)["params"]
    leaves = {path: draw.uniform(path, leaf.shape, -0.5, 0.5) for path, leaf in flatten(shapes).items()}
    return net, {"params": unflatten(leaves)}, x


# Stages


PARTS = [
    {"layer_scale": True, "registers": 2},
    {"layer_scale": True, "class_position": False},
    {"pre_norm": True, "activation": "quick_gelu"},
    {"gated": True, "hidden": 12},
    {"class_token": False, "average_after": True, "registers": 1},
    {"rotary": 100.0, "layer_scale": True, "registers": 2},
    {"class_token": False, "attention_pool": True, "activation": "gelu_tanh"},
    {"prompts": 2},
    {"prompts": 3, "deep_prompts": True, "rotary": 100.0, "layer_scale": True, "registers": 2},
]


@pytest.mark.parametrize(
    "change",
    [{}, {"average": True}, {"distilled": True}, {"registers": 2, "class_token": False, "average": True}, *PARTS],
)
def test_two_partial_runs_are_the_whole_run(change):
    net, variables, x = small(dataclasses.replace(SMALL, **change))
    stages = net.backbone.stages
    assert stages == ("embed", "block0", "block1", "block2", "norm", *(["pool"] if "attention_pool" in change else []))
    for stop, start in itertools.pairwise(stages):
        middle = net.apply(variables, x, EVALUATE, stop=stop, method="features")
        np.testing.assert_array_equal(net.apply(variables, middle, start=start), net.apply(variables, x))


def test_partial_runs_create_only_their_own_parameters():
    net, variables, x = small()
    key = jax.random.key(0)
    front = jax.eval_shape(lambda x: net.init(key, x, EVALUATE, stop="block1", method="features"), x)
    back = jax.eval_shape(lambda x: net.init(key, x, start="block2"), jnp.zeros((2, 7, 8)))
    assert set(front["params"]["backbone"]) == {"embed", "block0", "block1"}
    assert set(back["params"]["backbone"]) == {"block2", "norm"} and "head" in back["params"]
    assert count(front["params"]) + count(back["params"]) == count(variables["params"])


def test_features_are_the_token_both_tokens_or_the_mean():
    for change, features in (
        ({}, lambda tokens: tokens[:, 0]),
        ({"distilled": True}, lambda tokens: tokens[:, :2].reshape(2, 16)),
    ):
        net, variables, x = small(dataclasses.replace(SMALL, **change))
        tokens = net.apply(variables, x, EVALUATE, stop="norm", method="features")
        assert tokens.shape == (2, 6 + 1 + len(change), 8)
        np.testing.assert_array_equal(net.apply(variables, x, method="features"), features(tokens))
    net, variables, x = small(dataclasses.replace(SMALL, average=True))
    mean = net.apply(variables, x, EVALUATE, stop="block2", method="features")[:, 1:].mean(axis=1)
    norm = variables["params"]["backbone"]["norm"]
    expected = (mean - mean.mean(1, keepdims=True)) / np.sqrt(mean.var(1, keepdims=True) + 1e-6)
    expected = expected * norm["scale"][None] + norm["bias"][None]
    np.testing.assert_allclose(net.apply(variables, x, method="features"), expected, rtol=1e-5, atol=1e-6)


def test_tokens_stand_before_the_patches_in_order():
    # With registers, positions are the patches' alone; without, every token's.
    for change, names in (
        ({"registers": 2}, ("cls_token", "reg_token")),
        ({"distilled": True}, ("cls_token", "dist_token")),
    ):
        net, variables, x = small(dataclasses.replace(SMALL, **change))
        embed = variables["params"]["backbone"]["embed"]
        before = np.concatenate([embed[name] for name in names], axis=1)
        if "distilled" in change:
            before = before + embed["pos_embed"][:, :2]
        tokens = net.apply(variables, x, EVALUATE, stop="embed", method="features")
        np.testing.assert_array_equal(tokens[:, : before.shape[1]], np.repeat(before, 2, axis=0))
        assert tokens.shape == (2, before.shape[1] + 6, 8)


@pytest.mark.parametrize("change", PARTS)
def test_every_part_has_its_published_names(change):
    shape = dataclasses.replace(SMALL, **change)
    variables = small(shape)[1]
    rows = vit.names(shape)
    assert {row.path for row in rows} == set(flatten(variables["params"]))
    assert len(rows) == len({row.path for row in rows}) == len({row.published for row in rows})
    arrays = placement.publish(variables, rows)
    told = {"heads": 2, "activation": shape.activation, "eps": shape.eps}
    square = {**arrays}
    if not shape.rotary:
        square["pos_embed"] = arrays["pos_embed"][:, : 5 if shape.positions_of_all else 4]
    assert dataclasses.replace(vit.infer(square, told), eps=shape.eps) == shape


def test_a_class_token_without_a_position_is_told_by_the_square_of_patches():
    shape = dataclasses.replace(SMALL, class_position=False)
    arrays = {row.published: np.zeros((8, 8, 4, 4)) for row in vit.names(shape)}
    for positions, all_tokens in ((16, False), (17, True), (4, False), (5, True)):
        arrays["pos_embed"] = np.zeros((1, positions, 8))
        assert vit.infer(arrays, {"heads": 2}).class_position is all_tokens


def test_which_gelu_a_clip_has_is_told_or_asked_for():
    arrays = {row.published: np.zeros((8, 8, 4, 4)) for row in vit.names(dataclasses.replace(SMALL, pre_norm=True))}
    arrays["pos_embed"] = np.zeros((1, 17, 8))
    for config, activation in (
        ({"architecture": "vit_base_patch32_clip_quickgelu_224"}, "quick_gelu"),
        (
            {"architecture": "vit_base_patch32_clip_224", "pretrained_cfg": {"notes": ["natively QuickGELU"]}},
            "quick_gelu",
        ),
        ({"architecture": "vit_base_patch32_clip_224"}, "gelu"),
        ({"architecture": "vit_so400m_patch16_siglip_256"}, "gelu_tanh"),
        ({"architecture": "vit_so400m_patch14_siglip_224"}, "gelu"),
        ({"activation": "gelu_tanh"}, "gelu_tanh"),
    ):
        assert vit.infer(arrays, {"heads": 2, **config}).activation == activation
    with pytest.raises(WeightsError, match=r"a CLIP or SigLIP do not show which GELU .*\. Put the config\.json"):
        vit.infer(arrays, {"heads": 2})


@pytest.mark.parametrize("change", [{"class_token": False}, {"average": True, "attention_pool": True}])
def test_features_are_one_thing(change):
    with pytest.raises(ConfigError, match=r"must be one of: its class token, .*\. Got none, or several, of these"):
        dataclasses.replace(SMALL, **change)


def test_without_a_class_token_features_are_the_mean_of_normalised_patches():
    net, variables, x = small(dataclasses.replace(SMALL, class_token=False, average_after=True, registers=1))
    tokens = np.asarray(net.apply(variables, x, EVALUATE, stop="norm", method="features"))
    np.testing.assert_allclose(
        net.apply(variables, x, method="features"), tokens[:, 1:].mean(axis=1), rtol=1e-5, atol=1e-6
    )


# Conventions


def test_layer_norm_epsilon_is_1e_6():
    x = jnp.array([[1.0, 3.0, 5.0, 7.0]]) * 1e-3  # mean 4e-3, variance 5e-6
    y = LayerNorm().apply({"params": {"scale": jnp.full(4, 2.0), "bias": jnp.ones(4)}}, x)
    np.testing.assert_allclose(y[0], 2 * np.array([-3, -1, 1, 3]) / np.sqrt(5 + 1) + 1, rtol=1e-5)


def test_layer_norm_is_exact_far_from_zero():
    # E[x^2] - E[x]^2 in float32 gives a variance of 0 or 32 here, where it is 5.
    x = jnp.array([[1.0, 3.0, 5.0, 7.0]]) + 16384
    y = LayerNorm().apply({"params": {"scale": jnp.ones(4), "bias": jnp.zeros(4)}}, x)
    np.testing.assert_allclose(y[0], np.array([-3, -1, 1, 3]) / np.sqrt(5), rtol=1e-6)


def test_gelu_is_exact():
    # At 2 the tanh form is 8e-5 above.
    params = {
        "fc1": {"kernel": jnp.eye(1, 4), "bias": jnp.zeros(4)},
        "fc2": {"kernel": jnp.eye(4, 1), "bias": jnp.ones(1)},
    }
    y = Mlp(jnp.float32).apply({"params": params}, jnp.full((1, 1, 1), 2.0))
    np.testing.assert_allclose(y.item(), 1 + 2 * (1 + math.erf(math.sqrt(2))) / 2, rtol=1e-6)


def test_a_size_that_is_no_multiple_of_the_patch_is_refused():
    with pytest.raises(ConfigError, match=r"must be multiples of the patch, 4 pixels; got 8 x 10\."):
        small(size=(8, 10))


def test_bfloat16_computes_in_bfloat16_on_float32_parameters():
    for change in ({}, {"average": True}):
        net, variables, x = small(dataclasses.replace(SMALL, **change), dtype=jnp.bfloat16)
        middle = net.apply(variables, x, EVALUATE, stop="block1", method="features")
        logits = net.apply(variables, x)
        assert (middle.dtype, logits.dtype) == (jnp.bfloat16, jnp.float32)
        assert {leaf.dtype for leaf in jax.tree.leaves(placement.shapes(net, x))} == {np.dtype(np.float32)}
        # Some 30 roundings to 8 bits, each by up to 2**-9, add up as a random walk's: sqrt(30) * 2**-9 = 1.1 %.
        exact = small(dataclasses.replace(SMALL, **change))[0].apply(variables, x)
        assert 1e-5 < ours.difference(logits, exact) < 0.022


# Drop path


def drop_path_rates(net: ViT) -> list[float]:
    """Of every block, in order."""
    found = []

    def note(run, args, kwargs, context):
        if isinstance(context.module, Block):
            found.append(context.module.drop_path)
        return run(*args, **kwargs)

    with nn.intercept_methods(note):
        jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, net.variant.patch, net.variant.patch, 3)))
    return found


def test_drop_path_rises_linearly_over_the_depth():
    assert drop_path_rates(ViT(SMALL, drop_path=0.3)) == pytest.approx([0, 0.15, 0.3], rel=1e-12)
    assert drop_path_rates(ViT(SMALL)) == [0, 0, 0]
    assert drop_path_rates(ViT(dataclasses.replace(SMALL, depth=1), drop_path=0.5)) == [0]


def test_drop_path_leaves_out_whole_branches_and_scales_the_others():
    shape = Variant(patch=8, width=8, heads=2, depth=1)
    block = Block(shape, drop_path=0.25, dtype=jnp.float32)
    x = draw.image((64, 3, 8))
    params = jax.tree.map(partial(jnp.multiply, 0.3), block.init(jax.random.key(0), x, EVALUATE))
    params["params"]["mlp"]["fc2"] = jax.tree.map(jnp.zeros_like, params["params"]["mlp"]["fc2"])  # attention alone
    branch = block.apply(params, x, EVALUATE) - x
    added = block.apply(params, x, TRAIN, rngs={"dropout": jax.random.key(1)}) - x
    dropped = np.abs(added).max(axis=(1, 2)) == 0
    np.testing.assert_allclose(added[~dropped], branch[~dropped] / 0.75, atol=1e-6)
    assert 6 <= dropped.sum() <= 26  # 16 expected of 64, with a standard deviation of 3.5


def test_without_drop_path_training_is_evaluation():
    net, variables, x = small()
    np.testing.assert_array_equal(net.apply(variables, x, TRAIN), net.apply(variables, x))


@pytest.mark.parametrize("frozen", ["backbone/block2", "backbone"])
def test_a_frozen_block_drops_nothing(frozen):
    net, variables, x = small(drop_path=0.9)
    tokens = net.apply(variables, x, EVALUATE, stop="block1", method="features")

    def last_block(mode, seed):
        rngs = {"dropout": jax.random.key(seed)}
        return net.apply(variables, tokens, mode, rngs=rngs, method=lambda n, x, m: n.backbone(x, m, start="block2"))

    evaluated = last_block(EVALUATE, 0)
    mode = Mode(train=True, frozen=frozenset({frozen}))
    np.testing.assert_array_equal(last_block(mode, 0), evaluated)
    assert any(ours.difference(last_block(TRAIN, seed), evaluated) > 0.01 for seed in range(5))
