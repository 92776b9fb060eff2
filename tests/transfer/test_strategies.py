"""Plans are data: tested as data."""

import pytest

from configs import default
from tljax.core import plugins
from tljax.core.errors import ConfigError
from tljax.core.types import Phase

GROUPS = {
    "stem": ("backbone/stem/conv/kernel",),
    "body": ("backbone/stage1/conv/kernel",),
    "head": ("head/kernel", "head/bias"),
}
# Groups as a strategy's own `initialize` leaves them.
BIASES = {
    "stem": ("backbone/stem/conv/kernel", "backbone/stem/bn/scale"),
    "stem_biases": ("backbone/stem/conv/bias", "backbone/stem/bn/bias"),
    "head": ("head/kernel", "head/bias"),
}
NORMS = {
    "stem": ("backbone/stem/conv/kernel", "backbone/stem/conv/bias"),
    "stem_norms": ("backbone/stem/bn/scale", "backbone/stem/bn/bias"),
    "head": ("head/kernel", "head/bias"),
}


def having(name, groups):
    """The groups with one for what a strategy adds, before the head's."""
    before = {group: paths for group, paths in groups.items() if group != "head"}
    return {**before, name: (f"{name}/stem/conv/kernel",), "head": groups["head"]}


# strategy -> (keys, phases), and where it needs groups of its own, those

PLANS = {
    "scratch": ({}, (Phase("scratch", 1.0, {"stem": 1.0, "body": 1.0, "head": 1.0}),)),
    "full": ({}, (Phase("full", 1.0, {"stem": 1.0, "body": 1.0, "head": 1.0}),)),
    "linear_probe": ({}, (Phase("linear_probe", 1.0, {"stem": 0.0, "body": 0.0, "head": 1.0}),)),
    "last_k": ({"last_k": 1}, (Phase("last 1", 1.0, {"stem": 0.0, "body": 1.0, "head": 1.0}),)),
    "layer_decay": ({"layer_decay": 0.5}, (Phase("layer_decay", 1.0, {"stem": 0.25, "body": 0.5, "head": 1.0}),)),
    "gradual_unfreeze": (
        {"layer_decay": 0.5, "unfreeze_share": 0.4},
        (
            Phase("from head", 0.2, {"stem": 0.0, "body": 0.0, "head": 1.0}),
            Phase("from body", 0.4, {"stem": 0.0, "body": 0.5, "head": 1.0}),
            Phase("from stem", 1.0, {"stem": 0.25, "body": 0.5, "head": 1.0}),
        ),
    ),
    "lp_ft": (
        {"probe_share": 0.3, "tune_scale": 0.01},
        (
            Phase("probe", 0.3, {"stem": 0.0, "body": 0.0, "head": 1.0}),
            Phase("tune", 1.0, {"stem": 0.01, "body": 0.01, "head": 1.0}),
        ),
    ),
    "classic": ({}, (Phase("classic", 1.0, {"stem": 0.0, "body": 0.0, "head": 1.0}),)),
    "groups": (
        {"scales": {"head": 1.0, "stem": 0.0, "body": 0.01}},
        (Phase("groups", 1.0, {"stem": 0.0, "body": 0.01, "head": 1.0}),),
    ),
    "bitfit": (
        {"backbone_scale": 0.5},
        (Phase("bitfit", 1.0, {"stem": 0.0, "stem_biases": 0.5, "head": 1.0}),),
        BIASES,
    ),
    "norm_only": (
        {"backbone_scale": 0.5},
        (Phase("norm_only", 1.0, {"stem": 0.0, "stem_norms": 0.5, "head": 1.0}),),
        NORMS,
    ),
    "lora": (
        {"backbone_scale": 0.5},
        (Phase("lora", 1.0, {"stem": 0.0, "body": 0.0, "lora": 0.5, "head": 1.0}),),
        having("lora", GROUPS),
    ),
    "adapter": (
        {"backbone_scale": 0.5},
        (Phase("adapter", 1.0, {"stem": 0.0, "stem_norms": 0.5, "adapter": 0.5, "head": 1.0}),),
        having("adapter", NORMS),
    ),
    "ssf": (
        {"backbone_scale": 0.5},
        (Phase("ssf", 1.0, {"stem": 0.0, "body": 0.0, "ssf": 0.5, "head": 1.0}),),
        having("ssf", GROUPS),
    ),
    "vpt": (
        {"backbone_scale": 0.5},
        (Phase("vpt", 1.0, {"stem": 0.0, "body": 0.0, "vpt": 0.5, "head": 1.0}),),
        having("vpt", GROUPS),
    ),
    "distill": ({"backbone_scale": 0.5}, (Phase("distill", 1.0, {"stem": 0.5, "body": 0.5, "head": 1.0}),)),
    "setfit": (
        {"pairs_share": 0.7, "encoder_scale": 0.5},
        (
            Phase("pairs", 0.7, {"stem": 0.5, "body": 0.5, "head": 0.0}),
            Phase("head", 1.0, {"stem": 0.0, "body": 0.0, "head": 1.0}),
        ),
    ),
    "l2_sp": (
        {"backbone_scale": 0.5},
        (Phase("l2_sp", 1.0, {"stem": 0.5, "body": 0.5, "start": 0.0, "head": 1.0}),),
        having("start", GROUPS),
    ),
    "mixout": (
        {"backbone_scale": 0.5},
        (Phase("mixout", 1.0, {"stem": 0.5, "body": 0.5, "start": 0.0, "head": 1.0}),),
        having("start", GROUPS),
    ),
}


# What chooses another has no plan of its own: tests/transfer/test_auto.py. What looks first: test_surgical.py.
FOUND = {name: plugins.find("strategies", name) for name in plugins.available("strategies")}
WITH_PLAN = [name for name, one in FOUND.items() if not (hasattr(one, "choose") or hasattr(one, "look"))]


@pytest.mark.parametrize("name", WITH_PLAN)
def test_plan(name):
    keys, expected, *own = PLANS[name]
    config = default.get_config().strategy
    config.scales.update(keys.get("scales", {}))
    config.update({key: value for key, value in keys.items() if key != "scales"})
    strategy = plugins.find("strategies", name)
    groups = own[0] if own else GROUPS
    phases = strategy.plan(groups, config)
    assert phases == expected
    assert all(list(phase.scales) == list(groups) for phase in phases)
    assert (name != "scratch") == strategy.PRETRAINED


def test_without_its_key_the_normalisation_beside_adapters_is_frozen():
    config = default.get_config().strategy
    config.norms = False
    assert plugins.find("strategies", "adapter").plan(having("adapter", NORMS), config)[0].learning == (
        "adapter",
        "head",
    )


@pytest.mark.parametrize(("name", "own", "expected"), [("bitfit", "biases", BIASES), ("norm_only", "norms", NORMS)])
def test_every_group_is_split(name, own, expected):
    begin, config = plugins.find("strategies", name).initialize, default.get_config().strategy
    members = [path for group, paths in expected.items() if group != "head" for path in paths]
    groups = {"stem": tuple(members), "head": expected["head"]}
    assert begin({}, groups, config, stages=("stem",), seed=0) == ({}, expected)
    by_hand = {"rest": expected["stem"], "mine": expected[f"stem_{own}"], "head": expected["head"]}
    assert begin({}, by_hand, config, stages=("stem",), seed=0)[1] == by_hand  # already split
    assert plugins.find("strategies", name).plan(by_hand, config)[0].learning == ("mine", "head")
    with pytest.raises(ConfigError, match=f"learns the backbone's {own}, and this network has none"):
        begin({}, GROUPS, config, stages=("stem",), seed=0)


VGG = {
    **{f"conv{i}": (f"backbone/conv{i}/conv1/kernel",) for i in range(1, 6)},
    "fc6": ("backbone/fc6/dense/kernel",),
    "fc7": ("backbone/fc7/dense/kernel",),
    "head": ("head/kernel",),
}


@pytest.mark.parametrize(
    ("groups", "begins"),
    [
        (VGG, ("fc6", "conv3", "conv1")),
        ({**{f"stage{i}": (f"backbone/stage{i}/kernel",) for i in range(4)}, "head": ("head/bias",)},
         ("head", "stage2", "stage0")),
        ({"body": ("backbone/conv1/kernel",), "head": ("head/bias",)}, ("head", "body")),
        ({"body": ("backbone/conv1/kernel", "backbone/fc1/kernel"), "head": ("head/bias",)}, ("head", "body")),
    ],
    ids=("vgg", "resnet", "two groups", "a mixed group is no dense one"),
)  # fmt: skip
def test_dense_layers_first_then_convolutions_then_all(groups, begins):
    config = default.get_config().strategy
    config.update(unfreeze="dense_conv_full", unfreeze_share=0.5, layer_decay=0.5)
    order, expected = list(groups), []
    for number, begin in enumerate(begins, start=1):
        first = order.index(begin)
        scales = {g: 0.5 ** (len(order) - 1 - i) if i >= first else 0.0 for i, g in enumerate(order)}
        until = 1.0 if number == len(begins) else 0.5 * number / (len(begins) - 1)
        expected.append(Phase(f"from {begin}", until, scales))
    assert plugins.find("strategies", "gradual_unfreeze").plan(groups, config) == tuple(expected)


@pytest.mark.parametrize(("number", "factor"), [(2, 0.3), (6, 0.3), (10, 0.512), (15, 0.651), (27, 0.793)])
def test_the_number_of_groups_decides_how_much_slower_each_is(number, factor):
    groups = {f"g{i}": (f"backbone/g{i}/kernel",) for i in range(number - 1)} | {"head": ("head/kernel",)}
    config = default.get_config().strategy
    (phase,) = plugins.find("strategies", "layer_decay").plan(groups, config)
    assert phase.name == f"layer_decay, {factor:.3g} from group to group, by their number {number}"
    scales = list(phase.scales.values())
    assert scales[-1] == 1 and scales[-2] == pytest.approx(factor, abs=5e-4)
    assert min(scales) == scales[0] >= 0.3**5 * 0.999
    last = plugins.find("strategies", "gradual_unfreeze").plan(groups, config)[-1]
    assert last.scales == phase.scales and last.name == f"from g0{phase.name.removeprefix('layer_decay')}"
    config.layer_decay = 0.3
    assert plugins.find("strategies", "layer_decay").plan(groups, config)[0].scales["g0"] == 0.3 ** (number - 1)


def test_learning_groups():
    assert PLANS["groups"][1][0].learning == ("body", "head")


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        ({"stem": 1.0}, "groups without a scale: body, head"),
        ({"stem": 1.0, "body": 1.0, "head": 1.0, "tail": 1.0, "foot": 1.0}, "scales without a group: tail, foot"),
        ({"stem": -1.0, "body": float("nan"), "head": 1.0}, "not numbers >= 0: stem=-1.0, body=nan"),
        ({"stem": 0.0, "body": 0.0, "head": 0.0}, "must let a group learn"),
    ],
)
def test_scales_that_cannot_be_meant(scales, message):
    config = default.get_config().strategy
    config.scales.update(scales)
    with pytest.raises(ConfigError, match=message):
        plugins.find("strategies", "groups").plan(GROUPS, config)


def test_a_group_of_normalisation_alone_is_no_stage_of_last_k():
    """The last LayerNorm of a ViT: `auto` and `compare` would have trained it and the head alone."""
    groups = {
        "block0": ("backbone/block0/mlp/kernel", "backbone/block0/ln/scale"),
        "block1": ("backbone/block1/mlp/kernel",),
        "norm": ("backbone/norm/scale", "backbone/norm/bias"),
        "head": ("head/kernel",),
    }
    strategy, config = plugins.find("strategies", "last_k"), default.get_config().strategy
    scales = []
    for config.last_k in (0, 1, 2):
        (phase,) = strategy.plan(groups, config)
        scales.append([phase.scales[group] for group in groups])
    assert scales == [[0.0, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]


@pytest.mark.parametrize("name", ["linear_probe", "lp_ft", "last_k", "layer_decay", "gradual_unfreeze"])
def test_the_head_needs_a_group_of_its_own(name):
    strategy, config = plugins.find("strategies", name), default.get_config().strategy
    kernels = {"biases": ("head/bias",), "kernels": ("backbone/stem/conv/kernel", "head/kernel")}
    with pytest.raises(ConfigError, match="the head in a group of its own.*the groups are biases, kernels"):
        strategy.plan(kernels, config)
    renamed = {"stem": ("backbone/stem/conv/kernel",), "classifier": ("head/kernel", "head/bias")}
    assert strategy.plan(renamed, config)[0].scales["classifier"] == 1.0


@pytest.mark.parametrize(
    ("name", "keys", "message"),
    [
        ("last_k", {"last_k": 3}, r"must be 0 to 2.*\(stem, body\); got 3"),
        ("layer_decay", {"layer_decay": 1.5}, r"must be in \(0, 1\], or 0 for the default factor; got 1.5"),
        ("gradual_unfreeze", {"unfreeze_share": 1.0}, r"unfreeze_share must be in \(0, 1\)"),
        ("gradual_unfreeze", {"unfreeze": "dense"}, r"unfreeze one of each, dense_conv_full; got .* and 'dense'"),
        ("lp_ft", {"tune_scale": 0.0}, "tune_scale > 0"),
    ],
)
def test_keys_that_cannot_be_meant(name, keys, message):
    config = default.get_config().strategy
    config.update(keys)
    with pytest.raises(ConfigError, match=message):
        plugins.find("strategies", name).plan(GROUPS, config)
