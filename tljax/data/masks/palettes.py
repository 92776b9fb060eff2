"""Masks with a palette: whether a value, or the colour that its palette gives it, is a class."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tljax.core.errors import DataError
from tljax.core.types import IGNORED
from tljax.data.masks.class_file import ClassFile
from tljax.data.masks.codes import Seen


def by_colours(
    seen: dict[Path, Seen], file: ClassFile | None, *, kind: str
) -> tuple[dict[Path, Seen], bool, tuple[str, ...]]:
    """(What masks hold, whether masks with palettes are read by their colours, notes).

    By colours, if a file of classes names all of them, or `kind` is "colours"; else by values. Programs that save
    pictures small number the colours of each file afresh, so values mean nothing where palettes differ.

    Raises:
      DataError: one value has different colours in two masks, and `kind` does not say what counts.
    """
    with_palette = {path: one for path, one in seen.items() if one.palette}
    used = {code for one in with_palette.values() for value, code in one.palette.items() if value != IGNORED}
    named = bool(file and file.colours and used and used <= {*file.colours, 0xFFFFFF})
    if not with_palette or kind in ("classes", "instances") or not (named or kind == "colours"):
        if kind == "auto":
            _same_palettes(with_palette)
        other = bool(with_palette and file and file.colours)
        note = f"masks: the colours of their palettes are not those of '{file and file.path}': values go by its order"
        return seen, False, (note,) if other else ()
    painted = dict(seen)
    for path, one in with_palette.items():
        codes, places = np.unique([one.palette.get(int(x), -1) for x in one.codes], return_inverse=True)
        counts = np.bincount(places, weights=one.counts).astype(np.int64)
        painted[path] = dataclasses.replace(one, codes=codes, counts=counts, colours=True)
    return painted, True, ("masks: those with a palette are read by its colours",)


def _same_palettes(seen: Mapping[Path, Seen]) -> None:
    """Raise DataError if a value has different colours in two masks."""
    first: dict[int, tuple[int, Path]] = {}
    for path, one in seen.items():
        for value, code in one.palette.items():
            known, where = first.setdefault(value, (code, path))
            if known != code:
                raise DataError(
                    f"A value must have one colour in the palettes of all masks, else it does not say which class is "
                    f"meant; {value} is #{known:06x} in '{where}' and #{code:06x} in '{path}'. Where colours count, as "
                    f"of files that were made smaller: --config.data.mask_values=colours; where values count: "
                    f"--config.data.mask_values=classes, or instances."
                )
