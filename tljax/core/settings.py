"""The config as a whole: whether its values make sense, and how it is written down."""

import json
import math
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from tljax.core.errors import ConfigError

POSITIVE = ("a finite number > 0", lambda x: math.isfinite(x) and x > 0)
NOT_NEGATIVE = ("a finite number >= 0", lambda x: math.isfinite(x) and x >= 0)
SHARE = ("in [0, 1)", lambda x: 0 <= x < 1)
STRINGS = ("a tuple of strings", lambda texts: isinstance(texts, tuple) and all(isinstance(x, str) for x in texts))
NUMBERS_BY_NAME = (
    'balanced, numbers > 0, or "name=number" with numbers > 0',
    lambda ws: ws == ("balanced",) or all(_is_weight(w) for w in ws),
)

# key -> what must hold; names of plugins are checked where they are looked up.
RULES = {
    "seed": ("in [0, 2**31)", lambda x: 0 <= x < 2**31),
    "data.fractions": (
        "() or three shares (train, validation, test) that sum to 1, those of train and test above 0",
        lambda shares: (
            not shares or (len(shares) == 3 and min(shares[0], shares[2]) > 0 <= shares[1] and _is_one(shares))
        ),
    ),
    "data.divide": STRINGS,
    "data.targets": STRINGS,
    "data.unlabelled": STRINGS,
    "data.lengths": (
        "whole numbers > 0 that rise, at least one",
        lambda xs: len(xs) > 0 and all(isinstance(x, int) and x > 0 for x in xs) and list(xs) == sorted(set(xs)),
    ),
    "data.encoding": ("an encoding of Python, such as utf-8, latin-1 or utf-16", lambda x: _is_encoding(x)),
    "data.half": ("'', a or b", lambda x: x in ("", "a", "b")),
    "data.validation": SHARE,
    "data.train_examples": NOT_NEGATIVE,
    "data.examples_per_class": NOT_NEGATIVE,
    "data.unlabelled_share": ("in (0, 1]", lambda x: 0 < x <= 1),
    "data.channels": POSITIVE,
    "data.labels": ("classes, numbers, sets or none", lambda x: x in ("classes", "numbers", "sets", "none")),
    "data.similar_labels": ("error, merge or keep", lambda x: x in ("error", "merge", "keep")),
    "data.missing": STRINGS,
    "data.header": STRINGS,
    "data.delimiter": ("'', tab, or one character", lambda x: len(x) <= 1 or x in ("tab", r"\t")),
    "data.decimal": ("'', a point or a comma", lambda x: x in ("", ".", ",")),
    "data.separator": ("a text that is no space", lambda x: bool(x.strip())),
    "data.duplicates": ("keep or remove", lambda x: x in ("keep", "remove")),
    "data.unreadable": ("error or skip", lambda x: x in ("error", "skip")),
    "data.resize": NOT_NEGATIVE,
    "data.crop": NOT_NEGATIVE,
    "data.size": POSITIVE,
    "data.pad": NOT_NEGATIVE,
    "data.min_area": ("in [0, 1]", lambda x: 0 <= x <= 1),
    "data.cache": ("off, auto, memory or disk", lambda x: x in ("off", "auto", "memory", "disk")),
    "data.cache_memory": NOT_NEGATIVE,
    "data.cached_views": NOT_NEGATIVE,
    "model.copied_stages": (">= -1", lambda x: x >= -1),
    "model.draw": ("in [0, 2**31)", lambda x: 0 <= x < 2**31),
    "model.drop_path": SHARE,
    "model.dtype": ("float32 or bfloat16", lambda x: x in ("float32", "bfloat16")),
    "model.param_dtype": ("float32 or bfloat16", lambda x: x in ("float32", "bfloat16")),
    "model.card.mean": ("numbers", lambda means: all(math.isfinite(mean) for mean in means)),
    "model.card.scale": POSITIVE,
    "model.card.std": ("all > 0", lambda stds: all(math.isfinite(std) and std > 0 for std in stds)),
    "model.card.channel_order": ("RGB or BGR", lambda x: x in ("RGB", "BGR")),
    "model.card.interpolation": (
        "bilinear, bicubic, nearest or lanczos",
        lambda x: x in ("bilinear", "bicubic", "nearest", "lanczos"),
    ),
    "task.label_smoothing": SHARE,
    "task.mixup": NOT_NEGATIVE,
    "task.cutmix": NOT_NEGATIVE,
    "task.class_weights": NUMBERS_BY_NAME,
    "task.mask_share": ("in (0, 1)", lambda x: 0 < x < 1),
    "task.huber": NOT_NEGATIVE,
    "task.threshold": ("in (0, 1)", lambda x: 0 < x < 1),
    "task.pos_weight": NUMBERS_BY_NAME,
    "groups.*": ("words: stages, ranges, path patterns", lambda words: isinstance(words, str)),
    "strategy.scales.*": NOT_NEGATIVE,
    "strategy.backbone_scale": POSITIVE,
    "strategy.lora_rank": POSITIVE,
    "strategy.lora_alpha": POSITIVE,
    "strategy.lora_dropout": SHARE,
    "strategy.l2_sp_alpha": NOT_NEGATIVE,
    "strategy.l2_sp_beta": NOT_NEGATIVE,
    "strategy.mixout": SHARE,
    "strategy.auto.much": POSITIVE,
    "strategy.auto.very_much": POSITIVE,
    "strategy.auto.similar": ("in [0, 1]", lambda x: 0 <= x <= 1),
    "strategy.moving_statistics": STRINGS,
    "strategy.folds": ("at least 2", lambda folds: folds >= 2),
    "adaptation.weight": POSITIVE,
    "adaptation.ramp": NOT_NEGATIVE,
    "adaptation.estimator": ("unbiased or biased", lambda x: x in ("unbiased", "biased")),
    "adaptation.bandwidth": NOT_NEGATIVE,
    "adaptation.widths": ("numbers > 0, at least one", lambda xs: len(xs) > 0 and all(x > 0 for x in xs)),
    "adaptation.hidden": ("whole numbers > 0", lambda xs: all(isinstance(x, int) and x > 0 for x in xs)),
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
    "train.checkpoint_minutes": NOT_NEGATIVE,
    "train.keep_checkpoints": POSITIVE,
    "train.patience": NOT_NEGATIVE,
    "train.log_steps": POSITIVE,
    "train.select": ("validation or entropy", lambda x: x in ("validation", "entropy")),
    "writers": STRINGS,
    "suite.rows.*": STRINGS,
    "suite.first": STRINGS,
    "suite.seeds": (
        "different integers in [0, 2**31)",
        lambda seeds: len(set(seeds)) == len(seeds) and all(isinstance(x, int) and 0 <= x < 2**31 for x in seeds),
    ),
}

# what is wrong -> when: keys that do not go together.
EXCLUSIONS = {
    "config.optimizer.ema and .swa must be 0 where config.model.param_dtype is bfloat16: 8 bits do not hold a mean.": (
        lambda c: (c.optimizer.ema or c.optimizer.swa) and c.model.param_dtype == "bfloat16"
    ),
    "config.train.patience needs a validation part: set config.data.validation to a share, such as 0.1.": (
        lambda c: (
            c.train.patience and c.train.select == "validation" and not (c.data.validation or _names_validation(c.data))
        )
    ),
    "config.adaptation.name and config.train.select=entropy need config.data.unlabelled: splits to see unlabelled.": (
        lambda c: (c.adaptation.name or c.train.select == "entropy") and not c.data.unlabelled
    ),
    "config.train.oracle needs config.data.targets: the splits whose labels are asked.": (
        lambda c: c.train.oracle and not c.data.targets
    ),
    "config.strategy.name=auto measures one domain and knows nothing of a second: with config.adaptation.name, name a "
    "strategy that learns features (full, layer_decay, lora ...).": (
        lambda c: c.strategy.name == "auto" and c.adaptation.name
    ),
    "config.task.mixup and config.task.cutmix must be 0 with config.adaptation.name: what is mixed has no domain.": (
        lambda c: c.adaptation.name and (c.task.mixup or c.task.cutmix)
    ),
    "config.data.validation must be 0 where config.data.fractions or .splits already give a validation part.": (
        lambda c: c.data.validation and _names_validation(c.data)
    ),
    "config.optimizer.ema and config.optimizer.swa are two means of the same weights: set one to 0.": (
        lambda c: c.optimizer.ema and c.optimizer.swa
    ),
    "config.strategy.auto.very_much must be at least config.strategy.auto.much.": (
        lambda c: c.strategy.auto.very_much < c.strategy.auto.much
    ),
    "config.data.pad must be 0 where config.data.min_area asks for a random resized crop.": (
        lambda c: c.data.pad and c.data.min_area
    ),
}


def check(config: Any) -> None:
    """Raise one ConfigError that lists every value that cannot be meant."""
    bad = []
    for rule, (must, holds) in RULES.items():
        for key in _keys(config, rule):
            value = get(config, key)
            try:
                fits = holds(value)
            except TypeError:  # a text where a number belongs, in a tuple or an open table
                fits = False
            bad += [] if fits else [f"config.{key} must be {must}; got {value!r}."]
    bad += [why for why, holds in EXCLUSIONS.items() if holds(config)]
    if bad:
        raise ConfigError("\n".join(bad))


def _keys(config: Any, rule: str) -> list[str]:
    """The keys that a rule is about: itself, or those of an open table ("groups.*")."""
    table, star, _ = rule.partition(".*")
    return [f"{table}.{key}" for key in get(config, table)] if star else [rule]


def batch_size(config: Any, devices: int, *, accumulate: int = 1) -> tuple[int, int]:
    """(training, evaluation) batch sizes; both must divide evenly over the devices, the first after `accumulate` parts.

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


def get(config: Any, key: str) -> Any:
    """The value at a dotted key."""
    for part in key.split("."):
        config = config[part]
    return config


def as_flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted key -> value, empty tables included."""
    flat = {}
    for key, value in config.items():
        if isinstance(value, ConfigDict | Mapping) and len(value):
            flat |= as_flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def to_json(config: Any) -> str:
    return json.dumps(json.loads(config.to_json_best_effort()), indent=2)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """ "key: old -> new" for every key in which two configs, read from JSON, differ."""
    before, after = as_flat(old), as_flat(new)
    keys = sorted(before.keys() | after.keys())
    return [f"{k}: {before.get(k)} -> {after.get(k)}" for k in keys if before.get(k) != after.get(k)]


def _names_validation(data: Any) -> bool:
    return bool(data.fractions[1] if len(data.fractions) == 3 else data.splits.validation)


def _is_encoding(name: str) -> bool:
    try:
        "".encode(name)
    except (LookupError, ValueError):
        return False
    return True


def _is_weight(weight: Any) -> bool:
    """A number > 0, "name=number" with one, or a dict of such."""
    if isinstance(weight, Mapping):
        return all(map(_is_weight, weight.values()))
    if isinstance(weight, str):
        name, _, weight = weight.rpartition("=")
        try:
            weight = float(weight if name else "nan")
        except ValueError:
            return False
    return math.isfinite(weight) and weight > 0


def _is_one(shares: Any) -> bool:
    return abs(sum(shares) - 1) < 1e-6
