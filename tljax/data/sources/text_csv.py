"""Texts in tables: `.csv`, `.tsv` or `.jsonl` with named columns, for one text or a pair (GLUE style)."""

import csv
import difflib
import io
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tljax.core.errors import DataError
from tljax.core.types import Dataset
from tljax.data import labels, texts
from tljax.data.texts import Row

DELIMITERS = {".csv": ",", ".tsv": "\t"}
SUFFIXES = (*DELIMITERS, ".jsonl")
UNQUOTED = "Where quotes are part of the texts, as in GLUE's tables, set config.data.quotes=false."
csv.field_size_limit(sys.maxsize)  # a text may be longer than csv's 128 KiB


def load(config: Any) -> Dataset:
    """Every table in the folder `data.dir` is a split under its own name; a single file is the split "all".

    `data.columns` names the columns, and `data.labels` says what their label is: a class; a number a column; or a
    set, of which one column holds the names (a JSON list, or with `data.separator` between) or every column 0 or 1.
    Quoted fields may hold line ends; where `data.quotes` is off, quotes are part of the texts.

    Raises:
      DataError: no such file, one of another suffix, a column that is missing (with the nearest name), empty (null)
        or there twice, a row with too many or too few fields, a line that is no JSON object, labels that are no
        numbers, or neither 0 nor 1 (the first are listed); see also `texts.read` and `texts.dataset`.
    """
    root = Path(config.dir).expanduser()
    files = [root] if root.is_file() else sorted(path for path in root.glob("*") if path.suffix.lower() in SUFFIXES)
    if not config.dir or not files:
        raise DataError(
            f"Tables: no {', '.join(SUFFIXES)} in '{root if config.dir else ''}'. Set config.data.dir to a folder "
            f"with, for example, train.csv and test.csv, or to one file, with config.data.fractions to divide it."
        )
    if root.suffix.lower() not in SUFFIXES and root.is_file():
        raise DataError(
            f"A table must end in {', '.join(SUFFIXES)}, which says how it is written; got '{root}'. Rename it."
        )
    splits: dict[str, list[Row]] = {}
    for file in files:
        name = "all" if root.is_file() else file.stem
        if name in splits:
            raise DataError(f"Every split must be in one table; '{root}' holds several called '{name}'.")
        splits[name] = _rows(file, config)
    named = labels.columns(config.labels, config.columns.label)
    known = named if config.labels == "numbers" or len(named) > 1 else ()
    pairs = bool(config.columns.pair)
    return texts.dataset(splits, str(root), config, kind=config.labels, classes=known, pairs=pairs)


def _rows(file: Path, config: Any) -> list[Row]:
    content = texts.read(file, config.encoding)
    records = (
        _json_lines(file, content) if file.suffix.lower() == ".jsonl" else _table(file, content, quotes=config.quotes)
    )
    named = labels.columns(config.labels, config.columns.label)
    rows, faults = [], []
    for line, record in records:
        where = f"{file}:{line}"
        text = _cell(record, config.columns.text, where)
        pair = _cell(record, config.columns.pair, where) if config.columns.pair else ""
        cells = {name: _cell(record, name, where) for name in named}
        try:
            rows.append(Row(text, pair, labels.parse(config.labels, cells, config.separator), where))
        except ValueError as error:
            faults.append(f"{where}: {error}")
    if faults:
        more = f"\n  and {len(faults) - labels.SHOWN} more" if len(faults) > labels.SHOWN else ""
        raise DataError(
            f"Labels must be {config.labels} (config.data.labels); {len(faults)} of '{file}' are not:\n  "
            + "\n  ".join(faults[: labels.SHOWN])
            + f"{more}\nCorrect or remove these rows."
        )
    return rows


def _table(file: Path, content: str, *, quotes: bool) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """(line, column -> cell) of every row."""
    delimiter, quoting = DELIMITERS[file.suffix.lower()], csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    header = next(reader, None)
    if header is None:
        raise DataError(f"'{file}' must begin with a line of column names; it is empty.")
    if twice := [name for name in dict.fromkeys(header) if name and header.count(name) > 1]:
        raise DataError(f"The columns of '{file}' must have different names; twice: {', '.join(twice)}. Rename them.")
    begin = reader.line_num + 1
    try:
        for cells in reader:
            if cells and len(cells) != len(header):
                raise DataError(
                    f"Every row of '{file}' must have the {len(header)} fields of its header ({', '.join(header)}); "
                    f"the one at line {begin} has {len(cells)}. Quote fields that hold the delimiter or a line end."
                )
            if delimiter == "\t" and any("\t" in cell and "\n" in cell for cell in cells):
                raise DataError(
                    f"No field in quotes may hold tabs and line ends, which are other rows, it seems; one at line "
                    f"{begin} of '{file}' does. {UNQUOTED}"
                )
            if cells:
                yield begin, dict(zip(header, cells, strict=True))
            begin = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"'{file}' must be a table with quoted fields closed; at line {begin}: {error}. {UNQUOTED}"
        ) from error


def _json_lines(file: Path, content: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(content.split("\n"), start=1):  # splitlines would cut at U+2028 too
        if not line.strip():
            continue
        try:
            record = json.loads(line, object_pairs_hook=labels.once)
        except (ValueError, RecursionError) as error:
            raise DataError(f"Every line of '{file}' must be JSON; line {number} is not: {error}.") from error
        if not isinstance(record, dict):
            raise DataError(f"Every line of '{file}' must be a JSON object; line {number} is {line[:40]!r}.")
        yield number, record


def _cell(record: Mapping[str, Any], name: str, where: str) -> str:
    if record.get(name) is not None:
        value = record[name]
        return value if isinstance(value, str) else json.dumps(value)  # a label may be a number or true
    if name in record:
        raise DataError(f"{where} must hold something in the column '{name}'; it holds null. Remove the row.")
    close = difflib.get_close_matches(name, record, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    raise DataError(f"{where} must have the column '{name}' (config.data.columns); it has {', '.join(record)}.{hint}")
