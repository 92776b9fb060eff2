"""Adapters: a 1x1 convolution beside every convolution, as one kernel."""

import numpy as np
import pytest
from jax import lax

from configs import default
from tljax.core.trees import flatten, unflatten
from tljax.transfer.strategies import adapter

RNG = np.random.default_rng(0)
SHAPES = {"conv": (3, 3, 4, 6), "grouped": (5, 5, 2, 6), "patches": (2, 2, 4, 6), "fc": (10, 7)}
BACKBONE = {s: {"layer": {"kernel": RNG.normal(size=shape).astype(np.float32)}} for s, shape in SHAPES.items()}
BACKBONE["conv"]["bn"] = {"scale": np.ones(6, np.float32), "bias": np.ones(6, np.float32)}
PARAMS = {"backbone": BACKBONE, "head": {"kernel": np.ones((7, 2), np.float32)}}
GROUPS = {"all": tuple(f"backbone/{path}" for path in flatten(BACKBONE)), "head": ("head/kernel",)}


def begun(**keys):
    config = default.get_config().strategy
    config.update(keys)
    params, groups = adapter.initialize(PARAMS, GROUPS, config, stages=tuple(SHAPES), seed=0)
    return params, groups, config


def test_the_start_is_the_pretrained_network_to_the_last_bit():
    params, groups, config = begun()
    given = flatten(adapter.effective(as_jax(params), config))
    assert {p: np.asarray(x).tobytes() for p, x in given.items()} == {
        p: x.tobytes() for p, x in flatten(PARAMS).items()
    }
    assert {path: leaf.shape for path, leaf in flatten(params["adapter"]).items()} == {
        "conv/layer/kernel": (4, 6),
        "grouped/layer/kernel": (2, 6),
        "patches/layer/kernel": (2, 2, 4, 6),  # no centre: a dense layer on patches
        "fc/layer/kernel": (10, 7),
    }
    assert list(groups) == ["all", "all_norms", "adapter", "head"]


def as_jax(params):
    import jax

    return jax.tree.map(jax.numpy.asarray, params)


@pytest.mark.parametrize(("name", "groups", "padding"), [("conv", 1, 1), ("grouped", 2, 2)])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_1x1_convolution_beside_a_convolution(name, groups, padding, stride):
    params, _, config = begun()
    beside = RNG.normal(size=params["adapter"][name]["layer"]["kernel"].shape).astype(np.float32)
    params["adapter"][name]["layer"]["kernel"] = beside
    kernel = adapter.effective(as_jax(params), config)["backbone"][name]["layer"]["kernel"]
    x = RNG.normal(size=(2, 7, 8, 4)).astype(np.float32)

    def conv(kernel, padding):
        pads, axes = ((padding, padding), (padding, padding)), ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(
            x, kernel, (stride, stride), pads, dimension_numbers=axes, feature_group_count=groups
        )

    expected = conv(BACKBONE[name]["layer"]["kernel"], padding) + conv(beside[None, None], 0)
    np.testing.assert_allclose(conv(kernel, padding), expected, rtol=1e-5, atol=1e-5)


def test_elsewhere_an_adapter_is_added_as_a_whole():
    params, _, config = begun()
    params["adapter"] = unflatten({p: np.ones(x.shape, np.float32) for p, x in flatten(params["adapter"]).items()})
    given = adapter.effective(as_jax(params), config)["backbone"]
    for name in ("fc", "patches"):
        np.testing.assert_array_equal(given[name]["layer"]["kernel"], BACKBONE[name]["layer"]["kernel"] + 1)
    changed = np.asarray(given["conv"]["layer"]["kernel"]) != BACKBONE["conv"]["layer"]["kernel"]
    assert changed[1, 1].all() and changed.sum() == 4 * 6


def test_normalisation_is_left_alone_where_asked_or_absent():
    assert list(begun(norms=False)[1]) == ["all", "adapter", "head"]
    without = {"backbone": {"fc": BACKBONE["fc"]}, "head": PARAMS["head"]}
    groups = {"all": ("backbone/fc/layer/kernel",), "head": ("head/kernel",)}
    config = default.get_config().strategy
    assert list(adapter.initialize(without, groups, config, stages=("fc",), seed=0)[1]) == ["all", "adapter", "head"]
