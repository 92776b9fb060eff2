"""The config: values that cannot be meant, and how it is written down."""

import json
import math

import pytest
from ml_collections import ConfigDict

from configs import default
from tljax.core import options, overrides, settings
from tljax.core.errors import ConfigError


def changed(*changes: str, config=None):
    return overrides.apply(config or default.get_config(), changes)


# Values

BAD_VALUES = {
    "optimizer.lr": (-0.1, 0.0, math.nan, math.inf),
    "optimizer.weight_decay": (-1.0, math.nan, math.inf),
    "optimizer.warmup": (1.0, -0.1, math.nan),
    "optimizer.clip": (-1.0, math.nan),
    "train.epochs": (0.0, -1.0, math.nan),
    "train.batch_size": (0, -4),
    "train.log_steps": (0,),
    "data.size": (-1,),
    "data.near_copies": (-2, 33),
    "data.max_pixels": (0, -1),
    "data.window": ((1.0,), (5.0, 5.0), (0.0, float("inf"))),
    "data.channels": (0, -3),
    "data.unreadable": ("ignore",),
    "data.duplicates": ("drop",),
    "data.half": ("c",),
    "data.similar_labels": ("drop",),
    "data.delimiter": ("ab",),
    "data.decimal": (";",),
    "data.missing": ((1,),),
    "data.header": ((1,),),
    "data.validation": (1.0, -0.1),
    "data.fractions": (
        (0.5, 0.5),
        (0.5, 0.6, -0.1),
        (0.2, 0.2, 0.2),
        (0.0, 0.5, 0.5),
        (0.5, 0.5, 0.0),
        ("a", "b", "c"),
    ),
    "data.min_area": (1.5,),
    "model.copied_stages": (-2,),
    "model.draw": (-1, 2**31),
    "model.dtype": ("float16",),
    "model.param_dtype": ("float16",),
    "model.card.mean": (("a",), (math.nan,)),
    "model.card.std": ((0.0,), (-1.0,), ("a",)),
    "model.card.channel_order": ("RBG",),
    "model.card.interpolation": ("linear",),
    "strategy.backbone_scale": (0.0, -1.0, math.nan),
    "strategy.rank": (0,),
    "strategy.alpha": (0.0, math.inf),
    "strategy.dropout": (1.0, -0.1),
    "strategy.beta": (-0.1, math.nan),
    "strategy.mixout": (1.0, -0.1),
    "optimizer.ema": (1.0, -0.1),
    "optimizer.swa": (1.0, -0.1, math.nan),
    "optimizer.accumulate": (0, -1),
    "model.drop_path": (1.0, -0.1),
    "train.min_steps": (-1,),
    "task.label_smoothing": (1.0,),
    "task.mixup": (-0.1, math.inf),
    "task.cutmix": (-0.1,),
    "task.class_weights": (("even",), (0.0, 1.0), (math.inf,), (1.0, "balanced"), ("a=0",), ("=1",), ({"a": -1},)),
    "suite.seeds": ((-1,), (0.5,), (3, 3)),
    "data.lengths": ((), (8, 4), (4, 4), (0, 4), (4.5,)),
    "data.encoding": ("klingon", "", "rot13"),
    "data.targets": ((5,),),
    "strategy.moving_statistics": ((1,),),
    "suite.first": ((1,),),
    "seed": (-1, 2**31),
}


# What must be chosen for a plugin to have the key.
CHOICES = {
    "strategy.backbone_scale": "strategy.name=lora",
    "strategy.rank": "strategy.name=lora",
    "strategy.alpha": "strategy.name=lora",
    "strategy.dropout": "strategy.name=lora",
    "strategy.beta": "strategy.name=l2_sp",
    "strategy.mixout": "strategy.name=mixout",
    "task.threshold": "task.name=multilabel",
    "task.pos_weight": "task.name=multilabel",
    "task.mask_share": "task.name=masked_lm",
    "data.lengths": "model.family=bert",
    **{f"data.{key}": "data.source=text_csv" for key in ("encoding", "delimiter", "decimal", "missing", "header")},
}


@pytest.mark.parametrize("key", BAD_VALUES)
def test_values_that_cannot_be_meant(key):
    *parents, last = key.split(".")
    for value in BAD_VALUES[key]:
        config = changed(*[CHOICES[key]] if key in CHOICES else [])
        (settings.get(config, ".".join(parents)) if parents else config)[last] = value
        with pytest.raises(ConfigError) as caught:
            settings.check(config)
        [line] = str(caught.value).splitlines()
        assert line.startswith(f"config.{key} must be {must(config, key)}; got {value!r}")


def must(config, key):
    """What its rule says of a key."""
    section, _, name = key.partition(".")
    return settings.RULES[key][0] if key in settings.RULES else options.declared(config, section)[name].rule[0]


@pytest.mark.parametrize(
    "change", ["groups.low=3", "strategy.scales.low=-1", "strategy.scales.low=x", "suite.rows.a=lr"]
)
def test_open_tables_are_checked_too(change):
    key = change.partition("=")[0]
    with pytest.raises(ConfigError, match=f"config.{key} must be "):
        settings.check(changed("strategy.name=groups", change))


def test_all_bad_values_are_listed():
    with pytest.raises(ConfigError) as caught:
        settings.check(changed("optimizer.lr=-1", "seed=-1", "data.size=-1"))
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (["train.patience=3"], "config.train.patience needs a validation part"),
        (["train.best=loss"], "config.train.best chooses by labels of a validation part"),
        (["data.validation=0.1", "data.fractions=(0.4, 0.2, 0.4)"], "config.data.validation must be 0 if"),
        (["data.validation=0.1", "data.splits.validation=val"], "config.data.validation must be 0 if"),
        (["data.pad=4", "data.min_area=0.5"], "config.data.pad must be 0 if"),
        (["optimizer.ema=0.9", "model.param_dtype=bfloat16"], "config.optimizer.ema and .swa must be 0 where"),
        (["optimizer.swa=0.5", "model.param_dtype=bfloat16"], "config.optimizer.ema and .swa must be 0 where"),
    ],
)
def test_keys_that_do_not_go_together(changes, text):
    with pytest.raises(ConfigError, match=text):
        settings.check(changed(*changes))
    mends = ["data.validation=0.1"] if "validation part" in text else []
    settings.check(changed(changes[0], *mends))


@pytest.mark.parametrize(
    "with_validation", ["data.validation=0.1", "data.splits.validation=val", "data.fractions=(.5,.2,.3)"]
)
def test_patience_with_any_validation_part(with_validation):
    """Beside another fault: with a validation part that is the only one."""
    for part, faults in ((), ["config.data.size", "config.train.patience"]), ((with_validation,), ["config.data.size"]):
        with pytest.raises(ConfigError) as caught:
            settings.check(changed("train.patience=3", "data.size=-1", *part))
        assert [line.split()[0] for line in str(caught.value).splitlines()] == faults


def test_batch_sizes_divide_over_the_devices():
    train = default.get_config().train
    assert settings.batch_size(train, 4) == (64, 256)
    with pytest.raises(ConfigError, match="must be multiples of the 3 devices; got 64 and 256"):
        settings.batch_size(train, 3)


# Written down


def test_differences_name_every_key():
    made = [changed(), changed("seed=3", "optimizer.kwargs.momentum=0.9")]
    old, new = (json.loads(settings.to_json(one)) for one in made)
    assert settings.differences(old, old) == []
    assert settings.differences(old, new) == [
        "optimizer.kwargs: {} -> None",
        "optimizer.kwargs.momentum: None -> 0.9",
        "seed: 0 -> 3",
    ]


def test_as_flat_keeps_empty_tables():
    config = ConfigDict({"a": {"b": 1, "c": {}}, "d": (1, 2)})
    assert settings.as_flat(config) == {"a.b": 1, "a.c": ConfigDict(), "d": (1, 2)}
