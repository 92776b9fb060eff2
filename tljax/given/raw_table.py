"""Read a table whose columns are not known yet, and find the keys with which `tables` reads it in the same way."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tljax.core.errors import DataError
from tljax.data import tables, texts
from tljax.data.table import parquet
from tljax.data.table.columns import LINES
from tljax.given.found import Changes

ENCODINGS = ("utf-8", "utf-16", "cp1252", "latin-1")  # tried in this order
LOOKED_AT = 500  # the delimiter is chosen by this many rows
SENTENCE = 6  # a cell of the first line with this many words is a text, not a name of a column
Cell = str | int | float | bool | None | list[object] | dict[str, object]


class Raw(NamedTuple):
    """The cells of a table."""

    names: tuple[str, ...]
    rows: tuple[dict[str, Cell], ...]
    changes: Changes  # keys of the config's data section, whole: "data.encoding"
    notes: tuple[str, ...]


def read(file: Path, known: Sequence[str]) -> Raw:
    """All rows.

    Args:
      known: names of columns; a first line with one of these is a header.

    Raises:
      DataError: the file is not a table, or is empty.
    """
    suffix = file.suffix.lower()
    if suffix == parquet.SUFFIX:
        names = parquet.columns(file)
        rows, _ = parquet.read(file, names)
        return Raw(tuple(names), tuple(row for _, row in rows), {}, ())
    content, changes, notes = _decoded(file)
    if suffix == ".jsonl":
        rows = tuple(_objects(content, file))
        return Raw(tuple(dict.fromkeys(name for row in rows for name in row)), rows, changes, notes)
    lines, more, said = _fields(file, content)
    header, body = lines[0], lines[1:]
    if _is_row(header, body, known):
        header, body = [f"column{number}" for number in range(1, len(header) + 1)], lines
        more["data.header"] = tuple(header)
        said += (f"table: its first line is a row already, so its columns are called {', '.join(header)}",)
    # What tables.read finds out by itself (another case, spaces) needs no key.
    cells: tuple[dict[str, Cell], ...] = tuple(
        dict(zip((name.strip() for name in header), row, strict=False)) for row in body
    )
    return Raw(tuple(name.strip() for name in header), cells, changes | more, notes + said)


def _decoded(file: Path) -> tuple[str, Changes, tuple[str, ...]]:
    raw = file.read_bytes()
    for encoding in ENCODINGS:
        if encoding == "utf-16" and not raw.startswith((b"\xff\xfe", b"\xfe\xff")):
            continue
        try:
            content = texts.decode(raw, str(file), encoding)
        except DataError:
            continue
        changes: Changes = {} if encoding == "utf-8" else {"data.encoding": encoding}
        return content, changes, (f"table: it is no UTF-8, so it is read as {encoding}",) if changes else ()
    return texts.decode(raw, str(file)), {}, ()  # says what is wrong


def _objects(content: str, file: Path) -> Iterator[dict[str, Cell]]:
    for number, line in enumerate(LINES.split(content), start=1):
        try:
            row = json.loads(line) if line.strip() else None
        except (ValueError, RecursionError) as error:
            raise DataError(f"Every line of '{file}' must be JSON; line {number} is not: {error}.") from error
        if isinstance(row, dict):
            yield row
        elif row is not None:
            raise DataError(f"Every line of '{file}' must be a JSON object; line {number} is {line[:40]!r}.")


def _fields(file: Path, content: str) -> tuple[list[list[str]], Changes, tuple[str, ...]]:
    """The fields of every line, with the delimiter and the quoting that give most lines the same number of fields."""
    own = tables.DELIMITERS[file.suffix.lower()]
    if mark := re.match("sep=(.)(\r\n|\r|\n)", content):  # Excel's own line, which tables.read knows
        content, own = content[mark.end() :], mark[1]
    best: tuple[float, str, bool] = (-1.0, own, True)
    for delimiter in dict.fromkeys((own, *tables.OTHERS)):
        for quotes in (True, False):
            score = _even(_parsed(content, delimiter, quotes=quotes, most=LOOKED_AT))
            best = max(best, (score, delimiter, quotes), key=lambda one: one[0])
    score, delimiter, quotes = best
    lines = _parsed(content, delimiter, quotes=quotes)
    if not lines:
        raise DataError(f"'{file}' must begin with a line of column names; it is empty.")
    changes: Changes = {} if delimiter == own else {"data.delimiter": "tab" if delimiter == "\t" else delimiter}
    notes = (f"table: fields are separated by {delimiter!r}",) if changes else ()
    if not quotes:
        changes["data.quotes"] = False
        notes += ("table: quotes are part of the texts, for around fields they do not fit",)
    return lines, changes, notes


def _parsed(content: str, delimiter: str, *, quotes: bool, most: int = 0) -> list[list[str]]:
    """The lines that are not blank; [] if the quotes do not fit."""
    quoting = csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    found: list[list[str]] = []
    try:
        for row in reader:
            if row:
                found.append(row)
            if most and len(found) >= most:
                break
    except csv.Error:
        return []
    return found


def _even(lines: Sequence[Sequence[str]]) -> float:
    """The share of lines with as many fields as the first line; below 0 if there is only one field."""
    if not lines:
        return -1.0
    width = len(lines[0])
    share = sum(len(line) == width for line in lines) / len(lines)
    return share if width > 1 else share - 1.5


def _is_row(first: Sequence[str], rest: Sequence[Sequence[str]], known: Sequence[str]) -> bool:
    """Whether the first line is not a header: one of its cells is a sentence or a number, or repeats in its column."""
    cells = [cell.strip() for cell in first]
    if not rest or any(cell.lower() in known for cell in cells):
        return False
    if any(len(cell.split()) >= SENTENCE for cell in cells) or len(set(cells)) < len(cells):
        return True
    for place, cell in enumerate(cells):
        below = Counter(row[place].strip() for row in rest if place < len(row))
        if cell and below[cell] > 1 and len(below) <= len(rest) / 2:
            return True
    return False
