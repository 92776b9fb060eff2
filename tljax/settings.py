"""The config as a whole: whether its values make sense, and how it is written down and changed."""

import ast
import copy
import difflib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict

from tljax.errors import ConfigError

POSITIVE = ("> 0", lambda x: math.isfinite(x) and x > 0)
NOT_NEGATIVE = (">= 0", lambda x: math.isfinite(x) and x >= 0)
SHARE = ("in [0, 1)", lambda x: 0 <= x < 1)

# key -> what must hold; names of plugins are checked where they are looked up.
RULES = {
    "seed": ("in [0, 2**31)", lambda x: 0 <= x < 2**31),
    "data.validation": SHARE,
    "data.train_examples": NOT_NEGATIVE,
    "data.examples_per_class": NOT_NEGATIVE,
    "data.channels": ("1 or 3", lambda x: x in (1, 3)),
    "data.unreadable": ("error or skip", lambda x: x in ("error", "skip")),
    "data.resize": NOT_NEGATIVE,
    "data.crop": NOT_NEGATIVE,
    "data.size": POSITIVE,
    "data.pad": NOT_NEGATIVE,
    "data.min_area": ("in [0, 1]", lambda x: 0 <= x <= 1),
    "model.dtype": ("float32 or bfloat16", lambda x: x in ("float32", "bfloat16")),
    "model.card.scale": POSITIVE,
    "model.card.std": ("all > 0", lambda stds: all(math.isfinite(std) and std > 0 for std in stds)),
    "model.card.channel_order": ("RGB or BGR", lambda x: x in ("RGB", "BGR")),
    "model.card.interpolation": (
        "bilinear, bicubic, nearest or lanczos",
        lambda x: x in ("bilinear", "bicubic", "nearest", "lanczos"),
    ),
    "task.label_smoothing": SHARE,
    "optimizer.lr": POSITIVE,
    "optimizer.weight_decay": NOT_NEGATIVE,
    "optimizer.clip": NOT_NEGATIVE,
    "optimizer.warmup": SHARE,
    "train.epochs": POSITIVE,
    "train.batch_size": POSITIVE,
    "train.eval_batch_size": POSITIVE,
    "train.eval_epochs": POSITIVE,
    "train.checkpoint_epochs": POSITIVE,
    "train.keep_checkpoints": POSITIVE,
    "train.patience": NOT_NEGATIVE,
    "train.log_steps": POSITIVE,
}


def check(config: Any) -> None:
    """Raise one ConfigError that lists every value that cannot be meant."""
    bad = []
    for key, (must, holds) in RULES.items():
        value = get(config, key)
        if not holds(value):
            bad.append(f"config.{key} must be {must}; got {value!r}")
    if config.train.patience and not (config.data.validation or _names_validation(config)):
        bad.append("config.train.patience needs a validation part; set config.data.validation")
    if bad:
        raise ConfigError("\n".join(bad))


def batch_size(config: Any, devices: int) -> tuple[int, int]:
    """(training, evaluation) batch sizes; both must divide evenly over the devices.

    Raises:
      ConfigError: they do not.
    """
    sizes = config.batch_size, config.eval_batch_size
    if any(size % devices for size in sizes):
        raise ConfigError(
            f"config.train.batch_size and config.train.eval_batch_size must be multiples of the "
            f"{devices} devices; got {sizes[0]} and {sizes[1]}."
        )
    return sizes


def get(config: Any, key: str) -> Any:
    """The value at a dotted key."""
    for part in key.split("."):
        config = config[part]
    return config


def override(config: Any, changes: Iterable[str]) -> Any:
    """A copy of `config` with every "dotted.key=value" applied; values keep the key's type.

    Raises:
      ConfigError: an unknown key, or a value of another type.
    """
    changed = copy.deepcopy(config)
    for change in changes:
        key, equals, text = change.partition("=")
        known = list(as_flat(changed))
        if not equals or key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            raise ConfigError(f"'{change}' must be 'key=value' with a key of configs/default.py.{hint}")
        *parents, last = key.split(".")
        node = get(changed, ".".join(parents)) if parents else changed
        try:
            node[last] = text if isinstance(node[last], str) else ast.literal_eval(text)
        except (TypeError, ValueError, SyntaxError) as error:
            raise ConfigError(
                f"config.{key} must be a {type(node[last]).__name__} like {node[last]!r}; got '{text}'."
            ) from error
    return changed


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


def differences(old: str, new: str) -> list[str]:
    """ "key: old -> new" for every key in which two JSON configs differ."""
    before, after = as_flat(json.loads(old)), as_flat(json.loads(new))
    keys = sorted(before.keys() | after.keys())
    return [f"{k}: {before.get(k)} -> {after.get(k)}" for k in keys if before.get(k) != after.get(k)]


def _names_validation(config: Any) -> bool:
    shares = tuple(config.data.fractions)
    return bool(shares[1]) if len(shares) == 3 else bool(config.data.splits.get("validation"))
