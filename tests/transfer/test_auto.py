"""The table of `auto`: which cell facts ask for, to the threshold, and every cell's plan as data."""

import pytest

from configs import default
from tests.transfer.test_strategies import GROUPS
from tljax.core import plugins, settings
from tljax.core.errors import ConfigError
from tljax.core.types import Phase
from tljax.transfer.strategies import auto
from tljax.transfer.transferability import Facts


def facts(per_class, similarity):
    """Of ten classes, whose largest alone gives 0.2."""
    knn = 0.2 + 0.8 * similarity
    return Facts(round(10 * per_class), 10, 1, 99, knn, 0.2, 0.0, 0.0, measured=400)


def config(**keys):
    one = default.get_config().strategy
    one.auto.update(much=100.0, very_much=1000.0, similar=0.5, **keys)
    return one


TABLE = {
    (99.9, 0.6): "little_similar",
    (1, 1.0): "little_similar",
    (99.9, 0.4): "little_different",
    (5, -0.2): "little_different",  # below chance
    (100, 0.6): "much_similar",
    (5000, 0.6): "much_similar",  # very much of the same is much of it
    (100, 0.4): "much_different",
    (999.9, 0.4): "much_different",
    (1000, 0.4): "very_much_different",
}


@pytest.mark.parametrize("measured", TABLE)
def test_the_cell(measured):
    assert auto.choose(facts(*measured), config()) == TABLE[measured]
    assert set(TABLE.values()) == set(auto.CELLS)


def test_a_threshold_is_reached_at_it():
    one = config()
    one.auto.similar = facts(1, 0.5).similarity
    assert auto.choose(facts(1, 0.5), one) == "little_similar"


ALL = dict.fromkeys(GROUPS, 1.0)
PLANS = {
    "little_similar": Phase("linear_probe", 1.0, {"stem": 0.0, "body": 0.0, "head": 1.0}),
    "little_different": Phase("last 1", 1.0, {"stem": 0.0, "body": 1.0, "head": 1.0}),
    "much_similar": Phase("layer_decay", 1.0, {"stem": 0.25, "body": 0.5, "head": 1.0}),
    "much_different": Phase("full", 1.0, ALL),
    "very_much_different": Phase("scratch", 1.0, ALL),
}


@pytest.mark.parametrize("cell", auto.CELLS)
def test_the_plan_of_every_cell(cell):
    one = config()
    one.layer_decay = 0.5
    strategy = plugins.find("strategies", one.auto[cell])
    assert strategy.plan(GROUPS, one) == (PLANS[cell],)
    assert (cell != "very_much_different") == strategy.PRETRAINED


def test_a_cell_may_be_any_strategy():
    one = config(little_different="lora")
    assert one.auto[auto.choose(facts(3, 0.1), one)] == "lora"


def test_conditions_for_people():
    assert [auto.condition(cell, config()) for cell in auto.CELLS] == [
        "< 100 a class, similarity >= 0.5",
        "< 100 a class, similarity < 0.5",
        ">= 100 a class, similarity >= 0.5",
        "100 to 1000 a class, similarity < 0.5",
        ">= 1000 a class, similarity < 0.5",
    ]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"similar": 1.5}, r"config.strategy.auto.similar must be in \[0, 1\]; got 1.5"),
        ({"much": 0.0}, "config.strategy.auto.much must be a finite number > 0"),
        ({"much": 100.0, "very_much": 10.0}, "very_much must be at least config.strategy.auto.much"),
    ],
)
def test_thresholds_that_cannot_be_meant(keys, message):
    one = default.get_config()
    one.strategy.name = "auto"
    one.strategy.auto.update(keys)
    with pytest.raises(ConfigError, match=message):
        settings.check(one)
