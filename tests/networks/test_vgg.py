"""VGG against stored torch outputs, without torch: scripts/make_reference_outputs.py wrote them."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.errors import InvalidRngError
from reference import draw, ours
from reference import vgg_convnext as shared

from tljax.core import layer_groups
from tljax.core.errors import ConfigError, WeightsError
from tljax.core.trees import count, flatten
from tljax.core.types import EVALUATE, Mode
from tljax.networks.families import vgg
from tljax.weights import placement

PARAMETERS = {
    "11": 132_863_336,
    "11_bn": 132_868_840,
    "13": 133_047_848,
    "13_bn": 133_053_736,
    "16": 138_357_544,
    "16_bn": 138_365_992,
    "19": 143_667_240,
    "19_bn": 143_678_248,
}
VARIANTS = tuple(PARAMETERS)
STAGES = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7")
TRAIN = Mode(train=True)
SMALL = (2, 32, 32, 3)


def narrow(variant: str = "11_bn", **options):
    return shared.network(vgg, variant, **shared.NARROW, **options)


# Parity


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_stage_and_the_logits_are_torchs(variant):
    found = shared.differences(vgg, narrow(variant), f"vgg{variant}")
    assert {stage for _, stage, *_ in found} == {*STAGES, "logits"}
    assert {key: value for key, value in found.items() if not value <= 1e-5} == {}


@pytest.mark.parametrize("variant", VARIANTS)
def test_names_shapes_and_counts_are_the_published_ones(variant):
    net = shared.network(vgg, variant)
    assert shared.published_shapes(vgg, net) == shared.stored_shapes(f"vgg{variant}")
    assert count(shared.shapes(net)["params"]) == PARAMETERS[variant]
    assert tuple(vgg.VARIANTS) == VARIANTS


def test_vgg16_with_two_classes_has_as_many_parameters_as_published():
    assert count(shared.shapes(shared.network(vgg, "16", classes=2))["params"]) == 134_268_738


@pytest.mark.parametrize("variant", VARIANTS)
def test_name_table_covers_every_variable_once(variant):
    rows = vgg.names(variant)
    tree = shared.shapes(shared.network(vgg, variant))
    variables = {(collection, path) for collection in tree for path in flatten(tree[collection])}
    assert {(row.collection, row.path) for row in rows} == variables
    assert len(rows) == len(variables) == len({row.published for row in rows})


@pytest.mark.parametrize("variant", ["11", "16_bn"])
def test_place_and_publish_are_inverse(variant):
    net = narrow(variant)
    arrays = shared.drawn_arrays(vgg, net)
    back = placement.publish(shared.drawn(vgg, net), shared.rows(vgg, net))
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype and back[name].flags.c_contiguous, name
        np.testing.assert_array_equal(back[name], array, err_msg=name)


def test_fc6_is_flattened_as_torch_does_channels_first():
    published = shared.drawn_arrays(vgg, narrow())["classifier.0.weight"]
    kernel = shared.drawn(vgg, narrow())["params"]["backbone"]["fc6"]["dense"]["kernel"]
    assert (published.shape, kernel.shape) == ((512, 64 * 49), (7, 7, 64, 512))
    for h, w, c, out in ((0, 0, 0, 0), (2, 5, 11, 3), (6, 6, 63, 511)):
        assert kernel[h, w, c, out] == published[out, c * 49 + h * 7 + w]


def test_a_wrong_fc6_is_told_in_the_published_shape():
    arrays = dict(shared.drawn_arrays(vgg, narrow()))
    arrays["classifier.0.weight"] = arrays["classifier.0.weight"][:, :-1]
    with pytest.raises(WeightsError, match=r"classifier\.0\.weight \(512, 3135\), must be \(512, 3136\) here"):
        shared.placed(vgg, narrow(), arrays)


def test_unknown_variant_lists_those_that_exist():
    with pytest.raises(ConfigError, match=r"'vgg' must be one of 11, 11_bn, 13, .*, 19_bn; got '12'"):
        vgg.build("12")


# Stages


@pytest.mark.parametrize(("stop", "start"), list(itertools.pairwise(STAGES)))
def test_two_partial_runs_are_the_whole_run(stop, start):
    net, variables, x = narrow(), shared.drawn(vgg, narrow()), draw.image(SMALL)
    middle = net.apply(variables, x, EVALUATE, stop=stop, method="features")
    np.testing.assert_array_equal(net.apply(variables, middle, start=start), net.apply(variables, x))


def test_partial_runs_create_only_their_own_parameters():
    net, key = narrow(), jax.random.key(0)
    front = jax.eval_shape(lambda x: net.init(key, x, EVALUATE, stop="conv5", method="features"), jnp.zeros(SMALL))
    back = jax.eval_shape(lambda x: net.init(key, x, start="fc6"), jnp.zeros((2, 1, 1, 64)))
    assert set(front["params"]["backbone"]) == set(STAGES[:5])
    assert (set(back["params"]), set(back["params"]["backbone"])) == ({"backbone", "head"}, {"fc6", "fc7"})
    assert count(front["params"]) + count(back["params"]) == count(shared.shapes(net)["params"])


@pytest.mark.parametrize(
    ("table", "learning", "size"),
    [
        ({"rest": "conv1..conv5", "learns": "fc6..head"}, STAGES[5:], 123_642_856),
        ({"rest": "conv1..conv4", "learns": "conv5..head"}, STAGES[4:], 130_722_280),
        ({"learns": "conv1..head"}, STAGES, 138_357_544),
    ],
)
def test_the_slides_choices_can_be_said_in_groups(table, learning, size):
    """Only the dense layers, the last block of convolutions too, all of VGG16."""
    params = shared.shapes(shared.network(vgg, "16"))["params"]
    groups, leaves = layer_groups.assign(params, STAGES, table), flatten(params)
    assert sum(leaves[path].size for path in groups["learns"]) == size
    assert {layer_groups.stage_of(path) for path in groups["learns"]} == {*learning, "head"}


@pytest.mark.parametrize("frozen", ["backbone/conv1", "backbone/conv3/bn2", "backbone"])
def test_only_frozen_batch_statistics_stay_as_they_were(frozen):
    net, variables = narrow(), shared.drawn(vgg, narrow())
    mode, rngs = Mode(train=True, frozen=frozenset({frozen})), {"dropout": jax.random.key(0)}
    _, new = net.apply(variables, draw.image(SMALL), mode, mutable=["batch_stats"], rngs=rngs)
    old, new = flatten(variables["batch_stats"]), flatten(new["batch_stats"])
    stayed = {path for path in old if np.array_equal(old[path], new[path])}
    assert stayed == {path for path in old if f"{path}/".startswith(f"{frozen}/")} != set()


# Dropout


def run_dense(stage: str, mode: Mode, rngs: dict | None = None) -> np.ndarray:
    """The output of fc6 or fc7 of the narrow VGG11 on a drawn input."""
    net, shape = narrow("11"), {"fc6": (16, 7, 7, 64), "fc7": (16, 512)}[stage]

    def run(net, x):
        return net.backbone(x, mode, start=stage, stop=stage)

    return np.asarray(net.apply(shared.drawn(vgg, net), draw.image(shape), method=run, rngs=rngs))


def seed(number: int) -> dict:
    return {"dropout": jax.random.key(number)}


@pytest.mark.parametrize("stage", ["fc6", "fc7"])
def test_training_drops_half_and_doubles_the_rest(stage):
    evaluated, trained = run_dense(stage, EVALUATE), run_dense(stage, TRAIN, seed(0))
    alive = evaluated > 0
    kept = trained[alive] != 0
    assert abs(kept.mean() - 0.5) < 4 * 0.5 / np.sqrt(alive.sum())  # four standard deviations
    np.testing.assert_array_equal(trained[alive][kept], 2 * evaluated[alive][kept])
    assert (run_dense(stage, TRAIN, seed(1)) != trained).any()


@pytest.mark.parametrize(("stage", "other"), [("fc6", "fc7"), ("fc7", "fc6")])
def test_a_frozen_stage_drops_nothing(stage, other):
    frozen = Mode(train=True, frozen=frozenset({f"backbone/{stage}"}))
    np.testing.assert_array_equal(run_dense(stage, frozen), run_dense(stage, EVALUATE))
    assert (run_dense(other, frozen, seed(0)) != run_dense(other, EVALUATE)).any()


def test_dropout_without_its_rng_is_an_error():
    with pytest.raises(InvalidRngError, match="dropout"):
        run_dense("fc6", TRAIN)


def test_dropout_can_be_left_out():
    net = narrow("11", dropout=0.0)
    x, variables = draw.image(SMALL), shared.drawn(vgg, net)
    np.testing.assert_array_equal(net.apply(variables, x, TRAIN), net.apply(variables, x))


# Conventions

# torch.nn.functional.adaptive_avg_pool1d(torch.arange(n), 7)
POOLED = {
    1: [0, 0, 0, 0, 0, 0, 0],
    2: [0, 0, 0, 0.5, 1, 1, 1],
    3: [0, 0, 0.5, 1, 1.5, 2, 2],
    5: [0, 0.5, 1.5, 2, 2.5, 3.5, 4],
    7: [0, 1, 2, 3, 4, 5, 6],
    8: [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5],
    10: [0.5, 1.5, 3, 4.5, 6, 7.5, 8.5],
    14: [0.5, 2.5, 4.5, 6.5, 8.5, 10.5, 12.5],
    15: [1, 3, 5, 7, 9, 11, 13],
}


@pytest.mark.parametrize(("height", "width"), list(zip(POOLED, reversed(POOLED), strict=True)))
def test_adaptive_mean_is_torchs(height, width):
    rows, columns = jnp.meshgrid(jnp.arange(1.0 * height), jnp.arange(1.0 * width), indexing="ij")
    pooled = np.asarray(jax.jit(vgg.adaptive_mean, static_argnums=1)(jnp.stack([rows, columns], -1)[None], 7))
    expected = np.meshgrid(POOLED[height], POOLED[width], indexing="ij")
    np.testing.assert_allclose(pooled, np.stack(expected, -1)[None], rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 31, 64, 3), (1, 64, 15, 3)])
def test_a_picture_of_less_than_32_pixels_is_an_error(shape):
    with pytest.raises(ConfigError, match=r"config\.data\.size must be at least 32; 'conv[45]' is left with a map of"):
        jax.eval_shape(narrow().init, jax.random.key(0), jnp.zeros(shape))


def test_bfloat16_computes_in_bfloat16_on_float32_parameters():
    net, x = narrow(dtype=jnp.bfloat16), jnp.zeros(SMALL)
    initial = shared.shapes(net)
    for stop in ("conv5", "fc6"):
        middle = jax.eval_shape(lambda v, stop=stop: net.apply(v, x, EVALUATE, stop=stop, method="features"), initial)
        assert middle.dtype == jnp.bfloat16
    features, new = jax.eval_shape(
        lambda v: net.apply(v, x, TRAIN, method="features", mutable=["batch_stats"], rngs=seed(0)), initial
    )
    assert (features.shape, features.dtype) == ((2, 512), jnp.float32)
    for tree in (initial, new):
        assert {str(leaf.dtype) for leaf in jax.tree.leaves(tree)} == {"float32"}


def test_bfloat16_logits_are_near_float32():
    # As in test_resnet: 11 roundings to 8 bits, a random walk of sqrt(11) * 2**-9 = 0.65 %; twice that is allowed.
    net = narrow("11", dtype=jnp.bfloat16)
    logits = jax.jit(net.apply)(shared.drawn(vgg, net), draw.image(draw.INPUTS[1]))
    assert 1e-5 < ours.difference(logits, shared.stored("vgg11")["1/logits"]) < 0.013
