import numpy as np
import pytest

from tljax.core import layer_groups
from tljax.core.errors import ConfigError

STAGES = ("stem", "stage1", "stage2")
LEAF = np.zeros(1)
PARAMS = {
    "backbone": {
        "stem": {"conv": {"kernel": LEAF}, "bn": {"scale": LEAF, "bias": LEAF}},
        "stage1": {"block0": {"conv1": {"kernel": LEAF}, "bn1": {"scale": LEAF, "bias": LEAF}}},
        "stage2": {"block0": {"conv1": {"kernel": LEAF}}},
    },
    "head": {"kernel": LEAF, "bias": LEAF},
}


def test_an_empty_table_is_one_group_a_stage_in_network_order():
    groups = layer_groups.assign(PARAMS, STAGES, {})
    assert list(groups) == ["stem", "stage1", "stage2", "head"]
    assert groups["head"] == ("head/kernel", "head/bias")
    assert groups["stage2"] == ("backbone/stage2/block0/conv1/kernel",)


def test_a_stage_without_parameters_is_in_no_group_and_cannot_be_asked_for():
    stages = (*STAGES, "pool")
    assert layer_groups.assign(PARAMS, stages, {}) == layer_groups.assign(PARAMS, STAGES, {})
    assert list(layer_groups.assign(PARAMS, stages, {"low": "stem", "top": "stage1..pool head"})) == ["low", "top"]
    with pytest.raises(ConfigError, match="last: 'pool' matches no parameter"):
        layer_groups.assign(PARAMS, stages, {"low": "stem..stage2 head", "last": "pool"})


def test_ranges_words_and_patterns_partition_the_parameters():
    table = {"top": "head stage2", "norms": r"backbone/.*/bn\d?/.*", "low": r"backbone/(stem|stage1)/.*kernel"}
    groups = layer_groups.assign(PARAMS, STAGES, table)
    assert list(groups) == ["norms", "low", "top"] or list(groups) == ["low", "norms", "top"]
    assert sum(len(paths) for paths in groups.values()) == 9
    assert len({path for paths in groups.values() for path in paths}) == 9
    assert len(groups["norms"]) == 4
    assert list(layer_groups.assign(PARAMS, STAGES, {"b": "stage2..head", "a": "stem..stage1"})) == ["a", "b"]


def test_all_problems_stand_in_one_error():
    table = {"low": "stem stagge1", "high": "stem..stage1"}
    with pytest.raises(ConfigError) as caught:
        layer_groups.assign(PARAMS, STAGES, table)
    text = str(caught.value)
    assert "low: 'stagge1' matches no parameter (did you mean 'stage1'?)" in text
    assert "backbone/stem/conv/kernel (low, high)" in text
    for homeless in ("backbone/stage2/block0/conv1/kernel", "head/kernel", "head/bias"):
        assert homeless in text
    assert "The stages are stem, stage1, stage2, head" in text


def test_an_empty_group_is_an_error():
    with pytest.raises(ConfigError, match="groups without a parameter: none"):
        layer_groups.assign(PARAMS, STAGES, {"all": "stem..head", "none": ""})


def test_frozen_modules_are_the_topmost_still_ones():
    groups = layer_groups.assign(PARAMS, STAGES, {})
    frozen = layer_groups.frozen_modules
    assert frozen(groups, ["head"]) == {"backbone"}
    assert frozen(groups, ["stage2", "head"]) == {"backbone/stem", "backbone/stage1"}
    assert frozen(groups, ["stage2", "head"], ["stem"]) == {"backbone/stage1"}
    assert frozen(groups, list(groups)) == frozenset()


def test_a_norm_is_frozen_alone_when_only_kernels_of_its_stage_learn():
    table = {"kernels": ".*kernel", "rest": ".*(scale|bias)"}
    groups = layer_groups.assign(PARAMS, STAGES, table)
    assert layer_groups.frozen_modules(groups, ["kernels"]) == {"backbone/stem/bn", "backbone/stage1/block0/bn1"}
    assert layer_groups.frozen_modules(groups, ["rest"]) == {
        "backbone/stem/conv",
        "backbone/stage1/block0/conv1",
        "backbone/stage2",
    }


def test_what_a_strategy_adds_wakes_the_module_and_not_its_norm():
    table = {
        "rest": ("backbone/stem/conv/kernel", "backbone/stem/bn/scale", "backbone/stage1/conv/kernel"),
        "lora": ("lora/stem/conv/kernel/a", "lora/stem/conv/kernel/b"),
        "head": ("head/kernel",),
    }
    assert layer_groups.frozen_modules(table, ["lora", "head"]) == {"backbone/stem/bn", "backbone/stage1"}
    assert layer_groups.frozen_modules(table, ["head"]) == {"backbone"}


def test_moving_statistics_of_no_group_are_an_error():
    groups = layer_groups.assign(PARAMS, STAGES, {})
    with pytest.raises(ConfigError, match=r"moving_statistics must name groups \(stem, .*head\); got stemm"):
        layer_groups.frozen_modules(groups, ["head"], ["stemm"])


CARVED = {"low": ("backbone/stem/conv/kernel", "backbone/stem/bn/bias"), "head": ("head/kernel", "head/bias")}


def test_carving_splits_groups_but_the_heads():
    carved = layer_groups.carve(CARVED, "biases", {"backbone/stem/bn/bias", "head/bias"})
    assert list(carved.items()) == [
        ("low", ("backbone/stem/conv/kernel",)),
        ("low_biases", ("backbone/stem/bn/bias",)),
        ("head", ("head/kernel", "head/bias")),
    ]
    assert layer_groups.carve(carved, "biases", {"backbone/stem/bn/bias"}) == carved


def test_carving_needs_something_a_free_name_and_a_head():
    with pytest.raises(ConfigError, match="learns the backbone's biases, and this network has none"):
        layer_groups.carve(CARVED, "biases", {"head/bias"})
    taken = {"low_biases": ("backbone/stage1/conv/kernel",), **CARVED}
    with pytest.raises(ConfigError, match="makes a group 'low_biases'; give yours in config.groups another"):
        layer_groups.carve(taken, "biases", {"backbone/stem/bn/bias"})
    with pytest.raises(ConfigError, match="the head in a group of its own"):
        layer_groups.carve({"all": CARVED["low"] + CARVED["head"]}, "biases", {"backbone/stem/bn/bias"})


def test_norms_are_scales_and_their_shifts():
    groups = {
        "stem": ("backbone/stem/conv/kernel", "backbone/stem/conv/bias", "backbone/stem/bn/bias"),
        "rest": ("backbone/stem/bn/scale", "backbone/stage1/norm/scale", "backbone/stage1/layer_scale", "head/bias"),
    }
    norms = {"backbone/stem/bn/scale", "backbone/stem/bn/bias", "backbone/stage1/norm/scale"}
    assert layer_groups.norms(groups) == norms


def test_the_stage_of_what_a_strategy_adds():
    paths = ("backbone/stem/conv/kernel", "lora/stem/conv/kernel/a", "head/kernel", "head/mlp/kernel")
    assert [layer_groups.stage_of(path) for path in paths] == ["stem", "stem", "head", "head"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", ()),
        ("all", ("stem", "stage1", "stage2")),
        ("stage2 stem", ("stem", "stage2")),
        ("stage1..stage2", ("stage1", "stage2")),
        ("stem stem..stage1", ("stem", "stage1")),
    ],
)
def test_words_choose_stages(words, expected):
    assert layer_groups.stages_of(words, ("stem", "stage1", "stage2"), "key") == expected


def test_words_that_are_no_stages_are_all_named():
    with pytest.raises(
        ConfigError, match=r"key must hold stages, .*; got stage3, stem\.\.stage9, head\. The stages are"
    ):
        layer_groups.stages_of("stage3 stem..stage9 head stem", ("stem", "stage1"), "key")
