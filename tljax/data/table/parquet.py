"""Parquet tables, as pandas and datasets write them: the same rows as from other tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tljax.core.errors import DataError
from tljax.data.table.columns import Rows, column, missing

SUFFIX = ".parquet"
PLAIN = (str, int, float, bool, list, dict, type(None))  # other values, such as dates, become text


def read(file: Path, columns: Sequence[str]) -> tuple[Rows, tuple[str, ...]]:
    """See `tables.read`; a row's line is its number, from 1 on."""
    table, names = _table(file)
    if lost := [name for name in columns if column(name, names) is None]:
        raise DataError(f"'{file}' {missing(lost[0], names)}")
    places = {name: str(column(name, names)) for name in columns}
    try:
        rows = table.select(list(dict.fromkeys(places.values()))).to_pylist()
    except (ValueError, OverflowError) as error:  # a text that is no UTF-8, a date that Python does not have
        raise DataError(f"'{file}' must hold cells that can be read: {error}.") from error
    return [
        (line, {name: _plain(row[place]) for name, place in places.items()}) for line, row in enumerate(rows, start=1)
    ], ()


def columns(file: Path) -> list[str]:
    """The names of the columns."""
    return _table(file)[1]


def _plain(cell: object) -> object:
    return cell if isinstance(cell, PLAIN) else str(cell)


def _table(file: Path) -> tuple[Any, list[str]]:
    """The table, and the names of its columns."""
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(file)
        return table, list(table.column_names)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:  # names of columns are UTF-8 too
        raise DataError(f"'{file}' must be a parquet table: {error}.") from error
