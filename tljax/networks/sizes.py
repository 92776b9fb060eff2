"""The sizes of a network: those that a variant means, and those that show in the names of its published tensors."""

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tljax.core import plugins, untrusted
from tljax.core.errors import ConfigError
from tljax.core.plugins import Entry
from tljax.core.types import NetworkSizes, VariantLike

FACTOR = 50  # how many times the largest of a family's published networks a size may be
LEAST = 1000  # and what it may be in any case


def variant(table: Mapping[str, Entry], said: VariantLike, what: str) -> Entry:
    """The sizes that `said` means: themselves, the name of an entry, or their fields as JSON has them.

    Raises:
      ConfigError: no entry has the name; the fields are not those of the table's entries, or cannot be meant.
    """
    kind = type(next(iter(table.values())))
    if isinstance(said, str):
        return plugins.entry(table, said, what)
    if not isinstance(said, kind | Mapping):
        raise ConfigError(f"{what} must be one of {', '.join(table)}, or sizes; got {untrusted.shown(said)}.")
    fields = said if isinstance(said, Mapping) else vars(said)
    if wrong := untrusted.faults(kind, fields, _ranges(table)):
        raise ConfigError(f"{what} must have the fields of {kind.__qualname__}: {', '.join(wrong)}.")
    if isinstance(said, kind):
        return said
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()})


def _ranges(table: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Field -> the least and the largest number that can be meant, as published networks and defaults have them."""
    numbers: dict[str, list[float]] = {}
    defaults = {field.name: field.default for entry in table.values() for field in dataclasses.fields(entry)}
    for sizes in (*map(vars, table.values()), defaults):
        for name, value in sizes.items():
            values = value if isinstance(value, tuple) else (value,)
            numbers.setdefault(name, []).extend(one for one in values if isinstance(one, int | float))
    told = {name: found for name, found in numbers.items() if any(found)}
    # A size that is never 0 must not be; what may be left out is a place, which may. Below 0 stands for "none".
    sizes_only = {name for name, found in told.items() if min(found) >= 1 and defaults[name] is not None}
    least = {name: 1.0 if name in sizes_only else min(0.0, *found) for name, found in told.items()}
    return {name: (least[name], max(LEAST, FACTOR * max(found))) for name, found in told.items()}


def nearest(table: Mapping[str, NetworkSizes], sizes: NetworkSizes) -> tuple[str, dict[str, tuple[Any, Any]]]:
    """The entry of `table` that shares most fields with `sizes`; field -> (its value, the entry's) of the others."""

    def others(entry: NetworkSizes) -> dict[str, tuple[Any, Any]]:
        pairs = {field.name: (getattr(sizes, field.name), getattr(entry, field.name)) for field in fields}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    fields = dataclasses.fields(sizes)
    found = {name: others(entry) for name, entry in table.items()}
    name = min(found, key=lambda name: len(found[name]))
    return name, found[name]


def depths(names: Iterable[str], pattern: str) -> tuple[int, ...]:
    r"""How many names match whole, for each value of the pattern's first group: blocks of every stage, in order.

    `depths(names, r"layer(\d+)\.\d+\.conv1\.weight")` is (3, 4, 6, 3) for a ResNet-50.
    """
    found = Counter(int(match[1]) for name in names if (match := re.fullmatch(pattern, name)))
    return tuple(found[stage] for stage in sorted(found))
