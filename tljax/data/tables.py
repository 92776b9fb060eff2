"""Tables as rows of named cells: fields with a delimiter (comma, tab, another character), or a JSON object per line."""

import csv
import io
import itertools
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ml_collections import ConfigDict

from tljax.core.errors import DataError
from tljax.data import labels, spelling, texts
from tljax.data.table import json_lines, parquet
from tljax.data.table.columns import LINES, Rows, column, missing

DELIMITERS = {".csv": ",", ".tsv": "\t"}
SUFFIXES = (*DELIMITERS, ".jsonl", parquet.SUFFIX)
OTHERS = (",", ";", "\t", "|")  # delimiters that are tried where the file's own leaves no column of the config
UNQUOTED = "Where quotes are part of the texts, as in GLUE's tables, set config.data.quotes=false."
csv.field_size_limit(sys.maxsize)  # a text may be longer than csv's 128 KiB


def read(file: Path, config: ConfigDict, columns: Sequence[str]) -> tuple[Rows, tuple[str, ...]]:
    """The rows of a table, with the cells of `columns` only, and notes for the user.

    Cells are texts; from JSON they keep their type. A column whose name differs in case or spaces is found too, with a
    note.

    Raises:
      DataError: a column that is missing (with the nearest name) or there twice, a row with too many or too few
        fields, rows inside of quotes, a line that is no JSON object; see also `texts.read`.
    """
    if file.suffix.lower() == parquet.SUFFIX:
        return parquet.read(file, columns)
    content = texts.read(file, config.encoding)
    if file.suffix.lower() == ".jsonl":
        return json_lines.read(file, content, columns)
    if mark := re.match("sep=(.)(\r\n|\r|\n)", content):  # Excel's own line
        content = "\n" + content[mark.end() :]
    delimiter = {"tab": "\t", r"\t": "\t"}.get(config.delimiter, config.delimiter) or (mark[1] if mark else "")
    delimiter, names, notes = _header(file, content, config.header, delimiter, columns)
    if config.header and _is_header(content, names, delimiter):
        notes += (f"{file.name}: its first line is the header that config.data.header gives, and no row",)
    try:
        rows = _delimited(file, content, delimiter, names, columns, config, quotes=config.quotes)
    except DataError as error:
        if delimiter != "\t" or not config.quotes:  # the format tab-separated-values has no quotes around fields
            raise
        try:
            rows = _delimited(file, content, delimiter, names, columns, config, quotes=False)
        except DataError:
            raise error from None
        notes += (f"{file.name}: quotes are read as part of the texts (config.data.quotes=false), for around fields "
                  f"they do not fit",)  # fmt: skip
    if delimiter == ";":
        _refuse_points(file, rows, config)
    if any(name != name.strip() for name in names):
        rows = [(line, {name: cell.strip() for name, cell in row.items()}) for line, row in rows]
        notes += (f"{file.name}: spaces around names of columns, and so around all fields, are left out",)
    return rows, notes


def _refuse_points(file: Path, rows: Rows, config: ConfigDict) -> None:
    """Refuse numbers whose point may stand before a fraction or between thousands.

    A ';' separates fields where the comma stands before a fraction: there 3.512 may be 3512.
    """
    if config.labels != "numbers" or config.decimal:
        return
    for name in labels.columns(config.labels, config.columns.label):
        cells = [cell for _, row in rows if "." in (cell := row[name].strip())]
        if cells and all(map(spelling.MAY_BE_THOUSANDS.fullmatch, cells)):
            raise DataError(
                f"Numbers must show what a point in them means; in '{file}', whose fields are separated by ';', those "
                f"of '{name}' may be thousands or fractions: {labels.cut(list(dict.fromkeys(cells))[:3])}. Set config."
                f"data.decimal: ',' where {cells[0]} is {cells[0].replace('.', '')}, '.' where it has a fraction."
            )


def _header(
    file: Path, content: str, given: Sequence[str], delimiter: str, columns: Sequence[str]
) -> tuple[str, list[str], tuple[str, ...]]:
    """(delimiter, names of the columns in the file, notes)."""
    own = DELIMITERS[file.suffix.lower()]
    line = next((line for line in LINES.split(content) if line.strip()), "")
    if not line:
        raise DataError(f"'{file}' must begin with a line of column names; it is empty.")
    found = own
    for found in (delimiter,) if delimiter else (own, *(d for d in OTHERS if d != own)):
        fields = next(csv.reader([line], delimiter=found))
        names = list(given) or fields
        fits = len(fields) == len(given) if given else all(column(name, names) is not None for name in columns)
        if fits:
            break
    else:
        found = delimiter or own
        fields = next(csv.reader([line], delimiter=found))
        names = list(given) or fields
    if twice := [name for name in dict.fromkeys(names) if name.strip() and names.count(name) > 1]:
        raise DataError(f"The columns of '{file}' must have different names; twice: {', '.join(twice)}. Rename them.")
    if lost := [name for name in columns if column(name, names) is None]:
        raise DataError(
            f"'{file}' {missing(lost[0], names)} Where its first line is a row already, name all columns with "
            f"config.data.header; where other characters separate fields, set config.data.delimiter."
        )
    notes = [f"{file.name}: fields are separated by {found!r} (config.data.delimiter)"] if found != own else []
    notes += [
        f"{file.name}: its column {other!r} is read as '{name}'"
        for name in columns
        if (other := column(name, names)) != name and other is not None and other.strip() != name
    ]
    return found, names, tuple(notes)


def _is_header(content: str, names: Sequence[str], delimiter: str) -> bool:
    """Whether the first line holds the names of the columns."""
    line = next((line for line in LINES.split(content) if line.strip()), "")
    cells = next(csv.reader([line], delimiter=delimiter), [])
    return [spelling.key(cell) for cell in cells] == [spelling.key(name) for name in names]


def _delimited(
    file: Path,
    content: str,
    delimiter: str,
    names: Sequence[str],
    columns: Sequence[str],
    config: ConfigDict,
    *,
    quotes: bool,
) -> Rows:
    """Every row below the header."""
    places = {name: list(names).index(str(column(name, names))) for name in columns}
    rows, ends = [], []
    records = _records(file, content, delimiter, quotes=quotes)
    first = 0 if config.header and not _is_header(content, names, delimiter) else 1
    for begin, end, cells in itertools.islice(records, first, None):
        if len(cells) != len(names):
            raise DataError(
                f"Every row of '{file}' must have the {len(names)} fields of its header ({', '.join(names)}); "
                f"the one at line {begin} has {len(cells)}. Quote fields that hold the delimiter or a line end."
            )
        rows.append((begin, {name: cells[place] for name, place in places.items()}))
        ends.append(end)
    _refuse_swallowed(file, LINES.split(content), rows, ends, delimiter, places, len(names), config)
    return rows


def _records(file: Path, content: str, delimiter: str, *, quotes: bool) -> Iterator[tuple[int, int, list[str]]]:
    """(first line, last line, fields) of every line or lines that are not blank."""
    quoting = csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    begin = 1
    try:
        for cells in reader:
            if cells:
                yield begin, reader.line_num, cells
            begin = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"'{file}' must be a table with quoted fields closed; at line {begin}: {error}. {UNQUOTED}"
        ) from error


def _refuse_swallowed(
    file: Path, lines: Sequence[str], rows: Rows, ends: Sequence[int], delimiter: str, places: Mapping[str, int],
    width: int, config: ConfigDict,
) -> None:  # fmt: skip
    """Raise DataError if a row of several lines looks like several rows: each line is a whole row by itself, and most
    of them have a label of other rows. Then a quote that is not closed has joined these rows.
    """
    named = labels.columns(config.labels, config.columns.label)
    single = {tuple(row[name] for name in named) for (begin, row), end in zip(rows, ends, strict=True) if begin == end}

    def known(cells: Sequence[str]) -> bool:
        label = tuple(cells[places[name]].strip('"') for name in named)
        numbers = config.labels == "numbers" and all(any(c.isdecimal() for c in cell) for cell in label)
        return label in single or numbers or not single

    for (begin, _), end in zip(rows, ends, strict=True):
        every = [line.split(delimiter) for line in lines[begin - 1 : end]]
        whole = width > 1 and all(len(cells) == width for cells in every)
        if end > begin and whole and sum(map(known, every)) > len(every) / 2:
            raise DataError(
                f"No quotes may stand around several rows; in '{file}' the lines {begin} to {end} are one row, and "
                f"each of them is a whole row by itself, so a quote in line {begin} has no partner there. Close it or "
                f"remove it. {UNQUOTED}"
            )
