"""Kinds of labels: one class, numbers, or a set of names; how a table writes them, and how an array holds them."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tljax.core.errors import ConfigError, DataError
from tljax.core.options import Rule
from tljax.core.types import Record
from tljax.data import spelling

SHOWN = 10  # names in an error
BETWEEN = "|"  # the labels of a set, in files that are written, where training did not read a table
BRACKETS = re.compile(r"\{[^{}]*\}|\([^()]*\)")  # {a,b} of PostgreSQL and Python: no names, and no JSON
ROWS = 5  # faults in an error that has a line for each
DECIMAL = (
    "Set config.data.decimal: ',' where a comma stands before the fraction (0,5), '.' where commas stand between "
    "thousands (1,000)."
)
Label = str | tuple[float, ...] | frozenset[str]  # the name of a class; numbers; a set of names
NONE: Label = frozenset()  # the label of a text without a label
YES, NO = ("1", "true", "1.0", "yes"), ("0", "false", "0.0", "no")
# The form of numbers, by `data.decimal`: the character before the fraction.
WRITTEN = {
    ",": re.compile(r"[+-]?(\d{1,3}([. \u00a0\u202f'\u2019]\d{3})+|\d*)(,\d+)?"),
    ".": re.compile(r"[+-]?(\d{1,3}([, \u00a0\u202f'\u2019]\d{3})+|\d*)(\.\d+)?"),
}


def columns(kind: str, named: str) -> tuple[str, ...]:
    """The columns of a label: "a,b" means two. A class has one column, even if its name holds a comma."""
    if kind == "none":
        return ()
    return (named,) if kind == "classes" else tuple(name.strip() for name in named.split(","))


def parse(kind: str, cells: Mapping[str, Any], separator: str, *, decimal: str = "") -> Label:
    """The label in a row's cells; ValueError if they do not hold one. For kind "none" it is the empty set.

    Args:
      cells: column -> text; for numbers, also numbers.
      separator: the character between the names of a set.
      decimal: for numbers, the character before the fraction; the other one may then separate thousands. "": a point
        before the fraction, and no separator of thousands.
    """
    if kind == "none":
        return NONE
    if kind == "classes":
        ((column, name),) = cells.items()
        if not name.strip():
            raise ValueError(f"'{column}' must name a class; it is empty")
        return name
    if kind == "numbers":
        return tuple(_number(column, cell, decimal) for column, cell in cells.items())
    if len(cells) > 1:
        return frozenset(column for column, cell in cells.items() if _holds(column, cell))
    ((column, cell),) = cells.items()
    if BRACKETS.fullmatch(cell.strip()):
        raise ValueError(f"'{column}' must be names with {separator!r} between them, or a list of JSON; it is {cell!r}")
    names = _list(column, cell) if cell.startswith("[") else cell.split(separator)
    return frozenset(name for name in (str(name).strip() for name in names) if name)


def encode(found: Sequence[Any], kind: str, classes: Sequence[str]) -> np.ndarray:
    """Labels as an array: numbers of classes (N,) int32, numbers (N, T) float64, sets (N, K) bool; none (N,) zeros."""
    if kind == "none":
        return np.zeros(len(found), np.int32)
    if kind == "classes":
        number = {name: i for i, name in enumerate(classes)}
        return np.array([number[label] for label in found], np.int32)
    if kind == "numbers":
        return np.array(found, np.float64).reshape(-1, len(classes))
    return np.array([[name in label for name in classes] for label in found], bool).reshape(len(found), len(classes))


def said(label: Label) -> str:
    """The label as text for the user."""
    if isinstance(label, str):
        return label
    return "+".join(sorted(label)) if isinstance(label, frozenset) else ", ".join(f"{x:g}" for x in label)


def names(splits: Mapping[str, Iterable[Label]], source: str, train: str) -> tuple[str, ...]:
    """The classes, or the members of sets, in the order of `spelling.ordered`.

    Args:
      splits: the labels of every split.
      train: the split that must have all of them; "" if it is not known yet.

    Raises:
      DataError: `train` lacks a class.
    """
    found = {name: set().union(*(_members(label) for label in labels)) for name, labels in splits.items()}
    known = found.get(train) or set().union(*found.values())
    unseen = [f"{name}: {label}" for name, labels in found.items() for label in spelling.ordered(labels - known)]
    if unseen:
        raise DataError(
            f"Every class must be in the training split '{train}' of '{source}' ({cut(spelling.ordered(known))}); "
            f"only in other splits: {cut(unseen)}. Rename or remove these examples, or add training examples. If the "
            f"labels of a table are not classes, set config.data.labels=numbers or sets."
        )
    return spelling.ordered(known)


def renamed(label: Label, classes: Mapping[str, str]) -> Label:
    """The label with every name replaced by the name of its class."""
    if isinstance(label, str):
        return classes[label]
    return (
        frozenset(classes[name] for name in label if isinstance(name, str)) if isinstance(label, frozenset) else label
    )


def counts(found: Iterable[Label]) -> dict[str, int]:
    """Name -> number of labels that hold it, for classes and sets."""
    number: dict[str, int] = {}
    for label in found:
        for name in _members(label):
            number[name] = number.get(name, 0) + 1
    return number


def cut(names: Sequence[str]) -> str:
    """Names as a short list for the user; the rest is counted."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def joined(names: Sequence[str], separator: str = BETWEEN) -> str:
    """A set in a cell of a file: a|b; a list of JSON where a name holds the separator."""
    if any(separator in name for name in names):
        return json.dumps(list(names), ensure_ascii=False)
    return separator.join(names)


def _is_weight(weight: Any) -> bool:
    """Whether `weight` is a number > 0, "name=number", or a dict of these."""
    if isinstance(weight, Mapping):
        return all(map(_is_weight, weight.values()))
    if isinstance(weight, str):
        name, _, weight = weight.rpartition("=")
        try:
            weight = float(weight if name else "nan")
        except ValueError:
            return False
    return math.isfinite(weight) and weight > 0


NUMBERS_BY_NAME: Rule = (
    'balanced, numbers > 0, or "name=number" with numbers > 0',
    lambda ws: ws == ("balanced",) or all(map(_is_weight, ws)),
)


def numbers_by_name(wanted: Sequence[object], names: Sequence[str], key: str) -> tuple[float, ...]:
    """One number for each class or label, in their order.

    Args:
      wanted: numbers in this order; or one "name=number" (or a dict) for each, in any order.
      key: the key of the config, for the error.

    Raises:
      ConfigError: there is not one number for each name; the error lists missing, unknown and repeated names.
    """
    pairs = [pair for one in wanted for pair in (one.items() if isinstance(one, Mapping) else [_pair(one)])]
    if all(name is None for name, _ in pairs) and len(pairs) == len(names):
        return tuple(float(number) for _, number in pairs)
    given = [str(name) for name, _ in pairs if name is not None]
    bad = {
        "missing": [name for name in names if name not in given],
        "unknown": [name for name in given if name not in names],
        "twice": [name for name in dict.fromkeys(given) if given.count(name) > 1],
        "without a name": [str(number) for name, number in pairs if name is None],
    }
    if any(bad.values()):
        found = "; ".join(f"{why}: {cut(some)}" for why, some in bad.items() if some) if given else f"got {len(pairs)}"
        raise ConfigError(
            f'{key} must be balanced, one "name=number" for each of the {len(names)} ({cut(names)}), or one number '
            f"for each in this order; {found}."
        )
    by_name = {str(name): float(number) for name, number in pairs}
    return tuple(by_name[name] for name in names)


def once(pairs: list[tuple[str, object]]) -> Record:
    """The JSON object of these pairs; ValueError if a name is repeated, because one value would be lost."""
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError(f"names stand twice: {', '.join(sorted({n for n in names if names.count(n) > 1}))}")
    return dict(pairs)


def _pair(one: object) -> tuple[str | None, Any]:
    name, equals, number = str(one).rpartition("=")
    return (name, number) if equals else (None, one)


def _list(column: str, cell: str) -> list[Any]:
    try:
        found = json.loads(cell)
    except RecursionError as error:
        raise ValueError(f"it is a list too deep: {cell[:40]!r}") from error
    except ValueError as error:
        raise ValueError(
            f'\'{column}\' must be a list of JSON, like ["a", "b"]; it is {cell[:40]!r}: {error}'
        ) from error
    if bad := [x for x in found if not isinstance(x, str | int | float) or isinstance(x, bool) or x != x]:
        raise ValueError(f"'{column}' must be a list of names; in {cell[:40]!r} stands {json.dumps(bad[0])[:40]}")
    return found


def _members(label: Any) -> set[str]:
    return {label} if isinstance(label, str) else set(label)


def _number(column: str, cell: object, decimal: str) -> float:
    plain = str(cell).strip().replace("_", "?")  # only Python accepts 1_000 as a number
    if isinstance(cell, str) and decimal:
        fits = WRITTEN[decimal].fullmatch(plain)
        plain = (
            "".join("." if c == decimal else c for c in plain if c.isdecimal() or c in f"+-{decimal}") if fits else ""
        )
    try:
        number = float(plain)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"'{column}' must be a finite number; it is {cell!r}")
    return number


def _holds(column: str, cell: str) -> bool:
    if cell.strip().lower() not in YES + NO:
        raise ValueError(f"'{column}' must be 0 or 1; it is {cell!r}")
    return cell.strip().lower() in YES
