"""The settings of each group: optimizer, rate, decay and schedule, by default those of the run.

`config.optimizer.groups.<group>` may hold lr, weight_decay, schedule, schedule_kwargs, name and kwargs: the settings
that differ from the run's. A group with another optimizer or schedule does not get the run's keyword arguments for it.

If a group has its own `lr`, the strategy's scales for it only say when it learns, and how its rate changes from phase
to phase: `lr` is the rate in the phase with the largest scale.
"""

import dataclasses
import math
from collections.abc import Iterable

from ml_collections import ConfigDict

from tljax.core import near_names
from tljax.core.errors import ConfigError
from tljax.core.types import Record
from tljax.training.schedules import Kwargs

# key -> its rule
KEYS = {
    "lr": ("a finite number > 0", lambda x: _is_number(x) and x > 0),
    "weight_decay": ("a finite number >= 0", lambda x: _is_number(x) and x >= 0),
    "schedule": ("the name of a schedule", lambda x: isinstance(x, str)),
    "schedule_kwargs": ("a table of keyword arguments", lambda x: hasattr(x, "items")),
    "name": ("the name of an optimizer", lambda x: isinstance(x, str)),
    "kwargs": ("a table of keyword arguments", lambda x: hasattr(x, "items")),
}


@dataclasses.dataclass(frozen=True)
class Setting:
    """The settings of one group; fields as the keys of config.optimizer."""

    name: str
    kwargs: Kwargs
    lr: float
    own_lr: bool  # whether `lr` is the group's own; scales do not multiply it then
    weight_decay: float
    decay_norms_and_biases: bool
    schedule: str
    schedule_kwargs: Kwargs
    warmup: float
    any_factor: bool

    def rates(self, scales: Iterable[float]) -> tuple[float, ...]:
        """The learning rate in every phase, before the schedule, for a group with these scales in the plan."""
        scales = tuple(scales)
        if self.own_lr:
            return tuple(self.lr * (scale / max(scales)) if scale else 0.0 for scale in scales)
        return tuple(self.lr * scale for scale in scales)


def of(config: ConfigDict, group: str | None = None) -> Setting:
    """The settings of a group; for None those of the run. `config` is config.optimizer."""
    own = config.groups.get(group, {}) if group else {}
    kwargs = own.get("kwargs", {} if own.get("name", config.name) != config.name else config.kwargs)
    other = own.get("schedule", config.schedule) != config.schedule
    schedule_kwargs = own.get("schedule_kwargs", {} if other else config.schedule_kwargs)
    return Setting(
        name=own.get("name", config.name),
        kwargs=dict(kwargs),
        lr=own.get("lr", config.lr),
        own_lr="lr" in own,
        weight_decay=float(own.get("weight_decay", config.weight_decay)),
        decay_norms_and_biases=config.decay_norms_and_biases,
        schedule=own.get("schedule", config.schedule),
        schedule_kwargs=dict(schedule_kwargs),
        warmup=config.warmup,
        any_factor=config.any_factor,
    )


def check(config: ConfigDict) -> None:
    """Raise one ConfigError that lists every key of `config.groups` that does not exist or has a wrong value."""
    bad = []
    for group, own in config.groups.items():
        if not hasattr(own, "items"):
            bad.append(f"config.optimizer.groups.{group} must be a table of {', '.join(KEYS)}; got {own!r}.")
            continue
        for key, value in own.items():
            if key not in KEYS:
                hint = near_names.did_you_mean(key, KEYS)
                bad.append(f"config.optimizer.groups.{group}.{key} is no key: a group has {', '.join(KEYS)}.{hint}")
            elif not KEYS[key][1](value):
                bad.append(f"config.optimizer.groups.{group}.{key} must be {KEYS[key][0]}; got {value!r}.")
    if bad:
        raise ConfigError("\n".join(bad))


def check_names(config: ConfigDict, groups: Iterable[str]) -> None:
    """Raise one ConfigError that lists every name in `config.groups` that is not a group of the run."""
    groups = tuple(groups)
    unknown = [name for name in config.groups if name not in groups]
    near = {name: near_names.by_letters(name, groups) for name in unknown}
    if unknown:
        raise ConfigError(
            f"config.optimizer.groups must name groups of this run ({', '.join(groups)}); got "
            + ", ".join(f"'{name}'" + (f" (near '{near[name]}')" if near[name] else "") for name in unknown)
            + ". Change these names, or change the groups in config.groups."
        )


def without_rates(config: ConfigDict) -> dict[str, Record]:
    """`config.groups` as plain dicts, without rates and schedules."""
    rates = ("lr", "schedule", "schedule_kwargs")
    return {
        group: {key: x for key, x in own.to_dict().items() if key not in rates} for group, own in config.groups.items()
    }


def _is_number(x: object) -> bool:
    return isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x)
