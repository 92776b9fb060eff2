"""DenseNet against its formulas in numpy, and its tables; against torchvision itself: test_parity_torchvision.py."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import draw, ours
from reference import vgg_convnext as shared

from tljax.core.errors import ConfigError
from tljax.core.trees import count, flatten
from tljax.core.types import EVALUATE, Mode
from tljax.networks.families import densenet
from tljax.weights import placement

# What torchvision's documentation of the weights prints as num_params.
PARAMETERS = {"121": 7_978_856, "161": 28_681_000, "169": 14_149_480, "201": 20_013_928}
TINY = densenet.Variant((2, 1, 1, 2), growth=4, width=6, inner=2)
STAGES = ("stem", "stage1", "stage2", "stage3", "stage4", "norm")
PIXELS = (2, 45, 61, 3)  # 12 x 16, 6 x 8, 3 x 4 and 1 x 2 positions: an odd row is left out


def net(variant=TINY, **options):
    return shared.network(densenet, variant, classes=5, **options)


@pytest.fixture(scope="module")
def arrays():
    return draw.weights(shared.published_shapes(densenet, net()))


@pytest.fixture(scope="module")
def variables(arrays):
    return shared.placed(densenet, net(), arrays)


def dense_stages(arrays, x):
    """What follows the stem, as the paper's section 3 has it, in float64."""

    def bn_relu(x, name):
        mean, var, scale, bias = (
            arrays[f"{name}.{leaf}"].astype(np.float64) for leaf in ("running_mean", "running_var", "weight", "bias")
        )
        return np.maximum((x - mean) / np.sqrt(var + 1e-5) * scale + bias, 0)

    def conv(x, name):
        kernel = arrays[f"{name}.weight"].astype(np.float64)  # (O, I, K, K)
        size = kernel.shape[-1]
        padded = np.pad(x, ((0, 0), *[(size // 2, size // 2)] * 2, (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
        return np.einsum("bhwiyx,oiyx->bhwo", windows, kernel)

    for s, layers in enumerate(TINY.blocks, start=1):
        if s > 1:
            x = conv(bn_relu(x, f"features.transition{s - 1}.norm"), f"features.transition{s - 1}.conv")
            x = x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2]
            x = (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4
        for i in range(1, layers + 1):
            y, name = x, f"features.denseblock{s}.denselayer{i}"
            for c in (1, 2):
                y = conv(bn_relu(y, f"{name}.norm{c}"), f"{name}.conv{c}")
            x = np.concatenate([x, y], axis=-1)
        yield f"stage{s}", x
    x = bn_relu(x, "features.norm5")
    yield "norm", x
    yield "logits", x.mean((1, 2)) @ arrays["classifier.weight"].T.astype(np.float64) + arrays["classifier.bias"]


def test_every_stage_and_the_logits_are_the_papers(arrays, variables):
    found = shared.outputs(net(), variables, draw.image(PIXELS))
    expected = dict(dense_stages(arrays, found["stem"].astype(np.float64)))
    assert [*expected] == [*STAGES[1:], "logits"] and expected["stage4"].shape[1:3] == (1, 2)
    assert shared.above(1e-5, {name: found[name] for name in expected}, expected, "densenet") == {}


@pytest.mark.parametrize("variant", PARAMETERS)
def test_name_table_covers_every_variable_once_and_counts_are_the_published_ones(variant):
    network = shared.network(densenet, variant)
    rows, tree = densenet.names(variant), shared.shapes(network)
    paths = {(collection, path) for collection in tree for path in flatten(tree[collection])}
    assert {(row.collection, row.path) for row in rows} == paths
    assert len(rows) == len(paths) == len({row.published for row in rows})
    assert count(tree["params"]) == PARAMETERS[variant]
    assert network.backbone.stages == STAGES and tuple(densenet.VARIANTS) == tuple(PARAMETERS)


@pytest.mark.parametrize("variant", [*PARAMETERS, TINY])
def test_sizes_show_in_the_tensors(variant):
    published = shared.published_shapes(densenet, shared.network(densenet, variant))
    arrays = {name: np.broadcast_to(np.float32(0), shape) for name, shape in published.items()}
    assert densenet.infer(arrays, None) == densenet.variant_of(variant)


def test_place_and_publish_are_inverse(arrays, variables):
    back = placement.publish(variables, densenet.names(TINY))
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array, err_msg=name)


def test_unknown_variant_lists_those_that_exist():
    with pytest.raises(ConfigError, match=r"'densenet' must be one of 121, 161, 169, 201; got '264'"):
        densenet.build("264")


@pytest.mark.parametrize(("stop", "start"), list(itertools.pairwise(STAGES)))
def test_two_partial_runs_are_the_whole_run(variables, stop, start):
    x = draw.image(PIXELS)
    middle = net().apply(variables, x, EVALUATE, stop=stop, method="features")
    np.testing.assert_array_equal(net().apply(variables, middle, start=start), net().apply(variables, x))


@pytest.mark.parametrize("frozen", ["backbone/stem", "backbone/stage2", "backbone/stage2/layer0/bn1", "backbone"])
def test_only_frozen_batch_statistics_stay_as_they_were(variables, frozen):
    mode = Mode(train=True, frozen=frozenset({frozen}))
    _, new = net().apply(variables, draw.image(PIXELS), mode, mutable=["batch_stats"])
    old, new = flatten(variables["batch_stats"]), flatten(new["batch_stats"])
    stayed = {path for path in old if np.array_equal(old[path], new[path])}
    assert stayed == {path for path in old if f"{path}/".startswith(f"{frozen}/")}


def test_a_picture_whose_maps_cannot_be_halved_is_an_error():
    sides = {28: "'stage4'", 12: "'stage3'"}
    for side, where in sides.items():
        with pytest.raises(
            ConfigError, match=rf"config\.data\.size must be at least 29; {where} is given a map of 1x1"
        ):
            jax.eval_shape(net().init, jax.random.key(0), jnp.zeros((1, side, side, 3)))
    jax.eval_shape(net().init, jax.random.key(0), jnp.zeros((1, 29, 29, 3)))


def test_bfloat16_computes_in_bfloat16_on_float32_parameters(variables):
    x, low = draw.image(PIXELS), net(dtype=jnp.bfloat16)
    assert low.apply(variables, x, EVALUATE, stop="stage2", method="features").dtype == jnp.bfloat16
    logits = low.apply(variables, x)
    assert logits.dtype == jnp.float32
    # Some 20 roundings to 8 bits, each by up to 2**-9, add up as a random walk's; twice that is allowed.
    assert 1e-5 < ours.difference(logits, net().apply(variables, x)) < 2 * math.sqrt(20) * 2**-9
