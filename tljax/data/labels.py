"""What a label is: one class, numbers, or a set of labels; how each is written in a table and lies in an array."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tljax.core.errors import DataError

SHOWN = 10  # faults in an error
Label = str | tuple[float, ...] | frozenset[str]  # the name of a class; numbers; names of the labels that hold
NONE: Label = frozenset()  # of a text without a label
YES, NO = ("1", "true", "1.0"), ("0", "false", "0.0")


def columns(kind: str, named: str) -> tuple[str, ...]:
    """The columns of a label, "a,b" being two of them; that of a class is one, whatever its name."""
    if kind == "none":
        return ()
    return (named,) if kind == "classes" else tuple(name.strip() for name in named.split(","))


def parse(kind: str, cells: Mapping[str, str], separator: str) -> Label:
    """The label that a row's cells, by column, are; ValueError where they are none. Of no kind is the empty set."""
    if kind == "none":
        return NONE
    if kind == "classes":
        ((column, name),) = cells.items()
        if not name.strip():
            raise ValueError(f"'{column}' must name a class; it is empty")
        return name
    if kind == "numbers":
        return tuple(_number(column, cell) for column, cell in cells.items())
    if len(cells) > 1:
        return frozenset(column for column, cell in cells.items() if _holds(column, cell))
    (cell,) = cells.values()
    names = _list(cell) if cell.startswith("[") else cell.split(separator)
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
    """For people."""
    if isinstance(label, str):
        return label
    return "+".join(sorted(label)) if isinstance(label, frozenset) else ", ".join(f"{x:g}" for x in label)


def names(splits: Mapping[str, Iterable[Label]], source: str, train: str) -> tuple[str, ...]:
    """The classes, or the members of sets, in order: numbers by value and before words.

    Args:
      splits: the labels of every split.
      train: the split that must have all of them; "" where it is not known yet.

    Raises:
      DataError: two differ by nothing but the spaces around them, or a class that `train` lacks.
    """
    found = {name: set().union(*(_members(label) for label in labels)) for name, labels in splits.items()}
    _refuse_alike(set().union(*found.values()), source)
    known = found.get(train) or set().union(*found.values())
    unseen = [f"{name}: {label}" for name, labels in found.items() for label in sorted(labels - known)]
    if unseen:
        raise DataError(
            f"Every class must be in the training split '{train}' of '{source}' ({', '.join(sorted(known))}); "
            f"only elsewhere: {', '.join(unseen)}. Rename or remove these examples, or add training examples; labels "
            f"of tables that are no classes need config.data.labels=numbers or sets."
        )
    return tuple(sorted(known, key=_natural))


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of JSON that has these pairs; ValueError where a name stands twice, of which one would be lost."""
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError(f"names stand twice: {', '.join(sorted({n for n in names if names.count(n) > 1}))}")
    return dict(pairs)


def _refuse_alike(names: set[str], source: str) -> None:
    alike: dict[str, list[str]] = {}
    for name in sorted(names):
        alike.setdefault(name.strip(), []).append(name)
    if bad := [" and ".join(map(repr, same)) for same in alike.values() if len(same) > 1]:
        raise DataError(
            f"Labels of '{source}' must differ by more than the spaces around them; these do not: {', '.join(bad)}. "
            f"Make them the same, or name them apart."
        )


def _list(cell: str) -> list[Any]:
    try:
        return json.loads(cell)
    except RecursionError as error:
        raise ValueError(f"it is a list too deep: {cell[:40]!r}") from error


def _members(label: Any) -> set[str]:
    return {label} if isinstance(label, str) else set(label)


def _number(column: str, cell: str) -> float:
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"'{column}' must be a finite number; it is {cell!r}")
    return number


def _holds(column: str, cell: str) -> bool:
    if cell.strip().lower() not in YES + NO:
        raise ValueError(f"'{column}' must be 0 or 1; it is {cell!r}")
    return cell.strip().lower() in YES


def _natural(label: str) -> tuple[bool, float, str]:
    """Numbers in their order and before words: 2 comes before 10."""
    number = label.removeprefix("-").replace(".", "", 1).isdecimal()
    return not number, float(label) if number else 0.0, label
