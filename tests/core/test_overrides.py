"""Changes from the command line: types are kept, open tables take new keys, a typo is an error with advice."""

import pytest

from configs import default, digits
from tljax.core import overrides, settings
from tljax.core.errors import ConfigError


def changed(*changes: str, config=None):
    return overrides.apply(config or default.get_config(), changes)


TYPED = [
    ("train.epochs=3", 3.0, float),
    ("optimizer.lr=1e-4", 1e-4, float),
    ("train.batch_size=8", 8, int),
    ("data.flip=true", True, bool),
    ("data.flip=False", False, bool),
    ("model.weights=a=b.safetensors", "a=b.safetensors", str),
    ("model.weights=12", "12", str),
    ("data.dir=", "", str),
    ("data.classes=('ant', 'bee')", ("ant", "bee"), tuple),
    ("data.classes=ant, bee", ("ant", "bee"), tuple),
    ("data.classes=ant", ("ant",), tuple),
    ("data.classes=5,6", (5, 6), tuple),
    ("data.classes='5'", ("5",), tuple),
    ("data.classes=()", (), tuple),
    ("data.classes=", (), tuple),
    ("data.fractions=[0.1, 0.1, 0.8]", (0.1, 0.1, 0.8), tuple),
    ("suite.seeds=3", (3,), tuple),
    ("seed=7", 7, int),
]


@pytest.mark.parametrize(("change", "value", "kind"), TYPED)
def test_a_value_keeps_the_type_of_its_key(change, value, kind):
    found = settings.get(changed("data.source=image_folder", change), change.partition("=")[0])
    assert found == value and type(found) is kind


def test_override_leaves_the_original_alone_and_the_last_change_wins():
    config = default.get_config()
    assert changed("seed=1", "seed=2", config=config).seed == 2
    assert config.seed == 0


def test_override_keeps_the_order_and_the_locks():
    config = digits.get_config()
    copied = changed(config=config)
    assert list(copied.suite.rows) == ["scratch", "linear_probe", "fine_tune", "low_and_high"]
    assert list(copied) == list(config) and list(copied.data) == list(config.data)
    for key in ("groups", "strategy", "strategy.scales", "data", "data.splits"):
        assert settings.get(copied, key).is_locked == settings.get(config, key).is_locked
    copied.strategy.scales.features = 3.0
    assert config.strategy.scales.features == 0.1


OPEN = {
    "strategy.scales.stem=0": 0,
    "groups.low=stem..stage2": "stem..stage2",
    "groups.low=conv1 conv2": "conv1 conv2",
    "optimizer.kwargs.momentum=0.9": 0.9,
    "optimizer.kwargs.nesterov=true": True,
    "optimizer.schedule_kwargs.at=(0.3, 0.6)": (0.3, 0.6),
    "optimizer.kwargs.mask.low=1e-4": 1e-4,
    "optimizer.kwargs.mask.low.head=true": True,
    "suite.rows.mine=('optimizer.lr=0.5',)": ("optimizer.lr=0.5",),
}


@pytest.mark.parametrize("change", OPEN)
def test_open_tables_take_new_keys(change):
    assert settings.get(changed("strategy.name=groups", change), change.partition("=")[0]) == OPEN[change]


def test_open_tables_change_types_and_are_replaced_as_a_whole():
    assert (
        changed("strategy.name=groups", "strategy.scales.stem=0", "strategy.scales.stem=0.5").strategy.scales.stem
        == 0.5
    )
    assert changed("optimizer.kwargs.mode=fast", "optimizer.kwargs.mode=(1, 2)").optimizer.kwargs["mode"] == (1, 2)
    nested = changed("optimizer.kwargs.low.lr=1", "optimizer.kwargs.low.lr=1e-4", "optimizer.kwargs.head={'lr': 0.1}")
    assert nested.optimizer.kwargs.to_dict() == {"low": {"lr": 1e-4}, "head": {"lr": 0.1}}
    replaced = changed("groups={'low': 'conv1'}", "groups.head=conv2..fc1 head", config=digits.get_config())
    assert dict(replaced.groups) == {"low": "conv1", "head": "conv2..fc1 head"}
    assert dict(changed("suite.rows={}", config=digits.get_config()).suite.rows) == {}


UNKNOWN = {
    "optimizer.lrr=1": "config.optimizer.lrr is no key: every key stands in configs/default.py. "
    "Did you mean 'config.optimizer.lr'?",
    "lr=1": "config.lr is no key: every key stands in configs/default.py. Did you mean 'config.optimizer.lr'?",
    "trian.epochs=1": "Did you mean 'config.train.epochs'?",
    "optimizer.momentum=0.9": "config.optimizer.momentum is no key",
    "data.splits.tset=x": "Did you mean 'config.data.splits.test'?",
    "strategy.last_k.x=1": "config.strategy.last_k.x is no option of 'full'",
    "seed.x=1": "config.seed.x is no key",
    "zzz=1": "config.zzz is no key: every key stands in configs/default.py.",
    "seed": "config.seed must be given a value, as in key=value",
}


@pytest.mark.parametrize("change", UNKNOWN)
def test_unknown_keys(change):
    with pytest.raises(ConfigError) as caught:
        changed(change)
    assert UNKNOWN[change] in str(caught.value)


WRONG = {
    "train.epochs=many": "config.train.epochs must be of type float, like 10.0; got 'many'.",
    "train.batch_size=1.5": "config.train.batch_size must be of type int, like 64; got '1.5'.",
    "data.flip=2": "config.data.flip must be of type bool, like False; got '2'.",
    "data.classes=(ant,)": (
        "config.data.classes must be of type tuple, like (), words in brackets in quotes: \"('a', 'b')\", or a,b; "
        "got '(ant,)'."
    ),
    "train=3": "config.train must be a table; set its keys; got '3'.",
    "train={}": "config.train must be a table; set its keys; got '{}'.",
    "groups=3": "config.groups must be a table; set its keys; got '3'.",
}


@pytest.mark.parametrize("change", WRONG)
def test_wrong_types(change):
    with pytest.raises(ConfigError) as caught:
        changed(change)
    assert str(caught.value) == WRONG[change]


def test_all_bad_overrides_are_listed():
    with pytest.raises(ConfigError) as caught:
        changed("a=1", "seed=5", "train.epochs=x", "b=2")
    assert [line.split()[0] for line in str(caught.value).splitlines()] == [
        "config.a",
        "config.train.epochs",
        "config.b",
    ]
