"""Tables of a config (`ConfigDict`): copies that keep order and locks, and values by dotted key."""

import copy
from collections.abc import Mapping
from typing import Any, TypeGuard

from ml_collections import ConfigDict

from tljax.core.untrusted import Json, Record

Table = ConfigDict | Json  # a table of a config, or a dict from JSON


def is_table(value: object) -> TypeGuard[Table]:
    """Whether a value of a config is a table."""
    return isinstance(value, ConfigDict | Mapping)


def copied(config: Table) -> ConfigDict:
    """A copy in the same order, unlocked; `copy.deepcopy` would sort its keys."""
    new = ConfigDict(sort_keys=False)
    for key, value in config.items():
        new[key] = copied(value) if isinstance(value, ConfigDict) else copy.deepcopy(value)
    return new


def lock_as(new: ConfigDict, old: ConfigDict) -> None:
    """Lock and unlock every table of `new` as it is in `old`."""
    (new.lock if old.is_locked else new.unlock)()  # this changes all tables below too
    for key, value in old.items():
        if isinstance(value, ConfigDict):
            lock_as(new[key], value)


def set_lock(table: ConfigDict, *, locked: bool) -> None:
    """Lock or unlock one table, but not the tables in it; `ConfigDict.lock` and `unlock` would change these too."""
    object.__setattr__(table, "_locked", locked)


def get(table: Table, key: str) -> Any:
    """The value at a dotted key; KeyError if there is none."""
    for part in key.split("."):
        table = table[part]
    return table


def put(table: ConfigDict, key: str, value: object) -> None:
    """Set the value at a dotted key; missing tables are made."""
    *parents, last = key.split(".")
    for parent in parents:
        if parent not in table:
            table[parent] = ConfigDict(sort_keys=False)
        table = table[parent]
    new = copied(ConfigDict(value, sort_keys=False)) if is_table(value) else value
    if last not in table:  # `ignore_type` visits all tables below: most of the time of a start
        table[last] = new
        return
    with table.ignore_type():
        table[last] = new


def flat(config: Table, prefix: str = "") -> Record:
    """Dotted key -> value, empty tables included."""
    keys = {}
    for key, value in config.items():
        if is_table(value) and len(value):
            keys |= flat(value, f"{prefix}{key}.")
        else:
            keys[f"{prefix}{key}"] = value
    return keys
