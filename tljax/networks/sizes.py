"""The sizes of a network: those that a variant means, and those that show in the names of its published tensors."""

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tljax.core import plugins
from tljax.core.errors import ConfigError
from tljax.core.plugins import Entry


def variant(table: Mapping[str, Entry], said: Any, what: str) -> Entry:
    """The sizes that `said` means: themselves, the name of an entry, or their fields as JSON has them.

    Raises:
      ConfigError: no entry has the name, or the fields are not those of the table's entries.
    """
    kind = type(next(iter(table.values())))
    if isinstance(said, kind):
        return said
    if not isinstance(said, Mapping):
        return plugins.entry(table, said, what)
    try:
        return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in said.items()})
    except TypeError as error:
        raise ConfigError(f"{what} must have the fields of {kind.__qualname__}; got {dict(said)}: {error}.") from error


def nearest(table: Mapping[str, Any], sizes: Any) -> tuple[str, dict[str, tuple[Any, Any]]]:
    """The entry of `table` that shares most fields with `sizes`; field -> (its value, the entry's) of the others."""

    def others(entry: Any) -> dict[str, tuple[Any, Any]]:
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
