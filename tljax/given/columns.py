"""Guess which columns of a table hold the text, the picture and the label: by their names, then by their cells."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tljax.core.errors import DataError
from tljax.data import pictures, spelling
from tljax.data.labels import cut
from tljax.data.sources import picture_table
from tljax.given import kinds, parts
from tljax.given.found import Changes
from tljax.given.kinds import cells, numbers, yes_no
from tljax.given.raw_table import Raw

TEXTS = (
    "text", "sentence", "message", "sms", "review", "review_text", "body", "content", "comment", "tweet", "document",
    "article", "post", "abstract", "utterance", "query", "question", "headline", "title", "description", "email",
    "transcript", "prompt", "words", "string", "v2",
)  # fmt: skip
PAIRS = (
    ("sentence1", "sentence2"), ("text1", "text2"), ("text_a", "text_b"), ("sentence_a", "sentence_b"),
    ("premise", "hypothesis"), ("question1", "question2"), ("question", "sentence"), ("query", "passage"),
)  # fmt: skip
IMAGES = ("image", "picture", "photo", "file", "filename", "file_name", "path", "filepath", "image_path", "img")
LABELS = (
    "label", "labels", "class", "classes", "category", "categories", "target", "y", "sentiment", "polarity", "topic",
    "tag", "tags", "intent", "emotion", "gold", "gold_label", "diagnosis", "species", "breed", "genre", "genres",
    "rating", "stars", "score", "grade", "price", "value", "age", "quality", "type", "v1",
)  # fmt: skip
GROUPS = ("group", "patient", "patient_id", "patientid", "subject", "subject_id", "user", "user_id", "video", "session")
SPLITS = ("split", "set", "subset", "partition", "fold", "part")
WORDS_OF_CLASSES = 50  # a column of more values is hardly one of classes
KNOWN = frozenset({*TEXTS, *IMAGES, *LABELS, *GROUPS, *SPLITS, *(name for pair in PAIRS for name in pair), "id"})


class Columns(NamedTuple):
    """The meaning of a table's columns."""

    input: str  # "image" or "tokens"
    changes: Changes
    labels: str  # classes, numbers or sets
    label: tuple[str, ...]  # the columns of the label
    notes: tuple[str, ...]


def guess(raw: Raw, home: Path, asked: Changes) -> Columns:
    """Guess the meaning of the columns.

    Args:
      home: the folder of the table and its pictures.
      asked: the keys that the user has set.

    Raises:
      DataError: no column is a text or a picture, or none is a label; the message names the columns and the flags.
    """
    free = [name for name in raw.names if name]
    notes: list[str] = []
    changes: Changes = {}
    label = _asked(asked, "data.columns.label", raw)
    image = _asked(asked, "data.columns.image", raw) or _named_picture(raw, free, home)
    pair: tuple[str, ...] = () if image else _pair(raw, asked)
    text: tuple[str, ...] = () if image else (_asked(asked, "data.columns.text", raw) or pair[:1])
    for key, names in (("data.group", GROUPS), ("data.columns.split", SPLITS)):
        if key not in asked and (found := _by_name(names, free)) and found not in (*label, *text, *image):
            if key == "data.columns.split" and not _are_parts(raw, found):
                held = cut(sorted(set(map(str, cells(raw, found)))))
                notes.append(f"columns: '{found}' says no parts, for none of its values means training: {held}")
                continue
            changes[key] = found
            what = "rows of one stay in one part" if key == "data.group" else "says which part a row is of"
            notes.append(f"columns: '{found}' {what}")
    taken = {*label, *text, *pair, *image, *(str(value) for value in changes.values())}
    free = [name for name in free if name not in taken]
    if not (text or image):
        text = _text(raw, [name for name in free if name not in label and not _is_label_name(name)])
        free = [name for name in free if name not in text]
    others: list[str] = []
    if not label:
        label, others = _label(raw, free, asked)
    kind, more = kinds.of(raw, label, asked)
    example = [*image, *text][0]
    changes |= {"data.columns.image" if image else "data.columns.text": example}
    changes |= {"data.columns.pair": pair[1]} if pair else {}
    if image:
        changes |= _folder(raw, example, home, asked)
    changes |= {"data.columns.label": ",".join(label), "data.labels": kind, **more}
    flag = "--image" if image else "--text"
    what = f"'{example}'" + (f" with '{pair[1]}'" if pair else "")
    notes.append(f"columns: {'pictures' if image else 'texts'} {what}, labels {cut(list(label))} ({kind}); "
                 f"{flag}, --label and --labels say others")  # fmt: skip
    if others:
        notes.append(f"columns: nothing but its values says that '{label[0]}' is the label; {cut(others)} would do "
                     f"too: --label {others[0]}")  # fmt: skip
    return Columns("image" if image else "tokens", changes, kind, label, tuple(notes))


def _asked(asked: Changes, key: str, raw: Raw) -> tuple[str, ...]:
    """The columns that the user has named; a label may have several."""
    if key not in asked:
        return ()
    names = [name.strip() for name in str(asked[key]).split(",")] if str(asked[key]) not in raw.names else [asked[key]]
    found = [next((one for one in raw.names if spelling.key(one) == spelling.key(str(name))), "") for name in names]
    if lost := [str(name) for name, place in zip(names, found, strict=True) if not place]:
        flag = key.rpartition(".")[2]
        raise DataError(f"--{flag} must name a column of the table ({cut(raw.names)}); got {cut(lost)}.")
    return tuple(found)


def _by_name(names: Sequence[str], among: Sequence[str]) -> str:
    plain = {re.sub(r"[ -]", "_", name.strip().lower()): name for name in among}
    return next((plain[name] for name in names if name in plain), "")


def _is_label_name(name: str) -> bool:
    return bool(_by_name(LABELS, [name]))


def _pair(raw: Raw, asked: Changes) -> tuple[str, ...]:
    if "data.columns.text" in asked:
        return ()
    for one, other in PAIRS:
        if (first := _by_name((one,), raw.names)) and (second := _by_name((other,), raw.names)):
            return first, second
    return ()


def _named_picture(raw: Raw, free: Sequence[str], home: Path) -> tuple[str, ...]:
    """The column whose cells end in a suffix of pictures; or one with such a name, whose cells name pictures."""
    for name in sorted(free, key=lambda name: not _by_name(IMAGES, [name])):
        found = [str(cell) for cell in cells(raw, name)[:100]]
        ends = sum(Path(cell).suffix.lower() in pictures.SUFFIXES for cell in found)
        if found and ends > len(found) / 2:
            return (name,)
    for name in [name for name in free if _by_name((*IMAGES, "id"), [name])]:
        found = [str(cell) for cell in cells(raw, name)[:20]]
        if found and any(all(picture_table.locate(place, cell) for cell in found) for place in _places(home)):
            return (name,)
    return ()


def _places(home: Path) -> list[Path]:
    """Folders in which paths may begin."""
    below = sorted(path for path in home.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [home, *below, *(path for one in below for path in sorted(one.iterdir()) if path.is_dir()), home.parent]


def _folder(raw: Raw, image: str, home: Path, asked: Changes) -> Changes:
    """The folder in which most of the first paths begin."""
    if "data.pictures" in asked:
        return {}
    some = [str(cell) for cell in cells(raw, image)[:50]]
    found = {place: sum(picture_table.locate(place, cell) is not None for cell in some) for place in _places(home)}
    best = max(found, key=lambda place: found[place])
    return {} if best == home or not found[best] else {"data.pictures": str(best)}


def _text(raw: Raw, free: Sequence[str]) -> tuple[str, ...]:
    """The column of texts: by its name, else that with the longest cells."""
    words = {name: [cell for cell in cells(raw, name) if isinstance(cell, str)] for name in free}
    words = {name: some for name, some in words.items() if some and not numbers(some)}
    if named := _by_name(TEXTS, list(words)):
        return (named,)
    if not words:
        raise DataError(
            f"A table must have a column of texts or of paths of pictures; of {cut(raw.names)} none is. Say which: "
            f"--text COLUMN or --image COLUMN."
        )
    return (max(words, key=lambda name: sum(map(len, words[name])) / len(words[name])),)


def _label(raw: Raw, free: Sequence[str], asked: Changes) -> tuple[tuple[str, ...], list[str]]:
    """(The columns of the label: by name, else columns of 0 and 1, else the column with the fewest values; columns
    that might as well be it).
    """
    if named := _by_name(LABELS, [name for name in free if cells(raw, name)]):
        return (named,), []
    values = {name: Counter(json.dumps(cell) for cell in cells(raw, name)) for name in free if name.lower() != "id"}
    binary = [name for name in values if values[name] and yes_no(cells(raw, name))]
    if len(binary) > 1:
        return tuple(binary), []
    number = len(raw.rows)
    few = [name for name, found in values.items() if 2 <= len(found) <= max(2, number / 2)]
    if few and asked.get("data.labels") != "numbers":
        label = min(reversed(few), key=lambda name: len(values[name]))
        return (label,), [name for name in few if name != label and len(values[name]) <= WORDS_OF_CLASSES]
    numeric = [name for name in values if (found := cells(raw, name)) and numbers(found)]
    if numeric:
        return (numeric[-1],), []
    raise DataError(
        f"A table must have a column of labels; of {cut(raw.names)} none has values that come again, or numbers. Say "
        f"which: --label COLUMN (of several: --label a,b)."
    )


def _are_parts(raw: Raw, name: str) -> bool:
    return any(parts.role(str(cell)) == "train" for cell in set(map(str, cells(raw, name))))
