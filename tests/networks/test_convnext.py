"""ConvNeXt against stored torch outputs, without torch: scripts/make_reference_outputs.py wrote them."""

import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.errors import InvalidRngError
from reference import draw, ours
from reference import vgg_convnext as shared

from tljax.core.errors import ConfigError, WeightsError
from tljax.core.trees import count, flatten
from tljax.core.types import EVALUATE, Mode
from tljax.networks.families import convnext
from tljax.weights import placement

PARAMETERS = {"tiny": 28_589_128, "small": 50_223_688, "base": 88_591_464}
LARGE = 197_767_336  # torchvision's num_params
VARIANTS = tuple(PARAMETERS)
# timm's, with 1,000 classes.
V2 = {"atto": 3_695_520, "v2_atto": 3_708_400, "v2_tiny": 28_635_496, "v2_base": 88_717_800}
STAGES = ("stem", "stage1", "stage2", "stage3", "stage4", "norm")
TRAIN = Mode(train=True)
SMALL = (2, 32, 32, 3)


def narrow(variant: str = "tiny", **options):
    return shared.network(convnext, variant, **shared.NARROW, **options)


# Parity


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_stage_and_the_logits_are_torchs(variant):
    found = shared.differences(convnext, narrow(variant), f"convnext_{variant}")
    assert {stage for _, stage, *_ in found} == {*STAGES, "logits"}
    assert {key: value for key, value in found.items() if not value <= 1e-5} == {}


@pytest.mark.parametrize("variant", VARIANTS)
def test_names_shapes_and_counts_are_the_published_ones(variant):
    net = shared.network(convnext, variant)
    assert shared.published_shapes(convnext, net) == shared.stored_shapes(f"convnext_{variant}")
    assert count(shared.shapes(net)) == PARAMETERS[variant]


@pytest.mark.parametrize("variant", V2)
def test_those_of_version_2_have_the_published_counts(variant):
    assert count(shared.shapes(shared.network(convnext, variant))) == V2[variant]


def test_response_norm_is_its_equation():
    x = jax.random.normal(jax.random.key(0), (2, 3, 5, 4))
    params = {"scale": jnp.arange(4.0), "bias": jnp.arange(4.0) / 3}
    found = np.asarray(convnext.ResponseNorm(jnp.float32).apply({"params": params}, x))
    energy = np.linalg.norm(np.asarray(x).reshape(2, 15, 4), axis=1)
    for i, channel in itertools.product(range(2), range(4)):
        own = np.asarray(x)[i, :, :, channel]
        share = energy[i, channel] / (energy[i].mean() + 1e-6)
        np.testing.assert_allclose(
            found[i, :, :, channel], own + channel / 3 + channel * own * share, rtol=1e-5, atol=1e-6
        )


def test_the_large_one_has_the_published_count():
    assert count(shared.shapes(shared.network(convnext, "large"))) == LARGE


@pytest.mark.parametrize("variant", [*VARIANTS, "large", "v2_atto"])
def test_name_table_covers_every_variable_once(variant):
    rows = convnext.names(variant)
    paths = flatten(shared.shapes(shared.network(convnext, variant))["params"])
    assert {(row.collection, row.path) for row in rows} == {("params", path) for path in paths}
    assert len(rows) == len(paths) == len({row.published for row in rows})


def test_place_and_publish_are_inverse():
    net = narrow()
    arrays = shared.drawn_arrays(convnext, net)
    back = placement.publish(shared.drawn(convnext, net), shared.rows(convnext, net))
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype and back[name].flags.c_contiguous, name
        np.testing.assert_array_equal(back[name], array, err_msg=name)


def test_layer_scale_is_a_vector_here_and_a_map_of_one_position_in_files():
    name, path = "features.3.1.layer_scale", "backbone/stage2/block1/layer_scale"
    published = shared.drawn_arrays(convnext, narrow())[name]
    vector = flatten(shared.drawn(convnext, narrow())["params"])[path]
    assert (published.shape, vector.shape) == ((24, 1, 1), (24,))
    np.testing.assert_array_equal(vector, published[:, 0, 0])
    arrays = shared.drawn_arrays(convnext, narrow()) | {name: vector}
    with pytest.raises(WeightsError, match=r"layer_scale \(24,\), must be \(24, 1, 1\) here"):
        shared.placed(convnext, narrow(), arrays)


def test_a_network_without_layer_scale_is_known_by_its_tensors():
    plain = convnext.Variant((1, 2), (8, 16), layer_scale=False)
    published = {row.published for row in convnext.names(plain)}
    assert published == {
        row.published for row in convnext.names(convnext.Variant((1, 2), (8, 16))) if "layer_scale" not in row.published
    }
    arrays = {name: np.zeros((16 if name.startswith("features.3.") else 8, 1, 1, 1)) for name in published}
    assert convnext.infer(arrays, None) == plain
    net = convnext.build(plain)
    paths = flatten(jax.eval_shape(net.init, jax.random.key(0), np.zeros((1, 32, 32, 3), np.float32))["params"])
    assert {f"backbone/{path}" for path in paths} == {
        row.path for row in convnext.names(plain) if row.path.startswith("backbone")
    }


def test_unknown_variant_lists_those_that_exist():
    with pytest.raises(ConfigError, match=r"'convnext' must be one of tiny, small, base, large, .*v2_huge; got 'huge'"):
        convnext.build("huge")


# Stages


@pytest.mark.parametrize(("stop", "start"), list(itertools.pairwise(STAGES)))
def test_two_partial_runs_are_the_whole_run(stop, start):
    net, variables, x = narrow(), shared.drawn(convnext, narrow()), draw.image(SMALL)
    middle = net.apply(variables, x, EVALUATE, stop=stop, method="features")
    np.testing.assert_array_equal(net.apply(variables, middle, start=start), net.apply(variables, x))


def test_partial_runs_create_only_their_own_parameters():
    net, key = narrow(), jax.random.key(0)
    front = jax.eval_shape(lambda x: net.init(key, x, EVALUATE, stop="stage2", method="features"), jnp.zeros(SMALL))
    back = jax.eval_shape(lambda x: net.init(key, x, start="stage3"), jnp.zeros((2, 4, 4, 24)))
    assert set(front["params"]["backbone"]) == {"stem", "stage1", "stage2"}
    assert set(back["params"]["backbone"]) == {"stage3", "stage4", "norm"}
    assert {"down_norm", "down_conv"} <= set(back["params"]["backbone"]["stage3"])
    assert count(front) + count(back) == count(shared.shapes(net))


# Stochastic depth


def run_stage(mode: Mode, rngs: dict | None = None, drop_path: float = 0.5) -> np.ndarray:
    """stage4 of the narrow tiny ConvNeXt on a batch of 64 maps."""
    net = narrow(drop_path=drop_path)

    @jax.jit
    def run(variables, x):
        return net.apply(
            variables, x, rngs=rngs, method=lambda net, x: net.backbone(x, mode, start="stage4", stop="stage4")
        )

    return np.asarray(run(shared.drawn(convnext, net), draw.image((64, 2, 2, 48))))


def seed(number: int) -> dict:
    return {"dropout": jax.random.key(number)}


def test_a_block_is_dropped_for_whole_examples_and_else_scaled():
    x, block = (
        draw.image((256, 2, 2, 8)),
        convnext.Block(8, drop_path=0.25, variant=convnext.VARIANTS["tiny"], dtype=jnp.float32),
    )
    shapes = jax.eval_shape(lambda key: block.init(key, x, EVALUATE), jax.random.key(0))
    variables = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 0.5), shapes)
    run = jax.jit(block.apply, static_argnums=2)
    change, trained = (run(variables, x, mode, rngs=seed(0)) - x for mode in (EVALUATE, TRAIN))
    dropped = np.array([not row.any() for row in trained])
    assert abs(dropped.mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 256)  # four standard deviations
    np.testing.assert_allclose(trained[~dropped], change[~dropped] / 0.75, rtol=1e-4, atol=1e-4)


def test_rates_rise_evenly_from_the_first_block_to_the_last():
    net, rates = narrow(drop_path=0.34), []

    def record(call, args, kwargs, context):
        rates.extend([context.module.drop_path] if isinstance(context.module, convnext.Block) else [])
        return call(*args, **kwargs)

    with nn.intercept_methods(record):
        jax.eval_shape(net.init, jax.random.key(0), jnp.zeros(SMALL))
    np.testing.assert_allclose(rates, np.linspace(0, 0.34, 18))


def test_a_frozen_stage_drops_no_block():
    evaluated = run_stage(EVALUATE)
    frozen = [Mode(train=True, frozen=frozenset({path})) for path in ("backbone", "backbone/stage4")]
    for mode in frozen:
        np.testing.assert_array_equal(run_stage(mode), evaluated)
    elsewhere = Mode(train=True, frozen=frozenset({"backbone/stage3"}))
    first, second = run_stage(elsewhere, seed(0)), run_stage(elsewhere, seed(1))
    assert (first != evaluated).any() and (first != second).any()


def test_stochastic_depth_is_off_unless_asked_for_and_needs_its_rng():
    assert convnext.build("tiny").drop_path == 0
    np.testing.assert_array_equal(run_stage(TRAIN, drop_path=0.0), run_stage(EVALUATE))
    with pytest.raises(InvalidRngError, match="dropout"):
        run_stage(TRAIN)


# Conventions


def test_layer_norm_epsilon_is_1e_6_and_its_variance_is_exact():
    x = jnp.array([[1.0, 3.0, 5.0, 7.0]]) * 1e-3  # variance 5e-6: epsilon counts
    y, _ = convnext.LayerNorm().init_with_output(jax.random.key(0), x)
    np.testing.assert_allclose(y, np.array([[-3, -1, 1, 3]]) * 1e-3 / np.sqrt(5e-6 + 1e-6), rtol=1e-5)
    far = x * 1e3 + 4096  # E[x^2] - E[x]^2 would have lost the variance of 5 in 2^24
    y, _ = convnext.LayerNorm().init_with_output(jax.random.key(0), far)
    np.testing.assert_allclose(y, np.array([[-3, -1, 1, 3]]) / np.sqrt(5 + 1e-6), rtol=1e-5)


def test_layer_scale_begins_at_1e_6_and_kernels_at_0_02():
    block, x = convnext.Block(64, 0.0, convnext.VARIANTS["tiny"], jnp.float32), jnp.zeros((1, 2, 2, 64))
    params = jax.jit(lambda key: block.init(key, x, EVALUATE))(jax.random.key(0))["params"]
    np.testing.assert_array_equal(params["layer_scale"], np.full(64, 1e-6, np.float32))
    for name in ("conv", "expand", "project"):
        assert params[name]["kernel"].std() == pytest.approx(0.02, rel=0.1) and not params[name]["bias"].any()


@pytest.mark.parametrize("shape", [(1, 31, 64, 3), (1, 64, 7, 3)])
def test_a_picture_of_less_than_32_pixels_is_an_error(shape):
    with pytest.raises(ConfigError, match=r"config\.data\.size must be at least 32; 'stage[24]' is given a map of"):
        jax.eval_shape(narrow().init, jax.random.key(0), jnp.zeros(shape))


def test_bfloat16_computes_in_bfloat16_on_float32_parameters():
    net, x = narrow(dtype=jnp.bfloat16), jnp.zeros(SMALL)
    initial = shared.shapes(net)
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(initial)} == {"float32"}
    for stop, dtype in (("stage2", jnp.bfloat16), ("norm", jnp.bfloat16), (None, jnp.float32)):
        output = jax.eval_shape(lambda v, stop=stop: net.apply(v, x, EVALUATE, stop=stop, method="features"), initial)
        assert output.dtype == dtype, stop
    assert output.shape == (2, 96)


def test_bfloat16_logits_are_near_float32():
    # One rounding to 8 bits errs by up to 2**-9; 18 blocks round about 6 times each, and the errors add up
    # like a random walk's, to sqrt(108) * 2**-9 = 2 % of the largest; twice that is allowed.
    net = narrow(dtype=jnp.bfloat16)
    logits = jax.jit(net.apply)(shared.drawn(convnext, net), draw.image(draw.INPUTS[1]))
    assert 1e-5 < ours.difference(logits, shared.stored("convnext_tiny")["1/logits"]) < 0.04
