"""What the values of masks mean: the class of each value or colour, found in the masks and in a file of classes."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tljax.core.errors import DataError
from tljax.core.types import IGNORED
from tljax.data import labels
from tljax.data.masks import codes as files
from tljax.data.masks.class_file import ClassFile
from tljax.data.masks.codes import Seen

MOST = 200  # classes that masks without a file of classes may have
PIECES = 40  # masks in which the values are looked at as objects
ONE_PIECE = 0.8  # of the values of instance masks, this share at least is one connected piece


@dataclasses.dataclass(frozen=True)
class Meaning:
    """Code -> class; IGNORED for a code that counts for nothing."""

    classes: tuple[str, ...]
    numbers: Mapping[int, int]
    grey: bool = False  # colours are grey: a code is the value of one channel
    instances: bool = False  # every code that is not 0 is an object, of class 1
    painted: bool = False  # a mask with a palette is read by its colours, not by its values
    notes: tuple[str, ...] = ()

    def of(self, codes: np.ndarray) -> np.ndarray:
        """Codes -> classes, uint8, of any shape.

        Raises:
          ValueError: a code has no class.
        """
        if self.instances:
            return np.where(codes == IGNORED, IGNORED, codes > 0).astype(np.uint8)
        codes = codes & 255 if self.grey else codes
        known, places = np.unique(codes, return_inverse=True)
        if strange := [int(code) for code in known if int(code) not in self.numbers]:
            raise ValueError(
                f"its mask holds {_shown(strange)}, of no class; the classes have {_shown(list(self.numbers))}"
            )
        table = np.array([self.numbers[int(code)] for code in known], np.uint8)
        return table[places].reshape(codes.shape)


def meaning(
    seen: Mapping[Path, Seen], file: ClassFile | None, *, kind: str, thing: str, ignore: Sequence[str]
) -> Meaning:
    """What the codes of all masks mean.

    Args:
      file: the file of classes; None: there is none.
      kind: "classes" or "instances"; "auto": found out; "colours": see `palettes.by_colours`.
      thing: the name of the class of objects, in masks of instances or of 0 and 255.
      ignore: values, or names of classes, that count for nothing, besides 255.

    Raises:
      DataError: masks of colours and of values are mixed, or there are too many codes for classes.
    """
    colours = {one.colours for one in seen.values()}
    if len(colours) > 1:
        some = [str(next(path for path, one in seen.items() if one.colours == kind)) for kind in (True, False)]
        raise DataError(f"Masks must all be colours, or all be values; '{some[0]}' has colours, '{some[1]}' values.")
    codes = np.unique(np.concatenate([one.codes for one in seen.values()]))
    found = _of(codes, seen, file, colours=colours == {True}, kind=kind, thing=thing, ignore=ignore)
    return dataclasses.replace(found, notes=(*found.notes, *_strange(ignore, codes, file)))


def _of(
    codes: np.ndarray, seen: Mapping[Path, Seen], file: ClassFile | None, *, colours: bool, kind: str, thing: str,
    ignore: Sequence[str],
) -> Meaning:  # fmt: skip
    """The same for codes that are all colours, or all values."""
    grey = colours and bool((((codes >> 16) == (codes & 255)) & ((codes >> 8 & 255) == (codes & 255))).all())
    if file:
        return _by_file(codes & 255 if grey else codes, file, colours and not grey, grey, ignore)
    if grey:
        codes = np.unique(codes & 255)
    if colours and not grey:
        return _by_value(codes, [f"#{code:06x}" for code in codes], ignore)
    if set(codes.tolist()) <= {0, 255}:
        return Meaning(("ground", thing), {0: 0, 255: 1}, grey, notes=(f"masks: 0 is ground, 255 is '{thing}'",))
    if kind == "instances" or (kind == "auto" and not grey and _are_objects(seen)):
        most = max(code for code in codes if code != IGNORED)
        note = (
            f"masks: values 1 to {most} number objects in each picture, as it "
            f"seems: all are '{thing}', 0 is ground; where each value is a class: --config.data.mask_values=classes"
        )
        return Meaning(("ground", thing), {}, instances=True, notes=(note,) if kind == "auto" else ())
    return dataclasses.replace(_by_value(codes, [str(code) for code in codes], ignore), grey=grey)


def _by_file(held: np.ndarray, file: ClassFile, colours: bool, grey: bool, ignore: Sequence[str]) -> Meaning:
    """The classes of the file, in its order, without those that count for nothing."""
    codes = file.colours if colours else file.values
    if not codes:
        raise DataError(
            f"The masks are colours, and '{file.path}' gives none. Write a line 'R G B name' for each class."
        )
    ignored = {code for name in ignore if (code := _code(name)) is not None}
    pairs = list(zip(codes, file.names, strict=True))
    void = [name for code, name in pairs if name in file.void or name in ignore or code in ignored]
    classes = tuple(dict.fromkeys(name for name in file.names if name not in void))
    number = {name: i for i, name in enumerate(classes)}
    nameless = _nameless(held, {*codes, *ignored}, colours)
    numbers = {code: number.get(name, IGNORED) for code, name in pairs} | dict.fromkeys((*ignored, *nameless), IGNORED)
    notes = [f"masks: {len(classes)} classes by '{file.path}'" + (f"; ignored: {', '.join(void)}" if void else "")]
    if nameless:
        notes.append(f"masks: {_shown(nameless)} has no name in '{file.path}' and counts for nothing, as void; a class "
                     f"needs a line there")  # fmt: skip
    return Meaning(classes, numbers if colours else {IGNORED: IGNORED} | numbers, grey, notes=tuple(notes))


def _nameless(held: np.ndarray, named: set[int], colours: bool) -> list[int]:
    """The one value that no class has, if it is where data sets have void: before or after all classes; black, white.

    With more of them, or another one, the file of classes does not belong to these masks: that is an error later.
    """
    strange = [int(code) for code in held if int(code) not in named and (colours or code != IGNORED)]
    usual = {0, 0xFFFFFF} if colours else {min(named) - 1, max(named) + 1}
    return strange if len(strange) == 1 and strange[0] in usual else []


def _by_value(codes: np.ndarray, names: Sequence[str], ignore: Sequence[str]) -> Meaning:
    """Every code that occurs is a class."""
    pairs = [(int(code), name) for code, name in zip(codes, names, strict=True) if code != IGNORED]
    used = [(code, name) for code, name in pairs if name not in ignore]
    if not 2 <= len(used) <= MOST:
        raise DataError(
            f"Masks must hold 2 to {MOST} values or colours, one for each class; these hold {len(used)} "
            f"({labels.cut([name for _, name in used])}). Give a file of classes, --config.data.class_file=FILE; for "
            f"masks that number objects, --config.data.mask_values=instances. JPEG changes colours: masks must be PNG."
        )
    numbers = (
        {int(code): IGNORED for code in codes} | {IGNORED: IGNORED} | {code: i for i, (code, _) in enumerate(used)}
    )
    left = [name for _, name in pairs if name in ignore]
    ends = " or ".join(f"'{name}'" if name.startswith("#") else name for name in _ends([name for _, name in used]))
    note = (
        f"masks: every value is a class ({', '.join(name for _, name in used)}), "
        f"{', '.join([*left, '255'])} counts for nothing; names: --config.data.class_file=FILE, a name a line"
    )
    void = f"masks: nothing tells void (unlabelled) from a class in them; if {ends}, say, is void: --ignore {ends}"
    known = bool(left) or IGNORED in codes or len(used) == 2  # of two classes neither is void
    return Meaning(tuple(name for _, name in used), numbers, notes=(note,) if known else (note, void))


def _ends(names: Sequence[str]) -> list[str]:
    """The names of the values that void most often is: black, white; the first, the last."""
    return [name for name in ("#000000", "#ffffff") if name in names] or [names[0], names[-1]]


def _code(name: str) -> int | None:
    """The value or colour (#rrggbb) that an entry of `data.ignore` is; None: it is a name."""
    if re.fullmatch(r"#[0-9a-fA-F]{6}", name):
        return int(name[1:], 16)
    return int(name) if name.isdigit() else None


def _strange(ignore: Sequence[str], codes: np.ndarray, file: ClassFile | None) -> tuple[str, ...]:
    """A warning of entries of `data.ignore` that no mask holds and that are no names of the file of classes."""
    held, names = {IGNORED, *codes.tolist(), *(codes & 255).tolist()}, file.names if file else ()
    strange = [name for name in ignore if name not in names and _code(name) not in held]
    return (f"warning: no mask holds {', '.join(strange)}, which config.data.ignore names",) if strange else ()


def _are_objects(seen: Mapping[Path, Seen]) -> bool:
    """Whether values number objects: in every mask 0, 1, 2, ... without a gap, of differing numbers, each one piece."""
    from scipy import ndimage

    values = [one.codes[one.codes != IGNORED] for one in seen.values()]
    if any((one != np.arange(len(one))).any() for one in values) or len({len(one) for one in values}) < 2:
        return False
    if max(map(len, values)) < 4:  # ground and one or two classes look the same
        return False
    pieces = []
    for path in list(seen)[:: max(1, len(seen) // PIECES)]:
        codes, _ = files.read(path)
        for value in np.unique(codes[(codes != 0) & (codes != IGNORED)]):
            _, number = ndimage.label(codes == value)  # pyright: ignore[reportGeneralTypeIssues]
            pieces.append(number == 1)
    return bool(np.mean(pieces) >= ONE_PIECE)


def _shown(codes: Sequence[int]) -> str:
    return labels.cut([f"#{code:06x}" if code > 0xFFFF else str(code) for code in codes])
