"""The lines about labels on the first screen: the examples of every class in every part, and warnings."""

from collections.abc import Mapping, Sequence

import numpy as np

from tljax.data import labels
from tljax.data.parts.subsets import Subset

SHOWN = 20  # the most classes that are listed for one part
FEW = 10  # a class with fewer examples gets a warning
UNEVEN = 10  # a warning if the largest class has at least this many times the examples of the smallest


def notes(parts: Mapping[str, Subset], classes: Sequence[str], kind: str) -> tuple[str, ...]:
    """Lines for the user; () if labels are not read, or are loaded with each example.

    Args:
      parts: the parts with labels.
      kind: the kind of labels, see `Info.labels`.
    """
    known = {part: subset.labels for part, subset in parts.items() if subset.labels is not None}
    if kind == "none" or not known:
        return ()
    if kind == "numbers":
        return tuple(_ranges(part, found, classes) for part, found in known.items())
    counts = {part: _counts(found, len(classes)) for part, found in known.items()}
    found = [_line(part, number, classes) for part, number in counts.items()]
    what = "labels" if kind == "sets" else "classes"
    train = counts["train"]
    if few := [f"{_name(name)} {n}" for name, n in zip(classes, train, strict=True) if n < FEW]:
        found.append(f"warning: {what} with fewer than {FEW} training examples: {labels.cut(few)}")
    for part, number in counts.items():
        if absent := [_name(name) for name, n in zip(classes, number, strict=True) if not n]:
            found.append(f"warning: {what} without an example in {part}: {labels.cut(absent)}")
    most, least = int(train.argmax()), int(train.argmin())
    if train[most] > UNEVEN * train[least]:
        key = "pos_weight" if kind == "sets" else "class_weights"
        found.append(
            f"warning: {what} are uneven in train: {_name(classes[most])} {train[most]:,}, {_name(classes[least])} "
            f"{train[least]:,}; config.task.{key}=balanced weighs them, and accuracy alone says little"
        )
    return tuple(found)


def _counts(found: np.ndarray, number: int) -> np.ndarray:
    return np.bincount(found, minlength=number) if found.ndim == 1 else found.sum(axis=0).astype(int)


def _line(part: str, counts: np.ndarray, classes: Sequence[str]) -> str:
    shown = ", ".join(f"{_name(name)} {count:,}" for name, count in zip(classes[:SHOWN], counts, strict=False))
    more = f" and {len(classes) - SHOWN:,} more; {counts.min():,} to {counts.max():,} each"
    return f"{part}: {shown}" + (more if len(classes) > SHOWN else "")


def _ranges(part: str, found: np.ndarray, columns: Sequence[str]) -> str:
    each = [
        f"{_name(name)} {x.min():g} to {x.max():g}, mean {x.mean():g}" for name, x in zip(columns, found.T, strict=True)
    ]
    return f"{part}: " + labels.cut(each)


def _name(name: str) -> str:
    """The name, in quotes if it would be unclear without."""
    return name if name.isprintable() and name == name.strip() else ascii(name)
