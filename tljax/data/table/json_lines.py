"""Tables with one JSON object per line."""

import json
from collections.abc import Sequence
from pathlib import Path

from tljax.core.errors import DataError
from tljax.data import labels
from tljax.data.table.columns import LINES, Rows, column, missing


def read(file: Path, content: str, columns: Sequence[str]) -> tuple[Rows, tuple[str, ...]]:
    """See `tables.read`."""
    rows: Rows = []
    other: dict[tuple[str, ...], dict[str, str]] = {}  # the names of an object -> column of the config -> its name
    for number, line in enumerate(LINES.split(content), start=1):  # splitlines would cut at U+2028 too
        if not line.strip():
            continue
        try:
            record = json.loads(line, object_pairs_hook=labels.once)
        except (ValueError, RecursionError) as error:
            raise DataError(f"Every line of '{file}' must be JSON; line {number} is not: {error}.") from error
        if not isinstance(record, dict):
            hint = " It is one array of all: write each of its objects on a line." if isinstance(record, list) else ""
            raise DataError(f"Every line of '{file}' must be a JSON object; line {number} is {line[:40]!r}.{hint}")
        if (names := tuple(record)) not in other:
            found = {name: column(name, names) for name in columns}
            if lost := [name for name in columns if found[name] is None]:
                raise DataError(f"{file}:{number} {missing(lost[0], names)}")
            other[names] = {name: str(place) for name, place in found.items()}
        rows.append((number, {name: record[place] for name, place in other[names].items()}))
    pairs = dict.fromkeys((place, name) for found in other.values() for name, place in found.items() if name != place)
    return rows, tuple(f"{file.name}: its {place!r} is read as '{name}'" for place, name in pairs)
