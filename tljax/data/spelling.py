"""Names that look the same to a user: they differ only in case, spaces, zeros, or invisible characters."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from decimal import Decimal

from tljax.core.errors import DataError

SHOWN = 10  # pairs of names in an error or a note
KEY = "config.data.similar_labels"
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,4})?", re.IGNORECASE)
COMMAS = re.compile(r"[+-]?\d+(,\d+)+(\.\d+)?")  # 0,5 and 1,000: the meaning of a comma is not known
THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
POINTS = re.compile(r"[+-]?\d{1,3}((\.\d{3})+,\d+|(\.\d{3}){2,})")  # 1.500,25 and 1.500.000: a point of thousands
MAY_BE_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}")  # 3.512 is 3512 where people write 0,5
UNSEEN = "\u034f\u115f\u1160\u2800\u3164\ufe0e\ufe0f"  # besides the characters of Unicode's categories Cf and Cc


def key(name: str) -> Decimal | str:
    """A key that is equal for names that look the same: 1, 1.0 and 01; Pos and pos; composed and decomposed letters;
    names with other spaces and invisible characters.
    """
    name = unicodedata.normalize("NFKC", name)
    visible = (c for c in name if c.isspace() or (c not in UNSEEN and unicodedata.category(c) not in ("Cf", "Cc")))
    plain = unicodedata.normalize("NFKC", " ".join("".join(visible).split()).casefold())
    number = plain.replace(",", "" if THOUSANDS.fullmatch(plain) else ".") if COMMAS.fullmatch(plain) else plain
    return Decimal(number) if NUMBER.fullmatch(number) else plain


def is_number(text: str) -> bool:
    """Whether people would read a number: 0,5 and 1,000.5 and 1.000,5 too. `value` reads it."""
    plain = text.strip()
    return any(form.fullmatch(plain) for form in (NUMBER, THOUSANDS, POINTS, re.compile(r"[+-]?\d+,\d+")))


def value(text: str) -> float:
    """The number in a text for which `is_number` holds."""
    plain = text.strip()
    return float(key(plain.replace(".", "").replace(",", ".") if POINTS.fullmatch(plain) else plain))


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """The order of classes everywhere: numbers first, by value (1, 2, 10), then words, by their characters."""

    def place(name: str) -> tuple[bool, Decimal, str]:
        number = NUMBER.fullmatch(name)
        return not number, Decimal(name) if number else Decimal(), name

    return tuple(sorted(names, key=place))


def by_use(counts: Mapping[str, int]) -> list[str]:
    """Names, that of most examples first; of equal ones the shortest. The first stands for those like it."""
    return sorted(counts, key=lambda name: (-counts[name], len(name), name))


def shown(names: Iterable[str]) -> str:
    """Names in quotes, escaped unless all are plain ASCII, so that the user sees how they differ."""
    names = list(names)
    return " and ".join(repr(name) if all(map(str.isascii, names)) else ascii(name) for name in names)


def classes(counts: Mapping[str, int], source: str, how: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """(name -> its class, notes of merged names).

    Args:
      counts: name -> number of examples, over all splits that are read.
      how: `data.similar_labels`: "error" refuses names that differ only in spelling, "merge" gives them the name of
        most examples (the shortest, if equal), "keep" makes a class of every spelling.

    Raises:
      DataError: there are such names and `how` is "error"; the first are listed with their numbers of examples.
    """
    alike: dict[Decimal | str, list[str]] = {}
    for name in by_use(counts):
        alike.setdefault(key(name), []).append(name)
    same = [names for names in alike.values() if len(names) > 1]
    if how == "keep" or not same:
        return {name: name for name in counts}, ()
    spellings = [
        f"{shown(names)} ({', '.join(f'{counts[name]:,}' for name in names)} examples)" for names in same[:SHOWN]
    ]
    more = f"; and {len(same) - SHOWN} more" if len(same) > SHOWN else ""
    if how == "error":
        raise DataError(
            f"Labels of '{source}' must differ by more than their spelling (case, spaces, zeros, invisible "
            f"characters); these do not: {'; '.join(spellings)}{more}. Correct them, or set {KEY}=merge to make one "
            f"class of each, or {KEY}=keep where they are different classes."
        )
    merged = {name: names[0] for names in alike.values() for name in names}
    return merged, (f"labels merged ({KEY}=merge), each under the first: {'; '.join(spellings)}{more}",)
