"""Texts as they are read: decoded strictly, empty ones and repeats found, nothing repaired in silence."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tljax.errors import DataError
from tljax.types import Dataset, Info

SHOWN = 10  # faults of one kind in an error


@dataclasses.dataclass(frozen=True)
class Row:
    """One example as a file gives it: a text, or a pair of them, and the name of its class."""

    text: str
    pair: str  # "" where examples are single texts
    label: str
    id: str  # where it stands, for people: "reviews.csv:12"


class Texts:
    """The examples of one split. `split[i]` is `{"text": str, "pair": str, "label": int, "id": str}`."""

    def __init__(self, rows: Sequence[Row], classes: Sequence[str]) -> None:
        """Every label must be one of `classes`."""
        numbers = {name: i for i, name in enumerate(classes)}
        self.rows = tuple(rows)
        self.labels = np.array([numbers[row.label] for row in rows], np.int32)

    @property
    def files(self) -> list[str]:
        """What people call each example."""
        return [row.id for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self.rows[index]
        return {"text": row.text, "pair": row.pair, "label": int(self.labels[index]), "id": row.id}


def read(path: Path, encoding: str = "utf-8") -> str:
    """The text of a file, without its byte order mark; line ends stay as they are.

    Raises:
      DataError: it cannot be read, is not in `encoding`, or holds a NUL, as binary files and UTF-16 do.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"Texts must be readable; '{path}' is not: {error.strerror or error}.") from error
    try:
        text = raw.decode(encoding)
    except LookupError as error:
        raise DataError(
            f"config.data.encoding must be an encoding of Python, such as utf-8; got '{encoding}'."
        ) from error
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise DataError(
            f"Texts must be {encoding}; '{path}' is not: byte 0x{raw[error.start]:02x} in line {line}. "
            f"Convert the file, or set config.data.encoding (latin-1, cp1252, utf-16 ...)."
        ) from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise DataError(
            f"Texts must not hold NUL characters; '{path}' does, in line {line}: a binary file, or one in utf-16. "
            f"Set config.data.encoding, or remove them."
        )
    return text.removeprefix("\ufeff")


def dataset(splits: Mapping[str, Sequence[Row]], source: str, config: Any) -> Dataset:
    """Splits of rows as a data set; classes are the labels' names, sorted, bound to numbers by name.

    Args:
      config: the data's own: `unreadable` decides on empty texts, `duplicates` on repeated ones, `splits.train`
        and `fractions` on where every class must appear.

    Raises:
      DataError: nothing is left, an empty text (all are listed), or a class that training lacks.
    """
    kept, skipped = _without_empty(splits, source, skip=config.unreadable == "skip")
    if config.duplicates == "remove":
        kept, repeats = _without_repeats(kept, config.splits.train)
        skipped += repeats
    if not any(kept.values()):
        raise DataError(f"'{source}' must hold texts; it holds none.")
    classes = _classes(kept, source, "" if config.fractions else config.splits.train)
    return Dataset({name: Texts(rows, classes) for name, rows in kept.items()}, Info(classes, source, tuple(skipped)))


def repeated(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """The rows whose text, spaces and case apart, comes more than once; by that text."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(_key(row), []).append(row)
    return {key: same for key, same in found.items() if len(same) > 1}


def _key(row: Row) -> str:
    return "\0".join(" ".join(text.lower().split()) for text in (row.text, row.pair))


def _without_empty(
    splits: Mapping[str, Sequence[Row]], source: str, *, skip: bool
) -> tuple[dict[str, list[Row]], list[str]]:
    empty = [row.id for rows in splits.values() for row in rows if not row.text.strip()]
    if empty and not skip:
        more = f", and {len(empty) - SHOWN} more" if len(empty) > SHOWN else ""
        raise DataError(
            f"Every text in '{source}' must hold more than spaces; {len(empty)} do not: "
            f"{', '.join(empty[:SHOWN])}{more}. Remove them, or set config.data.unreadable=skip to leave them out, "
            f"counted and listed."
        )
    kept = {name: [row for row in rows if row.text.strip()] for name, rows in splits.items()}
    return kept, [f"{place}: an empty text" for place in empty]


def _without_repeats(splits: Mapping[str, Sequence[Row]], train: str) -> tuple[dict[str, list[Row]], list[str]]:
    """The first of every text over all splits, `train` the last of them, so that a test part keeps its own.

    None stays of a text whose labels contradict each other.
    """
    drop: dict[str, str] = {}
    order = sorted(splits, key=lambda name: name == train)
    for same in repeated(row for name in order for row in splits[name]).values():
        labels = sorted({row.label for row in same})
        if len(labels) > 1:
            drop |= {row.id: f"the same text is labelled {' and '.join(labels)}" for row in same}
        else:
            drop |= {row.id: f"repeats {same[0].id}" for row in same[1:]}
    kept = {name: [row for row in rows if row.id not in drop] for name, rows in splits.items()}
    return kept, [f"{place}: {why}" for place, why in drop.items()]


def _classes(splits: Mapping[str, Sequence[Row]], source: str, train: str) -> tuple[str, ...]:
    names = {name: {row.label for row in rows} for name, rows in splits.items()}
    known = names.get(train) or {label for labels in names.values() for label in labels}
    unseen = [f"{name}: {label}" for name, labels in names.items() for label in sorted(labels - known)]
    if unseen:
        raise DataError(
            f"Every class must be in the training split '{train}' of '{source}' ({', '.join(sorted(known))}); "
            f"only elsewhere: {', '.join(unseen)}. Rename or remove these examples, or add training examples."
        )
    return tuple(sorted(known, key=_natural))


def _natural(label: str) -> tuple[bool, float, str]:
    """Numbers in their order and before words: 2 comes before 10."""
    number = label.removeprefix("-").replace(".", "", 1).isdecimal()
    return not number, float(label) if number else 0.0, label
