"""BiT against stored torch outputs, without torch: scripts/make_reference_outputs.py wrote them."""

import itertools
from functools import cache

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import draw, ours
from reference import vgg_convnext as shared

from tljax.core.errors import ConfigError, WeightsError
from tljax.core.trees import count, flatten
from tljax.core.types import EVALUATE, Card, Mode
from tljax.networks.families import bit
from tljax.networks.network import Network
from tljax.weights import placement
from tljax.weights.sources import file

PARAMETERS = {
    "R50x1": 25_549_352,
    "R101x1": 44_541_480,
    "R50x3": 217_319_080,
    "R101x3": 387_934_888,
    "R152x2": 236_335_208,
    "R152x4": 936_533_224,
}
VARIANTS = tuple(PARAMETERS)
STAGES = ("stem", "stage1", "stage2", "stage3", "stage4", "norm")
TRAIN = Mode(train=True)
SMALL = (2, 32, 32, 3)
HEAD = "resnet/head/conv2d/kernel"


def narrow(variant: str = "R50x3", **options):
    return shared.network(bit, variant, narrow=draw.BIT_NARROW[variant], classes=10, **options)


@cache
def drawn():
    return shared.drawn(bit, narrow())


@cache
def shallow():
    """A network of few units and its variables, for what does not depend on their number."""
    net = Network(bit.BiT(bit.Variant((1, 2, 1, 1), width=32)), nn.Dense(10))
    return net, shared.drawn(bit, net)


# Parity


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_stage_and_the_logits_are_torchs(variant):
    found = shared.differences(bit, narrow(variant), f"bit_{variant}", draw.INPUTS[1:])
    assert {stage for _, stage, *_ in found} == {*STAGES, "logits"}
    assert {key: value for key, value in found.items() if not value <= 1e-5} == {}


@pytest.mark.parametrize("variant", VARIANTS)
def test_names_shapes_and_counts_are_the_published_ones(variant):
    net = shared.network(bit, variant)
    assert shared.published_shapes(bit, net) == shared.stored_shapes(f"bit_{variant}")
    assert count(shared.shapes(net)) == PARAMETERS[variant]
    assert tuple(bit.VARIANTS) == VARIANTS


@pytest.mark.parametrize("variant", VARIANTS)
def test_name_table_covers_every_variable_once(variant):
    table = bit.names(variant)
    paths = flatten(shared.shapes(shared.network(bit, variant))["params"])
    assert {(row.collection, row.path) for row in table} == {("params", path) for path in paths}
    assert len(table) == len(paths) == len({row.published for row in table})


def test_an_npz_with_the_published_names_goes_in_and_out_bit_for_bit(tmp_path):
    net, path = narrow(), tmp_path / "BiT-M-R50x3.npz"
    arrays = shared.drawn_arrays(bit, net)
    np.savez(path, allow_pickle=False, **arrays)
    read = file.read(str(path), card=Card(mean=(0.5,) * 3, std=(0.5,) * 3)).arrays
    variables = shared.placed(bit, net, bit.adapt(read, SMALL))
    back = placement.publish(variables, shared.rows(bit, net))
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (back[name].dtype, back[name].shape) == (array.dtype, array.shape), name
        assert back[name].flags.c_contiguous and back[name].tobytes() == array.tobytes(), name


def test_the_head_is_published_as_a_convolution_of_1x1():
    arrays = shared.drawn_arrays(bit, narrow())
    kernel = drawn()["params"]["head"]["kernel"]
    assert (arrays[HEAD].shape, kernel.shape) == ((1, 1, 1024, 10), (1024, 10))
    np.testing.assert_array_equal(kernel, arrays[HEAD][0, 0])
    with pytest.raises(WeightsError, match=r"head/conv2d/kernel \(1024, 10\), must be \(1, 1, 1024, 10\) here"):
        shared.placed(bit, narrow(), arrays | {HEAD: kernel})


def test_counted_convolutions_of_some_published_files_are_known():
    arrays = shared.drawn_arrays(bit, narrow())
    counted = {
        name.replace("/standardized_conv2d/", f"/standardized_conv2d_{i}/"): array
        for i, (name, array) in enumerate(arrays.items())
    }
    assert len(counted.keys() - arrays.keys()) == 53
    jax.tree.map(np.testing.assert_array_equal, bit.adapt(counted, SMALL), arrays)


def test_two_convolutions_of_one_name_are_an_error_and_not_one_of_them():
    name = "resnet/root_block/standardized_conv2d_1/kernel"
    arrays = shared.drawn_arrays(bit, narrow()) | {name: np.zeros((7, 7, 3, 32), np.float32)}
    with pytest.raises(WeightsError, match=f"1 extra: {name}"):
        shared.placed(bit, narrow(), bit.adapt(arrays, SMALL))


@pytest.mark.parametrize("variant", VARIANTS)
def test_sizes_show_in_the_published_tensors(variant):
    shapes = shared.stored_shapes(f"bit_{variant}")
    tensors = {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}
    assert bit.infer(tensors, None) == bit.VARIANTS[variant] == bit.variant_of({**vars(bit.VARIANTS[variant])})
    with pytest.raises(KeyError):
        bit.infer({"conv1.weight": tensors[HEAD]}, None)


def test_unknown_variant_lists_those_that_exist():
    with pytest.raises(ConfigError, match=r"'bit' must be one of R50x1, R101x1, R50x3, .*, R152x4; got '50'"):
        bit.build("50")


# Stages


@pytest.mark.parametrize(("stop", "start"), list(itertools.pairwise(STAGES)))
def test_two_partial_runs_are_the_whole_run(stop, start):
    (net, variables), x = shallow(), draw.image(SMALL)
    middle = net.apply(variables, x, EVALUATE, stop=stop, method="features")
    np.testing.assert_array_equal(net.apply(variables, middle, start=start), net.apply(variables, x))


def test_partial_runs_create_only_their_own_parameters():
    (net, _), key = shallow(), jax.random.key(0)
    front = jax.eval_shape(lambda x: net.init(key, x, EVALUATE, stop="stage2", method="features"), jnp.zeros(SMALL))
    back = jax.eval_shape(lambda x: net.init(key, x, start="stage3"), jnp.zeros((2, 4, 4, 256)))
    assert set(front["params"]["backbone"]) == {"stem", "stage1", "stage2"}
    assert set(back["params"]["backbone"]) == {"stage3", "stage4", "norm"}
    assert count(front) + count(back) == count(shared.shapes(net))


def test_features_are_the_mean_over_the_map_of_norm():
    (net, variables), x = shallow(), draw.image((2, 2, 2, 1024))
    run = net.bind(variables).backbone
    normed = run(x, start="norm", stop="norm")
    assert normed.shape == x.shape
    np.testing.assert_array_equal(run(x, start="norm"), normed.mean((1, 2)))


# Conventions


def std_conv(kernel: np.ndarray, x: np.ndarray, **sizes) -> np.ndarray:
    conv = bit.StdConv(kernel.shape[-1], kernel.shape[0], **sizes)
    return np.asarray(conv.apply({"params": {"kernel": kernel}}, x))


def test_a_kernel_is_standardised_for_every_output_with_epsilon_1e_10():
    # Two outputs of 1x1 from four channels: mean 4 and variance 5 e-10, scaled so that epsilon counts, and far larger.
    values = np.array([1.0, 3.0, 5.0, 7.0])
    kernel = np.stack([values * 1e-5, values[::-1] * 100], -1)[None, None].astype(np.float32)
    found = std_conv(kernel, np.eye(4, dtype=np.float32)[:, None, None])[:, 0, 0]
    small = np.array([-3, -1, 1, 3]) * 1e-5 / np.sqrt(5e-10 + 1e-10)
    np.testing.assert_allclose(found[:, 0], small, rtol=1e-5)
    np.testing.assert_allclose(found[:, 1], np.array([3, 1, -1, -3]) / np.sqrt(5), rtol=1e-5)


def test_a_strided_convolution_pads_both_sides():
    # A kernel of mean 0 and variance 1 stays as it is. At stride 2 on 4x4, one zero on every side, position (0, 0)
    # of the first window is outside; with "SAME", which pads right and below only, it would not be.
    kernel = np.zeros((3, 3, 2, 1), np.float32)
    kernel[..., 0, 0], kernel[..., 1, 0] = 1, -1
    x = np.zeros((1, 4, 4, 2), np.float32)
    x[..., 0] = 1
    found = std_conv(kernel, x, stride=2)[0, :, :, 0]
    np.testing.assert_allclose(found, [[4, 6], [6, 9]], rtol=1e-6)


def test_the_pool_of_the_stem_is_padded_with_zeros():
    # All that the convolution yields is negative: a pool that ignores its padding would find -9.4 in every corner too.
    kernel = np.zeros((7, 7, 3, 32), np.float32)
    kernel[3, 3, 0] = -1
    x = np.zeros((1, 8, 8, 3), np.float32)
    x[..., 0] = 1
    params = {"params": {"conv": {"kernel": kernel}}}
    conv, pooled = std_conv(kernel, x, stride=2), bit.Stem(32, jnp.float32, 1e-10).apply(params, x)
    assert conv.max() < -8 and conv.shape == (1, 4, 4, 32)
    np.testing.assert_array_equal(pooled[0, :, :, 0], [[0, 0], [0, conv[0, 1:, 1:, 0].max()]])


def test_group_norm_by_hand():
    # 64 channels, 2 of each group, 2 positions: group 0 sees 1, 3, 5, 7 (mean 4, variance 5), times 1e-3, so
    # that epsilon counts; the rest is far from 0, where E[x^2] - E[x]^2 would have lost the variance in 2^24.
    x = np.tile(np.array([[1.0, 3.0], [5.0, 7.0]]), (1, 32)).reshape(1, 2, 1, 64)
    x = np.where(np.arange(64) < 2, x * 1e-3, x + 4096).astype(np.float32)
    params = {"scale": np.full(64, 2, np.float32), "bias": np.full(64, 0.5, np.float32)}
    found = bit.GroupNorm(jnp.float32).apply({"params": params}, x)[0, :, 0]
    centred = np.array([[-3, -1], [1, 3]])
    small = np.maximum(2 * centred * 1e-3 / np.sqrt(5e-6 + 1e-5) + 0.5, 0)
    np.testing.assert_allclose(found[:, :2], small, rtol=1e-5, atol=1e-6)
    large = np.maximum(2 * centred / np.sqrt(5 + 1e-5) + 0.5, 0)
    np.testing.assert_allclose(found[:, 2:], np.tile(large, (1, 31)), rtol=1e-5, atol=1e-6)


def test_group_norm_of_bfloat16_is_computed_in_float32():
    x = draw.image((1, 4, 4, 64)).astype(jnp.bfloat16)
    params = {"scale": draw.uniform("gamma", (64,)), "bias": draw.uniform("beta", (64,))}
    found = bit.GroupNorm(jnp.bfloat16).apply({"params": params}, x)
    wide = bit.GroupNorm(jnp.float32).apply({"params": params}, x.astype(np.float32))
    assert found.dtype == jnp.bfloat16
    np.testing.assert_array_equal(found, wide.astype(jnp.bfloat16))


def test_training_computes_what_evaluation_does():
    (net, variables), x = shallow(), draw.image(SMALL)
    trained, evaluated = (net.apply(variables, x, mode) for mode in (TRAIN, EVALUATE))
    np.testing.assert_array_equal(trained, evaluated)


def test_bfloat16_computes_in_bfloat16_on_float32_parameters():
    net, x = narrow(dtype=jnp.bfloat16), jnp.zeros(SMALL)
    initial = shared.shapes(net)
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(initial)} == {"float32"}
    for stop, dtype in (("stem", jnp.bfloat16), ("stage2", jnp.bfloat16), ("norm", jnp.bfloat16), (None, jnp.float32)):
        output = jax.eval_shape(lambda v, stop=stop: net.apply(v, x, EVALUATE, stop=stop, method="features"), initial)
        assert output.dtype == dtype, stop
    assert output.shape == (2, 1024)


def test_bfloat16_logits_are_near_float32():
    # One rounding to 8 bits errs by up to 2**-9; 16 units round about 7 times each, and the errors add up like a
    # random walk's, to sqrt(112) * 2**-9 = 2 % of the largest; twice that is allowed.
    net = narrow(dtype=jnp.bfloat16)
    logits = jax.jit(net.apply)(drawn(), draw.image(draw.INPUTS[1]))
    assert 1e-5 < ours.difference(logits, shared.stored("bit_R50x3")["0/logits"]) < 0.04
