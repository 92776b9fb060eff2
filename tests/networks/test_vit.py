"""ViT against stored torch outputs, without torch: scripts/make_reference_outputs.py wrote them."""

import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from reference import draw, ours, ours_vit

from tljax.core.errors import ConfigError, WeightsError
from tljax.core.trees import count, flatten
from tljax.core.types import Card, Published
from tljax.networks.families import vit
from tljax.weights import placement

# Stored outputs -> the size of their input. All but tiny16 are of two blocks.
STORED = {
    "tiny16": (32, 48),
    "tiny32": (96, 64),
    "tiny16_gap": (32, 48),
    "base16_reg8_gap": (32, 48),
    "deit_tiny16_distilled": (32, 48),
}
# With 1,000 classes at 224 pixels, as timm counts them.
PARAMETERS = {
    "tiny16": 5_717_416,
    "small16": 22_050_664,
    "base16": 86_567_656,
    "large16": 304_326_632,
    "tiny32": 6_131_560,
    "small32": 22_878_952,
    "base32": 88_224_232,
    "large32": 306_535_400,
    "deit_tiny16_distilled": 5_910_800,
    "deit_small16_distilled": 22_436_432,
    "deit_base16_distilled": 87_338_192,
    "base16_reg8_gap": 86_572_264,
}
PARAMETERS |= {f"{name}_gap": PARAMETERS[name] for name in vit.PLAIN}
PARAMETERS |= {
    "dinov2_small14": 22_013_800, "dinov2_base14": 86_493_928, "dinov2_large14": 304_252_904,
    "dinov2_giant14": 1_136_306_664, "dinov2_small14_reg4": 22_014_952, "dinov2_base14_reg4": 86_496_232,
    "dinov2_large14_reg4": 304_255_976, "dinov2_giant14_reg4": 1_136_311_272,
    "tipsv2_base14": 86_493_928, "tipsv2_large14": 304_252_904, "tipsv2_giant14": 1_136_306_664,
    "tipsv2_so400m14": 413_659_864,
    "deit3_small16": 22_059_496, "deit3_base16": 86_585_320, "deit3_large16": 304_374_760,
    "clip_base32": 88_225_000, "clip_base16": 86_568_424, "clip_large14": 304_204_776,
    "siglip_base16": 93_653_224, "siglip_base32": 95_309_800, "siglip_large16": 316_919_784,
    "siglip_so400m14": 428_833_704, "siglip_so400m16": 428_971_944,
}  # fmt: skip
# timm's with biases of queries and values alone; there is one of the keys here too, which begins as zeros.
PARAMETERS |= {
    "dinov3_tiny16": 5_682_664 + 12 * 192,
    "dinov3_small16": 21_981_160 + 12 * 384, "dinov3_base16": 86_428_648 + 12 * 768,
    "dinov3_large16": 304_153_576 + 24 * 1024, "dinov3_small_plus16": 29_077_480 + 12 * 384,
    "dinov3_huge_plus16": 841_872_360 + 32 * 1280,
}  # fmt: skip
PARAMETERS |= {f"{name}_quick": PARAMETERS[name] for name in vit.CLIP}
SMALL = vit.Variant(patch=4, width=8, heads=2, depth=3)
NO_CLASS = {"registers": 2, "class_token": False, "average": True}
CARD = Card(mean=(0.5,) * 3, std=(0.5,) * 3)


@cache
def stored(variant: str) -> dict[str, np.ndarray]:
    with np.load(Path(__file__).parents[1] / "reference" / f"vit_{variant}.npz") as file:
        return dict(file)


# Parity


@pytest.mark.parametrize("variant", STORED)
def test_every_stage_and_the_logits_are_torchs(variant):
    reference, size = stored(variant), STORED[variant]
    depth = sum(key.startswith("0/block") and key.count("/") == 1 for key in reference)
    with ours_vit.cut(variant, depth=depth) as name:
        variables = ours_vit.placed(name, draw.weights(ours_vit.timm_shapes(name, size, 10)), size, 10)
        found = ours_vit.outputs(ours_vit.network(name, classes=10), variables, draw.image((2, *size, 3)))
    differences = {"logits": ours.difference(found.pop("logits"), reference["0/logits"])}
    for stage, output in found.items():
        assert output.shape == tuple(reference[f"0/{stage}/shape"])
        largest, values = reference[f"0/{stage}/largest"], reference[f"0/{stage}"]
        differences[stage] = ours.difference(output.reshape(-1)[draw.positions(output.size)[:256]], values, largest)
        differences[stage, "largest"] = ours.difference(np.abs(output).max(), largest)
    print(f"{variant}: {max(differences.values()):.1e}")
    assert len(found) == depth + 2
    assert {key: value for key, value in differences.items() if not value <= 1e-5} == {}


@pytest.mark.parametrize("variant", STORED)
def test_names_and_shapes_are_the_published_ones(variant):
    published = zip(stored(variant)["names"], stored(variant)["shapes"], strict=True)
    expected = {str(name): tuple(map(int, shape.split())) for name, shape in published}
    assert ours_vit.timm_shapes(variant) == expected


@pytest.mark.parametrize("variant", vit.VARIANTS)
def test_name_table_covers_every_parameter_once_and_counts_are_the_published_ones(variant):
    rows, shapes = vit.names(variant), ours_vit.shapes(variant)
    assert set(shapes) == {"params"} == {row.collection for row in rows}
    assert {row.path for row in rows} == set(flatten(shapes["params"]))
    assert len(rows) == len({row.path for row in rows}) == len({row.published for row in rows})
    assert sum(map(math.prod, ours_vit.timm_shapes(variant).values())) == PARAMETERS[variant]
    # A distilled DeiT's two classifiers are one here, with one bias.
    assert count(shapes["params"]) == PARAMETERS[variant] - 1000 * ("distilled" in variant)


def test_place_and_publish_are_inverse():
    arrays = draw.weights(ours_vit.timm_shapes("tiny16"))
    back = placement.publish(ours_vit.placed("tiny16", arrays, (224, 224)), vit.names("tiny16"))
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array, err_msg=name)


def test_unknown_variant_lists_those_that_exist():
    with pytest.raises(ConfigError, match=r"must be one of tiny16, small16, .*deit_base16_distilled.*; got 'huge14'"):
        vit.build("huge14")


# Published arrays of another size


def keys_matrix(old: int, new: int) -> np.ndarray:
    """Weights of `old` samples in each of `new`: Keys 1981 with a = -0.5, stretched when it shrinks, rows sum to 1."""
    scale = old / new
    t = np.abs((np.arange(new)[:, None] + 0.5) * scale - 0.5 - np.arange(old)[None]) / max(scale, 1)
    near, far = 1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    weights = np.where(t < 1, near, np.where(t < 2, far, 0))
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("grid", [(4, 4), (24, 24), (2, 3), (14, 7), (28, 7), (13, 40)])
@pytest.mark.parametrize("before", [0, 1, 2])
def test_positions_are_resized_by_the_formula(grid, before):
    positions = draw.uniform("positions", (1, before + 196, 5), -1.0, 1.0)
    resized = vit.resize_positions(positions, grid, before)
    square = positions[0, before:].reshape(14, 14, 5)
    expected = np.einsum("ri,cj,ijd->rcd", keys_matrix(14, grid[0]), keys_matrix(14, grid[1]), square)
    assert resized.shape == (1, before + grid[0] * grid[1], 5) and resized.dtype == np.float32
    np.testing.assert_array_equal(resized[:, :before], positions[:, :before])
    np.testing.assert_allclose(resized[0, before:].reshape(*grid, 5), expected, atol=1e-5)  # float32 positions


def test_positions_that_fit_or_are_of_no_square_stay():
    positions = draw.uniform("positions", (1, 1 + 196, 5), -1.0, 1.0)
    assert vit.resize_positions(positions, (14, 14), 1) is positions
    assert vit.resize_positions(positions[:, :141], (14, 10), 1).shape == (1, 141, 5)


def small_arrays(size: tuple[int, int], change: dict) -> dict[str, np.ndarray]:
    with ours_vit.cut("tiny16", **vars(SMALL) | change) as name:
        return draw.weights(ours_vit.timm_shapes(name, size, 5))


@pytest.mark.parametrize("change", [{}, {"distilled": True}, NO_CLASS, {"registers": 2}])
def test_a_network_starts_from_arrays_of_another_size(change):
    arrays, example = small_arrays((16, 16), change), np.zeros((1, 8, 12, 3), np.float32)
    with ours_vit.cut("tiny16", **vars(SMALL) | change) as name:
        net, rows = ours_vit.network(name, classes=7), vit.names(name)
    options = {"seed": 0, "published": Published(arrays, CARD, "some.file"), "names": rows}
    variables, kept = placement.start(net, example, **options, adapt=vit.adapt)
    assert set(kept) == {"head/kernel", "head/bias"}
    before = 0 if "registers" in change else 1 + len(change)
    found = variables["params"]["backbone"]["embed"]
    np.testing.assert_array_equal(found["pos_embed"], vit.resize_positions(arrays["pos_embed"], (2, 3), before))
    np.testing.assert_array_equal(found["proj"]["bias"], arrays["patch_embed.proj.bias"])
    with pytest.raises(WeightsError, match=rf"pos_embed \(1, {16 + before}, 8\), must be \(1, {6 + before}, 8\) here"):
        placement.start(net, example, **options)


def test_two_classifiers_of_a_distilled_network_become_one_with_the_same_answer():
    arrays = small_arrays((8, 12), {"distilled": True})
    with ours_vit.cut("tiny16", **vars(SMALL) | {"distilled": True}) as name:
        net, variables = ours_vit.network(name, classes=5), ours_vit.placed(name, arrays, (8, 12), 5)
    x = draw.image((2, 8, 12, 3))
    token, other = np.split(np.asarray(net.apply(variables, x, method="features")), 2, axis=1)
    first = token @ arrays["head.weight"].T + arrays["head.bias"][None]
    second = other @ arrays["head_dist.weight"].T + arrays["head_dist.bias"][None]
    np.testing.assert_allclose(net.apply(variables, x), (first + second) / 2, rtol=1e-5, atol=1e-6)


def test_adapt_leaves_the_arrays_it_was_given():
    arrays = small_arrays((16, 16), {"distilled": True})
    before = {name: array.copy() for name, array in arrays.items()}
    vit.adapt(arrays, (1, 8, 12, 3))
    assert arrays.keys() == before.keys()
    for name in arrays:
        np.testing.assert_array_equal(arrays[name], before[name])


def test_the_single_classifier_of_a_distilled_network_is_on_its_class_token():
    """transformers' DeiTForImageClassification: the distillation token is there, and nothing asks it."""
    arrays = {"dist_token": np.zeros((1, 1, 3)), "head.weight": np.arange(6.0).reshape(2, 3), "head.bias": np.ones(2)}
    found = vit.adapt(arrays, (1, 8, 8, 3))
    np.testing.assert_array_equal(found["head.weight"], [[0, 1, 2, 0, 0, 0], [3, 4, 5, 0, 0, 0]])
    joined = vit.adapt(dict(found), (1, 8, 8, 3))  # one on both tokens stays as it is
    np.testing.assert_array_equal(joined["head.weight"], found["head.weight"])


def others(**more):
    """Tensors of a ViT of one block, as timm names those of EVA and of others that share its names."""
    block = {"norm1.weight": (8,), "attn.qkv.weight": (24, 8), "mlp.fc1.weight": (32, 8), "mlp.fc2.weight": (8, 32)}
    shapes = {"patch_embed.proj.weight": (8, 3, 4, 4), "cls_token": (1, 1, 8)} | more
    return {**{f"blocks.0.{name}": np.zeros(shape) for name, shape in block.items()},
            **{name: np.zeros(shape) for name, shape in shapes.items()}}  # fmt: skip


@pytest.mark.parametrize(
    ("named", "more"),
    [
        ("EVA", {"pos_embed": (1, 5, 8), "blocks.0.attn.q_bias": (8,), "blocks.0.attn.v_bias": (8,)}),
        ("rotary", {"blocks.0.gamma_1": (8,), "blocks.0.gamma_2": (8,)}),
        ("BEiT", {"blocks.0.gamma_1": (8,), "blocks.0.attn.relative_position_bias_table": (9, 2)}),
        ("CaiT", {"blocks.0.gamma_1": (8,), "blocks_token_only.0.gamma_1": (8,)}),
        ("rotary", {"blocks.0.gamma_1": (8,), "pos_embed": (1, 4, 8)}),
        ("Perception", {"pos_embed": (1, 5, 8), "norm_pre.weight": (8,), "attn_pool.latent": (1, 1, 8)}),
    ],
)
def test_networks_that_only_look_like_a_vit_are_refused(named, more):
    with pytest.raises(WeightsError, match=rf"{named}.*computed otherwise"):
        vit.infer(others(**more), {"heads": 2, "activation": "gelu"})


def test_dinov3_is_not_taken_for_another():
    more = {"blocks.0.gamma_1": (8,), "reg_token": (1, 4, 8), "blocks.0.attn.q_bias": (8,)}
    assert vit.infer(others(**more), {"heads": 2}).rotary


def test_positions_of_a_run_are_left_as_they_are():
    """8 x 18 are as many as 12 x 12, of which no count could tell them."""
    arrays = {"pos_embed": np.arange(145.0)[None, :, None], "patch_embed.proj.weight": np.zeros((1, 3, 16, 16))}
    arrays["cls_token"] = np.zeros((1, 1, 1))
    assert vit.adapt(arrays, None)["pos_embed"] is arrays["pos_embed"]
    assert vit.adapt(arrays, (1, 128, 288, 3))["pos_embed"].shape == (1, 145, 1)


@pytest.mark.parametrize(("old", "new"), [((8, 18), (9, 16)), ((3, 8), (4, 4)), ((4, 6), (4, 6))])
def test_positions_of_a_rectangle_are_resized_from_it(old, new):
    """With a class token 4 x 6 and 3 x 8 give 25, a square of 5."""
    positions = draw.uniform("positions", (1, 1 + old[0] * old[1], 5), -1.0, 1.0)
    arrays = {
        "pos_embed": positions,
        "patch_embed.proj.weight": np.zeros((5, 3, 16, 16)),
        "cls_token": positions[:, :1],
    }
    saw = (16 * old[0], 16 * old[1])
    found = vit.adapt(arrays, (1, 16 * new[0], 16 * new[1], 3), saw)["pos_embed"]
    expected = np.einsum("ri,cj,ijd->rcd", *map(keys_matrix, old, new), positions[0, 1:].reshape(*old, 5))
    np.testing.assert_array_equal(found[:, :1], positions[:, :1])
    np.testing.assert_allclose(found[0, 1:].reshape(*new, 5), expected, atol=1e-5)
