"""The config as a whole: checks of its values and their combinations, and its form as JSON."""

import json
import math
import re
from collections.abc import Sequence
from typing import Any

from ml_collections import ConfigDict

from tljax.core import config_files, config_tables, options, overrides
from tljax.core.errors import ConfigError
from tljax.core.options import NOT_NEGATIVE, POSITIVE, SHARE, STRINGS, resolution
from tljax.core.untrusted import Json, Record

# key -> its rule; names of plugins are checked at their lookup.
RULES = {
    "seed": ("in [0, 2**31)", lambda x: 0 <= x < 2**31),
    "profile": ("'', or START:STOP with 1 <= START <= STOP, such as 5:7", lambda steps: not steps or _is_range(steps)),
    "mesh.data": NOT_NEGATIVE,
    "mesh.fsdp": POSITIVE,
    "mesh.rules": (
        "pairs of a dotted path and an axis (>= -1)",
        lambda rules: all(
            isinstance(one, tuple | list)
            and len(one) == 2
            and isinstance(one[0], str)
            and isinstance(one[1], int)
            and one[1] >= -1
            for one in rules
        ),
    ),
    "data.fractions": (
        "() or three shares (train, validation, test) that sum to 1, those of train and test above 0",
        lambda shares: (
            not shares or (len(shares) == 3 and min(shares[0], shares[2]) > 0 <= shares[1] and _is_one(shares))
        ),
    ),
    "data.divide": STRINGS,
    "data.targets": STRINGS,
    "data.unlabelled": STRINGS,
    "data.half": ("'', a or b", lambda x: x in ("", "a", "b")),
    "data.validation": SHARE,
    "data.train_examples": NOT_NEGATIVE,
    "data.examples_per_class": NOT_NEGATIVE,
    "data.unlabelled_share": ("in (0, 1]", lambda x: 0 < x <= 1),
    "data.channels": POSITIVE,
    "data.similar_labels": ("error, merge or keep", lambda x: x in ("error", "merge", "keep")),
    "data.duplicates": ("keep, remove or error", lambda x: x in ("keep", "remove", "error")),
    "data.max_pixels": POSITIVE,
    "data.unreadable": ("error or skip", lambda x: x in ("error", "skip")),
    "data.cache": ("off, auto, memory or disk", lambda x: x in ("off", "auto", "memory", "disk")),
    "data.cache_memory": NOT_NEGATIVE,
    "data.cached_views": NOT_NEGATIVE,
    "model.copied_stages": (">= -1", lambda x: x >= -1),
    "model.draw": ("in [0, 2**31)", lambda x: 0 <= x < 2**31),
    "model.drop_path": SHARE,
    "model.dtype": ("float32 or bfloat16", lambda x: x in ("float32", "bfloat16")),
    "model.param_dtype": ("float32 or bfloat16", lambda x: x in ("float32", "bfloat16")),
    "model.attention": ("xla or cudnn", lambda x: x in ("xla", "cudnn")),
    "model.card.mean": ("numbers", lambda means: all(math.isfinite(mean) for mean in means)),
    "model.card.scale": POSITIVE,
    "model.card.std": ("all > 0", lambda stds: all(math.isfinite(std) and std > 0 for std in stds)),
    "model.card.channel_order": ("RGB or BGR", lambda x: x in ("RGB", "BGR")),
    "model.card.interpolation": (
        "bilinear, bicubic, nearest or lanczos",
        lambda x: x in ("", "bilinear", "bicubic", "nearest", "lanczos"),
    ),
    "groups.*": ("words: stages, ranges, path patterns", lambda words: isinstance(words, str)),
    "strategy.moving_statistics": STRINGS,
    "adaptation.weight": POSITIVE,
    "adaptation.ramp": NOT_NEGATIVE,
    "adaptation.classifier_scale": POSITIVE,
    "optimizer.lr": POSITIVE,
    "optimizer.weight_decay": NOT_NEGATIVE,
    "optimizer.ema": SHARE,
    "optimizer.swa": SHARE,
    "optimizer.accumulate": ("a whole number from 1 on", lambda x: isinstance(x, int) and x >= 1),
    "optimizer.clip": NOT_NEGATIVE,
    "optimizer.warmup": SHARE,
    "train.epochs": POSITIVE,
    "train.min_steps": NOT_NEGATIVE,
    "train.batch_size": POSITIVE,
    "train.eval_batch_size": POSITIVE,
    "train.eval_epochs": POSITIVE,
    "train.checkpoint_epochs": POSITIVE,
    "train.minutes": NOT_NEGATIVE,
    "train.checkpoint_minutes": NOT_NEGATIVE,
    "train.keep_checkpoints": POSITIVE,
    "train.patience": NOT_NEGATIVE,
    "train.log_steps": POSITIVE,
    "train.select": ("validation or entropy", lambda x: x in ("validation", "entropy")),
    "writers": STRINGS,
    "report": ("full, short or none", lambda x: x in ("full", "short", "none")),
    "suite.rows.*": STRINGS,
    "suite.first": STRINGS,
    "suite.seeds": (
        "different integers in [0, 2**31)",
        lambda seeds: len(set(seeds)) == len(seeds) and all(isinstance(x, int) and 0 <= x < 2**31 for x in seeds),
    ),
}

# error text -> when it applies: keys that do not go together.
EXCLUSIONS = {
    "config.optimizer.ema and .swa must be 0 where config.model.param_dtype is bfloat16: 8 bits do not hold a mean.": (
        lambda c: (c.optimizer.ema or c.optimizer.swa) and c.model.param_dtype == "bfloat16"
    ),
    "config.train.patience needs a validation part: set config.data.validation to a share, such as 0.1.": (
        lambda c: (
            c.train.patience and c.train.select == "validation" and not (c.data.validation or _names_validation(c.data))
        )
    ),
    "config.train.best chooses by labels of a validation part: set config.data.validation to a share, such as 0.1.": (
        lambda c: (
            c.train.best and c.train.select == "validation" and not (c.data.validation or _names_validation(c.data))
        )
    ),
    "config.train.best must be '' with config.train.select=entropy, which chooses without a metric.": (
        lambda c: c.train.best and c.train.select == "entropy"
    ),
    "config.adaptation.name and config.train.select=entropy need config.data.unlabelled: splits to see unlabelled.": (
        lambda c: (c.adaptation.name or c.train.select == "entropy") and not c.data.unlabelled
    ),
    "config.train.oracle needs config.data.targets: the splits whose labels it uses.": (
        lambda c: c.train.oracle and not c.data.targets
    ),
    "config.strategy.name=auto measures one domain and knows nothing of a second: with config.adaptation.name, name a "
    "strategy that learns features (full, layer_decay, lora ...).": (
        lambda c: c.strategy.name == "auto" and c.adaptation.name
    ),
    "config.task.mixup and config.task.cutmix must be 0 with config.adaptation.name: mixed examples have no domain.": (
        lambda c: c.adaptation.name and (asks(c, "task.mixup") or asks(c, "task.cutmix"))
    ),
    "config.data.validation must be 0 if config.data.fractions or .splits already give a validation part.": (
        lambda c: c.data.validation and _names_validation(c.data)
    ),
    "config.optimizer.ema and config.optimizer.swa are two means of the same weights: set one to 0.": (
        lambda c: c.optimizer.ema and c.optimizer.swa
    ),
    "config.strategy.auto.very_much must be at least config.strategy.auto.much.": (
        lambda c: (asks(c, "strategy.auto.very_much") or 0) < (asks(c, "strategy.auto.much") or 0)
    ),
    "config.data.pad must be 0 if config.data.min_area asks for a random resized crop.": (
        lambda c: asks(c, "data.pad") and asks(c, "data.min_area")
    ),
}


def check(config: ConfigDict) -> None:
    """Raise one ConfigError that lists every value that is not allowed."""
    resolve(config)


def resolve(config: ConfigDict) -> tuple[ConfigDict, list[str]]:
    """A run's own config, checked, and notes of the keys that were left out: see `resolution.resolve`.

    Raises:
      ConfigError: a value is not allowed, or keys do not go together; all are listed.
    """
    own, notes = resolution.resolve(config)
    bad = [fault for key, rule in RULES.items() for fault in _faults(config, key, rule)]
    for section in options.SECTIONS:
        for name, option in options.declared(config, section).items():
            if option.rule:
                key = f"{section}.{name}" + (".*" if config_tables.is_table(option.default) else "")
                bad += _faults(own, key, option.rule)
    bad += [why for why, holds in EXCLUSIONS.items() if holds(own)]
    if bad:
        raise ConfigError("\n".join(bad))
    return own, notes


def _faults(config: ConfigDict, rule: str, must_hold: options.Rule) -> list[str]:
    """The faults of the value of a key, or of the values of an open table ("groups.*")."""
    (must, holds), faults = must_hold, []
    table, star, _ = rule.partition(".*")
    for key in [f"{table}.{key}" for key in get(config, table)] if star else [rule]:
        value = get(config, key)
        try:
            fits = holds(value)
        except TypeError:  # a text instead of a number, in a tuple or an open table
            fits = False
        faults += [] if fits else [f"config.{key} must be {must}; got {value!r}."]
    return faults


def asks(config: ConfigDict, key: str) -> Any:
    """The value of an option; None where the chosen plugins have no such option."""
    try:
        return get(config, key)
    except KeyError:
        return None


def changed(config: ConfigDict) -> Record:
    """Key -> value, of the keys in which a config differs from the default with the same plugins chosen."""
    plain = config_files.default()
    own = [key for key in overrides.CHOICES if get(config, key) != get(plain, key)]
    for key in overrides.CHOICES:
        config_tables.put(plain, key, config_tables.get(config, key))
    default, _ = resolution.resolve(plain)
    before = config_tables.flat(default)
    return {key: value for key, value in config_tables.flat(config).items() if key in own or before.get(key) != value}


def batch_size(config: ConfigDict, devices: int, *, accumulate: int = 1) -> tuple[int, int]:
    """(training, evaluation) batch sizes. The devices must divide both; for training, also each of `accumulate` parts.

    Raises:
      ConfigError: they do not.
    """
    sizes = config.batch_size, config.eval_batch_size
    if any(size % devices for size in sizes):
        raise ConfigError(
            f"config.train.batch_size and config.train.eval_batch_size must be multiples of the "
            f"{devices} devices; got {sizes[0]} and {sizes[1]}."
        )
    if sizes[0] % (devices * accumulate):
        raise ConfigError(
            f"config.train.batch_size must be a multiple of config.optimizer.accumulate ({accumulate}) times the "
            f"{devices} devices; got {sizes[0]}."
        )
    return sizes


get, as_flat = config_tables.get, config_tables.flat


def to_json(config: ConfigDict) -> str:
    return json.dumps(json.loads(config.to_json_best_effort()), indent=2)


def differences(old: Json, new: Json) -> list[str]:
    """ "key: old -> new" for every key in which two configs, read from JSON, differ."""
    before, after = as_flat(old), as_flat(new)
    keys = sorted(before.keys() | after.keys())
    return [f"{k}: {before.get(k)} -> {after.get(k)}" for k in keys if before.get(k) != after.get(k)]


def _names_validation(data: ConfigDict) -> bool:
    return bool(data.fractions[1] if len(data.fractions) == 3 else data.splits.validation)


def _is_range(steps: str) -> bool:
    match = re.fullmatch(r"(\d{1,9}):(\d{1,9})", steps)
    return match is not None and 1 <= int(match[1]) <= int(match[2])


def _is_one(shares: Sequence[float]) -> bool:
    return abs(sum(shares) - 1) < 1e-6
