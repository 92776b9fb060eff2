"""Options: keys that belong to a plugin, wherever its file lies."""

import pytest

from configs import default
from tljax.core import options, overrides, settings
from tljax.core.errors import ConfigError

OWN = """
from tljax.core import layer_groups
from tljax.core.options import POSITIVE, Option
from tljax.core.types import Phase

PRETRAINED = False
OPTIONS = {"gamma": Option(0.5, "Factor on the backbone.", POSITIVE), "table": Option({}, "Anything.")}


def plan(groups, config):
    head = layer_groups.head(groups)
    return (Phase("own", 1.0, {group: 1.0 if group == head else config.gamma for group in groups}),)
"""


def resolved(*changes, config=None):
    return settings.resolve(overrides.apply(config or default.get_config(), changes))


@pytest.fixture
def own(tmp_path):
    file = tmp_path / "my_plan.py"
    file.write_text(OWN)
    return file


def test_a_run_has_the_options_of_what_it_chooses_and_no_others():
    config, left = resolved("strategy.name=lora", "strategy.rank=4")
    assert (config.strategy.rank, config.strategy.alpha) == (4, 8.0) and left == []
    assert "last_k" not in config.strategy and "lengths" not in config.data and config.data.size == 0
    assert config.is_locked and config.strategy.is_locked and config.data.splits.is_locked
    assert not config.groups.is_locked and not resolved("strategy.name=groups")[0].strategy.scales.is_locked
    assert overrides.apply(config, ["strategy.rank=2", "groups={'all': 'stem'}"]).groups.all == "stem"
    assert "rank" not in resolved("strategy.name=last_k")[0].strategy


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            ("strategy.rank=4",),
            "config.strategy.rank is no option of 'full', which the config chooses. It is an option of lora",
        ),
        (("strategy.name=lora", "strategy.rnk=4"), "Did you mean 'config.strategy.rank'"),
        (("task.name=multilabel", "task.class_weights=balanced"), "class_weights is no option of 'multilabel'"),
        (("task.name=regression", "task.label_smoothing=0.1"), "It is an option of classification"),
        (("model.family=bert", "data.size=3"), "config.data.size is no option of 'digits' and 'tokens'"),
        (("strategy.name=lora", "strategy.rank=many"), "config.strategy.rank must be of type int, like 8; got 'many'"),
    ],
)
def test_what_the_chosen_plugin_does_not_have_is_refused(changes, text):
    with pytest.raises(ConfigError) as caught:
        resolved(*changes)
    assert text in str(caught.value)


def test_an_old_name_is_the_new_key():
    assert resolved("strategy.name=lora", "strategy.lora_rank=3")[0].strategy.rank == 3
    config = default.get_config()
    config.strategy.update(name="l2_sp", l2_sp_alpha=0.5)
    own, left = settings.resolve(config)
    assert own.strategy.alpha == 0.5 and left == []


def test_what_a_config_holds_for_others_is_left_out_and_said():
    config = default.get_config()
    config.strategy.scales.low = 0.1  # of the strategy groups
    config.task.mask_share = 0.15  # as it is by default: nothing to say
    own, left = settings.resolve(config)
    assert left == ["config.strategy.scales is left out: full has no such option"]
    assert "scales" not in own.strategy


def test_a_key_that_no_plugin_has_is_refused_in_a_config_too():
    config = default.get_config()
    config.strategy.scalse = 3
    with pytest.raises(ConfigError, match="config.strategy.scalse is no option of 'full'"):
        settings.resolve(config)


def test_two_plugins_may_give_one_name_different_defaults():
    assert "alpha" not in default.get_config().strategy
    assert [resolved(f"strategy.name={name}")[0].strategy.alpha for name in ("lora", "l2_sp")] == [8.0, 0.1]


def test_a_strategy_that_chooses_takes_the_options_of_those_it_may_choose():
    config, _ = resolved(
        "strategy.name=auto", "strategy.auto.little_similar=lora", "strategy.rank=2", "strategy.last_k=2"
    )
    assert (config.strategy.rank, config.strategy.last_k, config.strategy.auto.much) == (2, 2, 200.0)


def test_ones_own_strategy_has_options_of_its_own(own):
    config, left = resolved(f"strategy.name={own}", "strategy.gamma=0.25", "strategy.table.x=1")
    assert (config.strategy.gamma, dict(config.strategy.table)) == (0.25, {"x": 1}) and left == []
    for change, text in (
        ("gama=1", "Did you mean 'config.strategy.gamma'"),
        ("gamma=-1", "config.strategy.gamma must be a finite"),
    ):
        with pytest.raises(ConfigError, match=text):
            resolved(f"strategy.name={own}", f"strategy.{change}")


def test_a_flag_may_be_an_option_of_what_a_row_chooses():
    config = default.get_config()
    config.suite.rows.a = ("strategy.name=lora",)
    assert overrides.apply(config, ["strategy.rank=4"]).strategy.rank == 4
    with pytest.raises(ConfigError, match="is no option"):
        overrides.apply(config, ["strategy.folds=4"])


def test_a_change_of_a_runs_own_config_brings_the_options_of_what_it_now_chooses():
    config, _ = resolved("strategy.name=lora", "strategy.rank=4")
    other = overrides.apply(config, ["strategy.name=last_k"])
    assert other.strategy.last_k == 1 and "rank" not in other.strategy


def test_every_option_says_what_it_does_and_has_a_default_that_holds():
    for section in options.SECTIONS:
        for name, table in options.shipped(section).items():
            for plugin, option in table.items():
                assert option.about.endswith("."), (plugin, name)
                if option.rule and option.default not in ({}, ()):
                    assert option.rule[1](option.default), (plugin, name)
