"""Read texts: decode strictly, find empty and repeated texts, repair nothing silently."""

import codecs
import dataclasses
import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ml_collections import ConfigDict

from tljax.core.errors import DataError
from tljax.core.options import Option, Rule
from tljax.core.types import Dataset, Info, Record
from tljax.data import labels, spelling
from tljax.data.labels import Label

SHOWN = 10  # faults of one kind in an error


def _is_encoding(name: str) -> bool:
    try:
        "".encode(name)
    except (LookupError, ValueError):
        return False
    return True


IS_ENCODING: Rule = ("an encoding of Python, such as utf-8, latin-1 or utf-16", _is_encoding)
ENCODING = "config.data.encoding"  # the key of the encoding
ENCODING_OPTION = Option("utf-8", "The encoding of the texts, by its name in Python.", IS_ENCODING)
MOST_BYTES = 128  # beyond ASCII; an encoding of one byte a character has one for most of them
STRANGE = re.compile("[\0\ud800-\udfff]")  # NUL, and lone surrogates, which Python makes of undecodable bytes


@dataclasses.dataclass(frozen=True)
class Row:
    """One example from a file: a text, or a pair of texts, and its label."""

    text: str
    pair: str  # "" if examples are single texts
    label: Label
    id: str  # its place, for the user: "reviews.csv:12"
    group: str = ""  # its group, if `data.group` names a column


class Texts:
    """The examples of one split. `split[i]` is `{"text": str, "pair": str, "label": ..., "id": str}`."""

    def __init__(self, rows: Sequence[Row], classes: Sequence[str], kind: str = "classes") -> None:
        """Every label must be of this kind (`Info.labels`); a class must be in `classes`."""
        self.rows = tuple(rows)
        self.labels = labels.encode([row.label for row in rows], kind, classes)

    @functools.cached_property
    def files(self) -> list[str]:
        """The name of each example, for the user."""
        return [row.id for row in self.rows]

    @functools.cached_property
    def groups(self) -> list[str]:
        """The group of each example, if the source has groups; else empty."""
        return [row.group for row in self.rows] if any(row.group for row in self.rows) else []

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Record:
        row = self.rows[index]
        return {"text": row.text, "pair": row.pair, "label": self.labels[index], "id": row.id}


def read(path: Path, encoding: str = "utf-8", *, key: str = ENCODING) -> str:
    """The text of a file, without its byte order mark; line ends stay as they are.

    Args:
      key: the key of the encoding, for the error.

    Raises:
      DataError: the file cannot be read, is not in `encoding`, or holds a NUL, as binary files and UTF-16 do.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"Texts must be readable; '{path}' is not: {error.strerror or error}.") from error
    return decode(raw, str(path), encoding, key=key)


def decode(raw: bytes, name: str, encoding: str = "utf-8", *, key: str = ENCODING) -> str:
    """The text of bytes; `name` is for the error. See `read`."""
    try:
        text = raw.decode(encoding)
    except LookupError as error:
        raise DataError(f"{key} must be an encoding of Python, such as utf-8; got '{encoding}'.") from error
    except UnicodeDecodeError as error:
        if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise DataError(
                f"Texts must be {encoding}; '{name}' is utf-16, as Excel saves it: its first bytes say so. "
                f"Set {key}=utf-16."
            ) from error
        line = raw[: error.start].count(b"\n") + 1
        raise DataError(
            f"Texts must be {encoding}; '{name}' is not: byte 0x{raw[error.start]:02x} in line {line}. "
            f"Convert the file, or set {key} (latin-1, cp1252, utf-16 ...)."
        ) from error
    if _is_utf8(raw, encoding):
        raise DataError(
            f"Texts must be {encoding}; '{name}' is utf-8, as its bytes show. Set {key}=utf-8; where {encoding} is "
            f"that of a run's training, save the file in it."
        )
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise DataError(
            f"Texts must not hold NUL characters; '{name}' does, in line {line}: a binary file, or one in utf-16. "
            f"Set {key}, or remove them."
        )
    return text.removeprefix("\ufeff")


def _is_utf8(raw: bytes, encoding: str) -> bool:
    """Whether bytes that are said to be in an encoding of one byte a character are UTF-8, beyond ASCII: hardly any text
    in such an encoding is.
    """
    alone = [bytes([byte]).decode(encoding, errors="replace") for byte in range(128, 256)]
    single = sum("\ufffd" not in character for character in alone) > MOST_BYTES / 2
    if raw.isascii() or not single:
        return False
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def lines(content: str) -> list[str]:
    """One text per line, without the spaces around it; `splitlines` would also cut inside texts."""
    rows = content.split("\n")
    return [line.strip() for line in (rows[:-1] if rows[-1] == "" else rows)]


def fault(text: str) -> str:
    """Why tokenizers refuse this text; "" if they do not. JSON can hold characters that UTF-8 cannot."""
    match = STRANGE.search(text)
    return "" if match is None else "it holds a NUL character" if match.group() == "\0" else "it is not UTF-8"


def dataset(
    splits: Mapping[str, Sequence[Row]],
    source: str,
    config: ConfigDict,
    *,
    kind: str = "classes",
    classes: Sequence[str] = (),
    pairs: bool = False,
    notes: Sequence[str] = (),
    skipped: Sequence[str] = (),
    unread: Sequence[str] = (),
) -> Dataset:
    """Splits of rows as a data set; classes are the sorted names of labels, numbered in this order.

    Args:
      config: config.data: `unreadable` decides on empty texts, `duplicates` on repeated ones, `similar_labels` on
        classes that differ in spelling, `splits.train` and `fractions` on where every class must appear.
      kind: the kind of labels, see `Info.labels`.
      classes: the names of classes, if the source knows them and their order; default: the names that occur.
      pairs: whether every example must be a pair of texts; if False, all must be pairs if one is.
      notes: notes of the source, for `Info`, as the next two.
      skipped: examples that the source left out.
      unread: names of splits that the config does not name.

    Raises:
      DataError: no example is left; texts, or halves of pairs, are empty (all are listed); a text or label is no UTF-8;
        classes differ only in spelling; or training lacks a class.
    """
    _refuse_strange(splits, source)
    remaining, empty = _without_empty(splits, source, skip=config.unreadable == "skip", pairs=pairs)
    if kind in ("classes", "sets") and not classes:
        counts = labels.counts(row.label for rows in remaining.values() for row in rows)
        same, merged = spelling.classes(counts, source, config.similar_labels)
        notes = (*notes, *merged)
        if merged:
            remaining = {
                name: [dataclasses.replace(row, label=labels.renamed(row.label, same)) for row in rows]
                for name, rows in remaining.items()
            }
    skipped = [*skipped, *empty]
    if config.duplicates == "remove":
        remaining, repeats = _without_repeats(remaining, config.splits.train)
        skipped += repeats
    if not any(remaining.values()):
        raise DataError(f"'{source}' must hold texts; it holds none.")
    label_lists = {name: [row.label for row in rows] for name, rows in remaining.items()}
    names = tuple(classes) or labels.names(label_lists, source, "" if config.fractions else config.splits.train)
    if kind == "sets" and not names:
        raise DataError(f"Some example of '{source}' must have a label; all are empty sets. Correct the label column.")
    parts = {name: Texts(rows, names, kind) for name, rows in remaining.items()}
    return Dataset(parts, Info(names, source, tuple(skipped), kind, tuple(notes), tuple(unread)))


def _refuse_strange(splits: Mapping[str, Sequence[Row]], source: str) -> None:
    every = [row for rows in splits.values() for row in rows]
    faults = [f"{row.id}: {why}" for row in every if (why := fault(row.text + row.pair))]
    faults += [f"{row.id}: of its label, {why}" for row in every if (why := fault(labels.said(row.label)))]
    if faults:
        more = f", and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise DataError(
            f"Texts and labels in '{source}' must be UTF-8 without NUL: {', '.join(faults[:SHOWN])}{more}. Remove them."
        )


def repeated(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Text -> its rows, for texts that occur more than once; spaces and case do not count."""
    by_text: dict[str, list[Row]] = {}
    for row in rows:
        by_text.setdefault(key(row.text, row.pair), []).append(row)
    return {key: same for key, same in by_text.items() if len(same) > 1}


def key(text: str, pair: str) -> str:
    """A key of an example's texts without spaces and case, equal for repeated examples."""
    return "\0".join(" ".join(one.lower().split()) for one in (text, pair))


def _without_empty(
    splits: Mapping[str, Sequence[Row]], source: str, *, skip: bool, pairs: bool
) -> tuple[dict[str, list[Row]], list[str]]:
    pairs = pairs or any(row.pair.strip() for rows in splits.values() for row in rows)

    def lacks(row: Row) -> bool:
        return not row.text.strip() or (pairs and not row.pair.strip())

    empty = [row.id for rows in splits.values() for row in rows if lacks(row)]
    if empty and not skip:
        more = f", and {len(empty) - SHOWN} more" if len(empty) > SHOWN else ""
        raise DataError(
            f"Every text{' of a pair' if pairs else ''} in '{source}' must hold more than spaces or a word of "
            f"config.data.missing; {len(empty)} do not: {', '.join(empty[:SHOWN])}{more}. Remove them, or set "
            f"config.data.unreadable=skip to leave them out, counted and listed."
        )
    remaining = {name: [row for row in rows if not lacks(row)] for name, rows in splits.items()}
    return remaining, [f"{place}: an empty text" for place in empty]


def _without_repeats(splits: Mapping[str, Sequence[Row]], train: str) -> tuple[dict[str, list[Row]], list[str]]:
    """Keep the first of repeated texts over all splits; `train` comes last, so that test parts keep theirs.

    If the labels of a repeated text contradict each other, none is kept.
    """
    drop: dict[str, str] = {}
    order = sorted(splits, key=lambda name: name == train)
    for same in repeated(row for name in order for row in splits[name]).values():
        names = sorted({labels.said(row.label) for row in same})
        if len(names) > 1:
            drop |= {row.id: f"the same text is labelled {' and '.join(names)}" for row in same}
        else:
            drop |= {row.id: f"repeats {same[0].id}" for row in same[1:]}
    remaining = {name: [row for row in rows if row.id not in drop] for name, rows in splits.items()}
    return remaining, [f"{place}: {why}" for place, why in drop.items()]
