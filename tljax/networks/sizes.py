"""The sizes of a network: those of a variant, and those that show in the names of its published tensors."""

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tljax.core import plugins, untrusted
from tljax.core.errors import ConfigError
from tljax.core.plugins import Entry
from tljax.core.types import NetworkSizes, VariantLike

FACTOR = 50  # a size may be at most this many times the largest size among the family's published networks
LEAST = 1000  # a size up to this is always allowed


def variant(table: Mapping[str, Entry], choice: VariantLike, what: str) -> Entry:
    """The sizes for `choice`: sizes, the name of an entry, or the fields of an entry as a dict (from JSON).

    Raises:
      ConfigError: no entry has the name; the fields are not those of the table's entries; or a size is out of range.
    """
    kind = type(next(iter(table.values())))
    if isinstance(choice, str):
        return plugins.entry(table, choice, what)
    if not isinstance(choice, kind | Mapping):
        raise ConfigError(f"{what} must be one of {', '.join(table)}, or sizes; got {untrusted.shown(choice)}.")
    fields = choice if isinstance(choice, Mapping) else vars(choice)
    if wrong := untrusted.faults(kind, fields, _ranges(table)):
        raise ConfigError(f"{what} must have the fields of {kind.__qualname__}: {', '.join(wrong)}.")
    if isinstance(choice, kind):
        return choice
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()})


def _ranges(table: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Field -> the least and the largest number that is allowed, from the published networks and the defaults."""
    numbers: dict[str, list[float]] = {}
    defaults = {field.name: field.default for entry in table.values() for field in dataclasses.fields(entry)}
    for sizes in (*map(vars, table.values()), defaults):
        for name, value in sizes.items():
            values = value if isinstance(value, tuple) else (value,)
            numbers.setdefault(name, []).extend(one for one in values if isinstance(one, int | float))
    ranges = {name: found for name, found in numbers.items() if any(found)}
    # 0 is allowed only if an entry or a default has 0, or if the field is optional. Below 0 means "none".
    sizes_only = {name for name, found in ranges.items() if min(found) >= 1 and defaults[name] is not None}
    least = {name: 1.0 if name in sizes_only else min(0.0, *found) for name, found in ranges.items()}
    return {name: (least[name], max(LEAST, FACTOR * max(found))) for name, found in ranges.items()}


def nearest(table: Mapping[str, NetworkSizes], sizes: NetworkSizes) -> tuple[str, dict[str, tuple[Any, Any]]]:
    """The entry of `table` nearest to `sizes`; for each field that differs: its value in `sizes`, and in the entry."""

    def others(entry: NetworkSizes) -> dict[str, tuple[Any, Any]]:
        pairs = {field.name: (getattr(sizes, field.name), getattr(entry, field.name)) for field in fields}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    fields = dataclasses.fields(sizes)
    differences = {name: others(entry) for name, entry in table.items()}
    name = min(differences, key=lambda name: len(differences[name]))
    return name, differences[name]


def depths(names: Iterable[str], pattern: str) -> tuple[int, ...]:
    r"""The number of names that match the whole pattern, for each value of its first group: the blocks of every stage.

    `depths(names, r"layer(\d+)\.\d+\.conv1\.weight")` is (3, 4, 6, 3) for a ResNet-50.
    """
    counts = Counter(int(match[1]) for name in names if (match := re.fullmatch(pattern, name)))
    return tuple(counts[stage] for stage in sorted(counts))
