"""Plans are data: tested as data."""

import pytest

from configs import default
from tljax import plugins
from tljax.errors import ConfigError
from tljax.types import Phase

GROUPS = ("stem", "body", "head")

PLANS = {
    "scratch": ({}, (Phase("scratch", 1.0, {"stem": 1.0, "body": 1.0, "head": 1.0}),)),
    "full": ({}, (Phase("full", 1.0, {"stem": 1.0, "body": 1.0, "head": 1.0}),)),
    "linear_probe": ({}, (Phase("linear_probe", 1.0, {"stem": 0.0, "body": 0.0, "head": 1.0}),)),
    "groups": (
        {"head": 1.0, "stem": 0.0, "body": 0.01},
        (Phase("groups", 1.0, {"stem": 0.0, "body": 0.01, "head": 1.0}),),
    ),
}


@pytest.mark.parametrize("name", plugins.available("strategies"))
def test_plan(name):
    scales, expected = PLANS[name]
    config = default.get_config().strategy
    config.scales.update(scales)
    strategy = plugins.find("strategies", name)
    assert strategy.plan(GROUPS, config) == expected
    assert (name != "scratch") == strategy.PRETRAINED


def test_learning_groups():
    assert PLANS["groups"][1][0].learning == ("body", "head")


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        ({"stem": 1.0}, "groups without a scale: body, head"),
        ({"stem": 1.0, "body": 1.0, "head": 1.0, "tail": 1.0, "foot": 1.0}, "scales without a group: tail, foot"),
        ({"stem": -1.0, "body": float("nan"), "head": 1.0}, "no number >= 0: stem=-1.0, body=nan"),
        ({"stem": 0.0, "body": 0.0, "head": 0.0}, "must let a group learn"),
    ],
)
def test_scales_that_cannot_be_meant(scales, message):
    config = default.get_config().strategy
    config.scales.update(scales)
    with pytest.raises(ConfigError, match=message):
        plugins.find("strategies", "groups").plan(GROUPS, config)


def test_a_linear_probe_needs_a_head():
    with pytest.raises(ConfigError, match="a group named 'head'; got low, high"):
        plugins.find("strategies", "linear_probe").plan(("low", "high"), None)
