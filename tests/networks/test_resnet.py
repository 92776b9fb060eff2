"""ResNet against stored torch outputs, without torch: scripts/make_reference_outputs.py wrote them."""

import dataclasses
import itertools
from functools import cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import draw, ours

from tljax.core.errors import ConfigError
from tljax.core.trees import count, flatten
from tljax.core.types import EVALUATE, Mode, Variables
from tljax.networks import pooling
from tljax.networks.families import resnet
from tljax.networks.layers import BatchNorm, Conv
from tljax.weights import placement

PARAMETERS = {
    "18": 11_689_512,
    "34": 21_797_672,
    "50": 25_557_032,
    "101": 44_549_160,
    "152": 60_192_808,
    "wide50_2": 68_883_240,
    "resnext50_32x4d": 25_028_904,
}
STAGES = ("stem", "stage1", "stage2", "stage3", "stage4")
TRAIN = Mode(train=True)
SMALL = (2, 32, 32, 3)


@cache
def stored(variant: str) -> dict[str, np.ndarray]:
    with np.load(Path(__file__).parents[1] / "reference" / f"resnet{variant}.npz") as file:
        return dict(file)


@cache
def drawn18() -> Variables:
    return ours.placed("18", draw.weights(ours.published_shapes("18")))


# Parity


@pytest.mark.parametrize("variant", ours.VARIANTS)
def test_every_stage_and_the_logits_are_torchs(variant):
    reference, net = stored(variant), ours.network(variant)
    variables = ours.placed(variant, draw.weights(ours.published_shapes(variant)))
    differences = {}
    for i, shape in enumerate(draw.resnet_inputs(variant)):
        found = ours.outputs(net, variables, draw.image(shape))
        differences[i, "logits"] = ours.difference(found["logits"], reference[f"{i}/logits"])
        for stage in STAGES:
            output, key = found[stage], f"{i}/{stage}"
            assert output.shape == tuple(reference[f"{key}/shape"])
            largest = reference[f"{key}/largest"]
            values = output.reshape(-1)[draw.positions(output.size)]
            differences[i, stage] = ours.difference(values, reference[key], largest)
            differences[i, stage, "largest"] = ours.difference(np.abs(output).max(), largest)
    assert {key: value for key, value in differences.items() if not value <= 1e-5} == {}


def test_drawn_numbers_are_the_same_everywhere():
    # The stored outputs hold for these numbers only.
    assert (draw.uniform("bn1.weight", (3,)) * 2**24).tolist() == [7862824, 6979128, 2421331]


def test_positions_are_all_over_an_output_and_differ():
    where = draw.positions(2 * 16 * 16 * 64)
    assert len(set(where.tolist())) == draw.KEPT
    assert len(set((where % 64).tolist())) == 64  # every channel
    assert draw.positions(5).size == 5


@pytest.mark.parametrize("variant", ours.VARIANTS)
def test_names_and_shapes_are_the_published_ones(variant):
    published = zip(stored(variant)["names"], stored(variant)["shapes"], strict=True)
    expected = {str(name): tuple(map(int, shape.split())) for name, shape in published}
    assert ours.published_shapes(variant) == expected


@pytest.mark.parametrize("variant", ours.VARIANTS)
def test_name_table_covers_every_variable_once(variant):
    rows = resnet.names(variant)
    variables = {(c, path) for c, tree in ours.shapes(variant).items() for path in flatten(tree)}
    assert {(row.collection, row.path) for row in rows} == variables
    assert len(rows) == len(variables) == len({row.published for row in rows})


@pytest.mark.parametrize("variant", ours.VARIANTS)
def test_parameter_count_is_the_published_one(variant):
    assert count(ours.shapes(variant)["params"]) == PARAMETERS[variant]


@pytest.mark.parametrize("variant", ["18", "50", "resnext50_32x4d"])
def test_place_and_publish_are_inverse(variant):
    arrays = draw.weights(ours.published_shapes(variant))
    back = placement.publish(ours.placed(variant, arrays), resnet.names(variant))
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype, name
        np.testing.assert_array_equal(back[name], array, err_msg=name)


def test_unknown_variant_lists_those_that_exist():
    with pytest.raises(ConfigError, match=r"must be one of 18, 34, 50, 101, 152, wide50_2, .*; got '19'"):
        resnet.build("19")


# Stages


@pytest.mark.parametrize(("stop", "start"), list(itertools.pairwise(STAGES)))
def test_two_partial_runs_are_the_whole_run(stop, start):
    net, x = ours.network("18"), draw.image(SMALL)
    middle = net.apply(drawn18(), x, EVALUATE, stop=stop, method="features")
    halves = net.apply(drawn18(), middle, start=start)
    np.testing.assert_array_equal(halves, net.apply(drawn18(), x))


def test_partial_runs_create_only_their_own_parameters():
    net, key = ours.network("18"), jax.random.key(0)
    front = jax.eval_shape(lambda x: net.init(key, x, EVALUATE, stop="stage2", method="features"), jnp.zeros(SMALL))
    back = jax.eval_shape(lambda x: net.init(key, x, start="stage3"), jnp.zeros((2, 4, 4, 128)))
    for collection in ("params", "batch_stats"):
        assert set(front[collection]["backbone"]) == {"stem", "stage1", "stage2"}
        assert set(back[collection]["backbone"]) == {"stage3", "stage4"}
    assert set(front["params"]) == {"backbone"}
    assert set(back["params"]) == {"backbone", "head"}
    whole = ours.shapes("18")["params"]
    assert count(front["params"]) + count(back["params"]) == count(whole)


@pytest.mark.parametrize("frozen", ["backbone/stem", "backbone/stage1", "backbone/stage2/block0/bn1", "backbone"])
def test_only_frozen_batch_statistics_stay_as_they_were(frozen):
    net, mode = ours.network("18"), Mode(train=True, frozen=frozenset({frozen}))
    _, new = net.apply(drawn18(), draw.image(SMALL), mode, mutable=["batch_stats"])
    old, new = flatten(drawn18()["batch_stats"]), flatten(new["batch_stats"])
    assert old.keys() == new.keys()
    stayed = {path for path in old if np.array_equal(old[path], new[path])}
    assert stayed == {path for path in old if f"{path}/".startswith(f"{frozen}/")}


def test_a_frozen_stage_computes_what_evaluation_computes():
    net, x = ours.network("18"), draw.image((2, 8, 8, 64))
    frozen = Mode(train=True, frozen=frozenset({"backbone/stage1"}))
    evaluated, _ = ours.stage(net, drawn18(), x, "stage1", EVALUATE)
    np.testing.assert_array_equal(ours.stage(net, drawn18(), x, "stage1", frozen)[0], evaluated)
    assert ours.difference(ours.stage(net, drawn18(), x, "stage1", TRAIN)[0], evaluated) > 0.01


def test_evaluation_moves_no_statistics():
    _, new = ours.network("18").apply(drawn18(), draw.image(SMALL), mutable=["batch_stats"])
    jax.tree.map(np.testing.assert_array_equal, new["batch_stats"], drawn18()["batch_stats"])


def test_a_path_is_frozen_by_whole_names_only():
    mode = Mode(train=True, frozen=frozenset({"backbone/stage1"}))
    assert not mode.trains(("backbone", "stage1", "block0", "bn1"))
    assert mode.trains(("backbone", "stage10", "block0", "bn1"))
    assert not Mode(train=False).trains(("backbone",))


# Conventions


def batch_norm(mean: float, var: float, mode: Mode):
    """BatchNorm with scale 2 and bias 1 on the values 1, 3, 5, 7: mean 4, biased variance 5."""
    x = jnp.array([1.0, 3.0, 5.0, 7.0]).reshape(2, 2, 1, 1)
    params = {"scale": jnp.array([2.0]), "bias": jnp.array([1.0])}
    stats = {"mean": jnp.array([mean]), "var": jnp.array([var])}
    y, new = BatchNorm().apply({"params": params, "batch_stats": stats}, x, mode, mutable=["batch_stats"])
    return y.reshape(-1), new["batch_stats"]


def test_batch_norm_in_training_by_hand():
    y, new = batch_norm(10.0, 20.0, TRAIN)
    np.testing.assert_allclose(y, 2 * np.array([-3, -1, 1, 3]) / np.sqrt(5 + 1e-5) + 1, rtol=1e-6)
    np.testing.assert_allclose(new["mean"], [0.9 * 10 + 0.1 * 4], rtol=1e-6)
    np.testing.assert_allclose(new["var"], [0.9 * 20 + 0.1 * 5], rtol=1e-6)  # unbiased: 0.1 * 20 / 3


def test_batch_norm_in_evaluation_by_hand():
    y, new = batch_norm(10.0, 20.0, EVALUATE)
    np.testing.assert_allclose(y, 2 * np.array([-9, -7, -5, -3]) / np.sqrt(20 + 1e-5) + 1, rtol=1e-6)
    assert (new["mean"].item(), new["var"].item()) == (10, 20)


def test_batch_norm_epsilon_is_1e_5():
    y, _ = batch_norm(0.0, 0.0, EVALUATE)
    np.testing.assert_allclose(y, 2 * np.array([1, 3, 5, 7]) / np.sqrt(1e-5) + 1, rtol=1e-6)


def test_strided_convolution_pads_both_sides_as_torch():
    # 3x3 ones over 4x4 ones. One zero on every side: the first window lies half outside, the last
    # inside. SAME would pad right and below only: [[9, 6], [6, 4]].
    conv = Conv(features=1, size=3, stride=2, padding=1)
    y = conv.apply({"params": {"kernel": jnp.ones((3, 3, 1, 1))}}, jnp.ones((1, 4, 4, 1)))
    assert y[0, :, :, 0].tolist() == [[4, 6], [6, 9]]


def test_max_pool_pads_both_sides_as_torch():
    # 0..15 in rows, windows of 3 at stride 2. SAME would give [[10, 11], [14, 15]].
    y = pooling.max_pool(jnp.arange(16.0).reshape(1, 4, 4, 1), window=3, stride=2, padding=1)
    assert y[0, :, :, 0].tolist() == [[5, 7], [13, 15]]


def test_max_pool_pads_with_less_than_any_number():
    y = pooling.max_pool(jnp.full((1, 4, 4, 1), -7.0), window=3, stride=2, padding=1)
    assert y[0, :, :, 0].tolist() == [[-7, -7], [-7, -7]]


def test_bfloat16_computes_in_bfloat16_on_float32_parameters():
    net, x = ours.network("18", dtype=jnp.bfloat16), jnp.zeros(SMALL)
    initial = jax.eval_shape(net.init, jax.random.key(0), x)
    middle = jax.eval_shape(lambda v: net.apply(v, x, EVALUATE, stop="stage2", method="features"), initial)
    logits, new = jax.eval_shape(lambda v: net.apply(v, x, TRAIN, mutable=["batch_stats"]), initial)
    assert (middle.dtype, logits.dtype) == (jnp.bfloat16, jnp.float32)
    for tree in (initial, new):
        assert {str(leaf.dtype) for leaf in jax.tree.leaves(tree)} == {"float32"}


def test_bfloat16_logits_are_near_float32():
    # One rounding to 8 bits errs by up to 2**-9; the errors of 20 roundings on the way add up like a
    # random walk's, to about sqrt(20) * 2**-9 = 0.9 % of the largest; twice that is allowed.
    reference, x = stored("18")["0/logits"], draw.image(draw.INPUTS[0])
    logits = jax.jit(ours.network("18", dtype=jnp.bfloat16).apply)(drawn18(), x)
    assert 1e-5 < ours.difference(logits, reference) < 0.018


def test_dilated_stages_keep_their_map_and_see_as_far():
    """At every fourth place a dilated network says what the strided one says, away from the edge."""
    strided = resnet.Variant((1, 1, 1, 1), bottleneck=True, width=8)
    dilated = dataclasses.replace(strided, dilated=2)
    x = np.random.default_rng(0).normal(size=(1, 256, 256, 3)).astype(np.float32)
    nets = [resnet.build(one) for one in (strided, dilated)]
    variables = nets[0].init(jax.random.key(0), x[:, :64, :64])
    few, many = (jax.jit(partial(net.apply, stop="stage4"))(variables, x) for net in nets)
    assert few.shape == (1, 8, 8, 256) and many.shape == (1, 32, 32, 256)
    np.testing.assert_allclose(many[:, ::4, ::4][:, 4:5, 4:5], few[:, 4:5, 4:5], rtol=1e-4, atol=1e-5)
    with pytest.raises(ConfigError, match="dilated stages must be fewer than its 4; got 4"):
        dataclasses.replace(strided, dilated=4)
