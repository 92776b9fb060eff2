"""Rows of tables with their labels, for `text_csv` and `picture_table`."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from tljax.core.errors import DataError
from tljax.core.options import STRINGS, Option, Options, Rule, one_of
from tljax.core.types import Json
from tljax.data import labels, spelling, tables, texts
from tljax.data.parts import splits
from tljax.data.table import columns
from tljax.data.tables import SUFFIXES
from tljax.data.texts import Row

LABEL_KIND = one_of("classes", "numbers", "sets", "none")
SEPARATOR: Rule = ("a text that is no space", lambda x: bool(x.strip()))
DELIMITER: Rule = ("'', tab, or one character", lambda x: len(x) <= 1 or x in ("tab", r"\t"))
MISSING = ("nan", "NaN", "NAN", "NaT", "<NA>", "NA", "N/A", "n/a", "#N/A", "null", "NULL", "None")
OPTIONS: Options = {
    "dir": Option("", "The folder of tables."),
    "encoding": texts.ENCODING_OPTION,
    "columns.label": Option("label", 'The column of the label; for numbers and sets several, "a,b".'),
    "columns.split": Option("", "The column with the split of each row; '': no such column."),
    "labels": Option("classes", "The kind of labels: classes (one per row), numbers, sets or none.", LABEL_KIND),
    "missing": Option(MISSING, "Cells that count as empty, as pandas writes them; (): none.", STRINGS),
    "delimiter": Option("", "The character between fields; '': tab in .tsv, else by the header.", DELIMITER),
    "header": Option((), "Names of all columns, if the first line of a table is not a header.", STRINGS),
    "decimal": Option("", 'Format of numbers: "," reads 0,5 and 1.000,5; "." reads 1,000.5.', one_of("", ".", ",")),
    "separator": Option("|", "The character between the labels of a set in one column.", SEPARATOR),
    "quotes": Option(True, "Fields may be in double quotes; false: quotes are part of the texts."),
}


class LabelledRows(NamedTuple):
    """The rows of all splits."""

    root: Path
    splits: dict[str, list[Row]]
    classes: tuple[str, ...]  # the columns' names, if columns stand for classes; else ()
    notes: tuple[str, ...]  # findings, for the user
    skipped: tuple[str, ...]  # "place: reason" for rows that are left out
    unread: tuple[str, ...]  # other splits


def read(config: ConfigDict, example: str, pair: str = "", *, what: str) -> LabelledRows:
    """The rows of the table `data.dir`, or of all tables in that folder that the config names.

    Every table is a split with its own name. A single file is the split "all", or has the splits in `columns.split`.

    Args:
      example: the column of the text or of the picture's path; `pair`: of the second text.
      what: "texts" or "pictures".

    Raises:
      DataError: no such file, one of another suffix, what is no text or no label (the first are listed with their
        rows), numbers that are taken for classes; see also `tables.read`.
    """
    root = Path(config.dir).expanduser()
    files = [root] if root.is_file() else sorted(path for path in root.glob("[!.]*") if path.suffix.lower() in SUFFIXES)
    if not config.dir or not files:
        raise DataError(
            f"Tables: no {', '.join(SUFFIXES)} in '{root if config.dir else ''}'. Set config.data.dir to a folder "
            f"with, for example, train.csv and test.csv, or to one file, with config.data.fractions to divide it."
        )
    if root.suffix.lower() not in SUFFIXES and root.is_file():
        raise DataError(
            f"A table must end in {', '.join(SUFFIXES)}, which says how it is written; got '{root}'. Rename it; of a "
            f".json file with one array write each object on a line of a .jsonl file."
        )
    names = ["all" if root.is_file() else file.stem for file in files]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise DataError(f"Every split must be in one table; '{root}' holds several called '{twice[0]}'.")
    used = names if config.columns.split else splits.used(names, config)
    tables_ = {
        name: _rows(file, config, example, pair, what) for name, file in zip(names, files, strict=True) if name in used
    }
    named = labels.columns(config.labels, config.columns.label)
    parts = {name: [row for row, _ in rows] for name, (rows, _, _) in tables_.items()}
    if config.columns.split:
        parts, names = _by_column([pair for rows, _, _ in tables_.values() for pair in rows], config)
    return LabelledRows(
        root,
        parts,
        named if config.labels == "numbers" or len(named) > 1 else (),
        tuple(note for _, notes, _ in tables_.values() for note in notes),
        tuple(line for _, _, skipped in tables_.values() for line in skipped),
        tuple(name for name in names if name not in parts),
    )


def _by_column(rows: Sequence[tuple[Row, str]], config: ConfigDict) -> tuple[dict[str, list[Row]], list[str]]:
    """The rows of those splits that the config names, by `columns.split`, and the names of all splits."""
    names = list(dict.fromkeys(part for _, part in rows))
    used = splits.used(names, config)
    return {name: [row for row, part in rows if part == name] for name in used}, names


Rows = tuple[list[tuple[Row, str]], tuple[str, ...], list[str]]  # rows with their splits, notes, what is left out


def _rows(file: Path, config: ConfigDict, example: str, pair: str, what: str) -> Rows:
    named, split = labels.columns(config.labels, config.columns.label), config.columns.split
    needed = [example, *filter(None, (pair, config.group, split)), *named]
    records, notes = tables.read(file, config, list(dict.fromkeys(needed)))
    rows, faults, kept = [], [], []
    for line, record in records:
        try:
            part = str(record[split]).strip() if split else ""
            rows.append((_row(record, f"{file}:{line}", named, config, example, pair), part))
            kept.append((line, record))
        except ValueError as error:
            faults.append(f"{file}:{line}: {error}")
    if faults and (config.unreadable != "skip" or len(faults) > len(records) / 2):
        more = f"\n  and {len(faults) - labels.ROWS} more" if len(faults) > labels.ROWS else ""
        cells = [str(record[name]).strip() for _, record in records for name in named]
        commas = (
            config.labels == "numbers" and any("," in x and spelling.is_number(x) for x in cells) and not config.decimal
        )
        hint = f" {labels.DECIMAL}" if commas else ""
        raise DataError(
            f"Every row must have {what}, and labels that are {config.labels} (config.data.labels); {len(faults)} of "
            f"'{file}' do not:\n  "
            + "\n  ".join(faults[: labels.ROWS])
            + f"{more}\nCorrect or remove these rows.{hint}"
        )
    if config.labels == "classes":
        _refuse_truth_and_words(file, [(line, record[named[0]]) for line, record in kept])
        _refuse_numbers(file, [row.label for row, _ in rows])
    if config.labels == "sets" and len(named) == 1:
        _refuse_other_separator(file, [record[named[0]] for _, record in kept], config.separator)
    return rows, notes, faults


def _row(record: Json, where: str, named: Sequence[str], config: ConfigDict, example: str, pair: str) -> Row:
    """One example; ValueError if a cell is not valid."""

    def text(name: str) -> str:
        value = record[name] if name else ""
        if value is None or value != value or value in config.missing:
            return ""  # as a cell that is empty; `texts.dataset` decides about them
        if not isinstance(value, str):
            raise ValueError(f"'{name}' must be a text; it is {columns.fault(value) or f'{value} (a number)'}")
        return value

    cells = {name: _label(name, record[name], config) for name in named}
    group = record[config.group] if config.group else ""
    if config.group and (columns.fault(group) or not str(group).strip() or group in config.missing):
        raise ValueError(f"'{config.group}' (config.data.group) must say to whom the row belongs; it is {group!r}")
    label = labels.parse(config.labels, cells, config.separator, decimal=config.decimal)
    return Row(text(example), text(pair), label, where, str(group))


def _label(name: str, value: object, config: ConfigDict) -> object:
    """A cell for `labels.parse`: numbers, true and (for sets) lists of JSON become text."""
    if isinstance(value, str):
        if value in config.missing:
            raise ValueError(f"'{name}' must hold a label; it is {value!r}, which config.data.missing says is none")
        return value
    truth = isinstance(value, bool) and config.labels != "numbers"
    sets = isinstance(value, list) and config.labels == "sets"
    if (fault := columns.fault(value)) and not (truth or sets):
        raise ValueError(f"'{name}' must hold a label; it is {fault}")
    return value if config.labels == "numbers" else json.dumps(value)


def _refuse_truth_and_words(file: Path, cells: Sequence[tuple[int, object]]) -> None:
    """Refuse JSON's true beside "true" or 1 in one column: they look like one class, but would be two."""
    truth = [line for line, value in cells if isinstance(value, bool)]
    if truth and len(truth) < len(cells):
        line, value = next((line, value) for line, value in cells if not isinstance(value, bool))
        raise DataError(
            f"Labels of one column must all be true or false, or none; in '{file}' that of line {truth[0]} is, and "
            f"that of line {line} is {json.dumps(value)}. Write all of them alike."
        )


def _refuse_numbers(file: Path, found: Sequence[str]) -> None:
    """Refuse measured numbers as classes: all labels are numbers, some have a fraction, most occur once."""
    commas = [x for x in found if "," in x]
    if not all(spelling.COMMAS.fullmatch(x.strip()) or spelling.is_number(x) for x in found):
        return
    if len(set(found)) > max(len(found) / 2, 4) and (commas or any(re.search(r"\.\d*[1-9]", x) for x in found)):
        decimal = " and config.data.decimal (',' where a comma stands before the fraction, '.' where it stands between "
        raise DataError(
            f"Labels that are classes must stand for more than one row; those of '{file}' are numbers, "
            f"{len(set(found))} different ones in {len(found)} rows ({found[0]!r}, {found[1]!r} ...). "
            f"Set config.data.labels=numbers"
            + (f"{decimal}thousands)" if commas else "")
            + ", with config.task.name=regression."
        )


def _refuse_other_separator(file: Path, cells: Sequence[object], separator: str) -> None:
    """Refuse sets if no cell holds `data.separator`, but some hold another usual separator."""
    written = [cell for cell in cells if isinstance(cell, str) and not cell.startswith("[")]
    if any(separator in cell for cell in written):
        return
    for other in (",", ";", "|", "/"):
        if some := [cell for cell in written if other in cell.strip(other)]:
            raise DataError(
                f"Labels of a set must have config.data.separator between them; in '{file}' {separator!r} stands in no "
                f"cell, and {other!r} in {len(some)} of {len(cells)} ({some[0]!r}). Set config.data.separator="
                f"'{other}'; where it is part of a name, write the sets as lists of JSON: [\"a{other} b\"]."
            )
