"""What the values of masks mean: the class of each value or colour, found in the masks and in a file of classes."""

import dataclasses
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from tljax.core.errors import DataError
from tljax.core.types import IGNORED
from tljax.data import labels, pictures
from tljax.data.masks.class_file import ClassFile

ONE_CHANNEL = ("1", "L", "P", "I", "I;16", "I;16B")  # PIL's modes: bits, grey, palette, deep grey
COLOURS = ("RGB", "RGBA")
MOST = 200  # classes that masks without a file of classes may have
PIECES = 40  # masks in which the values are looked at as objects
ONE_PIECE = 0.8  # of the values of instance masks, this share at least is one connected piece


@dataclasses.dataclass(frozen=True)
class Seen:
    """What one mask holds."""

    codes: np.ndarray  # its values, or its colours as 0xRRGGBB, sorted
    counts: np.ndarray  # their pixels
    colours: bool
    shape: tuple[int, ...]
    palette: Mapping[int, int] = dataclasses.field(default_factory=dict)  # value -> its colour, where masks say it


@dataclasses.dataclass(frozen=True)
class Meaning:
    """Code -> class; IGNORED for a code that counts for nothing."""

    classes: tuple[str, ...]
    numbers: Mapping[int, int]
    grey: bool = False  # colours are grey: a code is the value of one channel
    instances: bool = False  # every code that is not 0 is an object, of class 1
    painted: bool = False  # a mask with a palette is read by its colours, not by its values
    note: str = ""

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


def read(path: Path, *, painted: bool = False, most: int = pictures.MOST) -> tuple[np.ndarray, bool]:
    """(The codes of a mask (H, W) int32, whether they are colours).

    Args:
      painted: a mask with a palette is read by its colours.
      most: the most pixels that it may have.

    Raises:
      ValueError: it is not a whole picture, has other channels than a mask, or too many pixels.
    """
    mode, array, palette = _decoded(path, most)
    if mode == "P" and painted:
        if (last := int(array.max(initial=0))) >= len(palette):
            raise ValueError(f"its palette has {len(palette)} colours, and it holds the value {last}")
        return palette[array], True
    if mode in ONE_CHANNEL:
        return array.astype(np.int32), False
    if mode not in COLOURS or (mode == "RGBA" and (array[..., 3] < 255).any()):
        raise ValueError(f"a mask must have one channel, a palette or opaque colours; its mode is {mode}")
    return _joined(array), True


def _decoded(path: Path, most: int) -> tuple[str, np.ndarray, np.ndarray]:
    """(PIL's mode of a picture, its pixels, the colours of its palette as 0xRRGGBB)."""
    try:
        with Image.open(path, formats=pictures.FORMATS) as image:
            if image.width * image.height > most:
                raise ValueError(
                    f"it has {image.width:,} x {image.height:,} pixels, more than config.data.max_pixels ({most:,})"
                )
            palette = np.array(image.getpalette() or [], np.uint8).reshape(-1, 3)
            return image.mode, np.asarray(image), _joined(palette)
    except Exception as error:  # decoders raise many kinds for damaged files
        raise ValueError(f"not a whole mask: {error}") from error


def _joined(colours: np.ndarray) -> np.ndarray:
    """Channels (..., 3 or 4) -> 0xRRGGBB, int32."""
    red, green, blue = (colours[..., i].astype(np.int32) for i in range(3))
    return (red << 16) | (green << 8) | blue


def look(masks: Sequence[Path], *, most: int = pictures.MOST) -> tuple[dict[Path, Seen], dict[Path, str]]:
    """(What every mask holds, the faults of those that cannot be read); `most` as in `read`."""

    def attempt(path: Path) -> Seen | str:
        try:
            codes, colours = read(path, most=most)
        except ValueError as error:
            return str(error)
        values, counts = np.unique(codes, return_counts=True)
        palette = {} if colours else _palette(path)
        known = {int(value): palette[int(value)] for value in values if int(value) in palette}
        return Seen(values, counts, colours, codes.shape, known)

    with ThreadPoolExecutor(pictures.THREADS) as pool:
        found = dict(zip(masks, pool.map(attempt, masks), strict=True))
    seen = {path: one for path, one in found.items() if isinstance(one, Seen)}
    return seen, {path: one for path, one in found.items() if isinstance(one, str)}


def _palette(path: Path) -> dict[int, int]:
    """Value -> colour of a mask with a palette; the file has been read before."""
    with Image.open(path, formats=pictures.FORMATS) as image:
        colours = (image.getpalette() or []) if image.mode == "P" else []
    return dict(enumerate(_joined(np.array(colours, np.uint8).reshape(-1, 3)).tolist()))


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
    grey = colours == {True} and bool((((codes >> 16) == (codes & 255)) & ((codes >> 8 & 255) == (codes & 255))).all())
    if file:
        return _by_file(file, colours == {True} and not grey, grey, ignore)
    if grey:
        codes = np.unique(codes & 255)
    if colours == {True} and not grey:
        return _by_value(codes, [f"#{code:06x}" for code in codes], ignore)
    if set(codes.tolist()) <= {0, 255}:
        return Meaning(("ground", thing), {0: 0, 255: 1}, grey, note=f"masks: 0 is ground, 255 is '{thing}'")
    if kind == "instances" or (kind == "auto" and not grey and _are_objects(seen)):
        most = max(code for code in codes if code != IGNORED)
        note = (
            f"masks: values 1 to {most} number objects in each picture, as it "
            f"seems: all are '{thing}', 0 is ground; where each value is a class: --config.data.mask_values=classes"
        )
        return Meaning(("ground", thing), {}, instances=True, note=note if kind == "auto" else "")
    return dataclasses.replace(_by_value(codes, [str(code) for code in codes], ignore), grey=grey)


def _by_file(file: ClassFile, colours: bool, grey: bool, ignore: Sequence[str]) -> Meaning:
    """The classes of the file, in its order, without those that count for nothing."""
    codes = file.colours if colours else file.values
    if not codes:
        raise DataError(
            f"The masks are colours, and '{file.path}' gives none. Write a line 'R G B name' for each class."
        )
    void = [name for name in file.names if name in file.void or name in ignore]
    classes = tuple(dict.fromkeys(name for name in file.names if name not in void))
    number = {name: i for i, name in enumerate(classes)}
    numbers = {code: number.get(name, IGNORED) for code, name in zip(codes, file.names, strict=True)}
    numbers |= {int(value): IGNORED for value in ignore if value.isdigit()}
    note = f"masks: {len(classes)} classes by '{file.path}'" + (f"; ignored: {', '.join(void)}" if void else "")
    return Meaning(classes, numbers if colours else {IGNORED: IGNORED} | numbers, grey, note=note)


def _by_value(codes: np.ndarray, names: Sequence[str], ignore: Sequence[str]) -> Meaning:
    """Every code that occurs is a class."""
    used = [
        (int(code), name) for code, name in zip(codes, names, strict=True) if code != IGNORED and name not in ignore
    ]
    if not 2 <= len(used) <= MOST:
        raise DataError(
            f"Masks must hold 2 to {MOST} values or colours, one for each class; these hold {len(used)} "
            f"({labels.cut([name for _, name in used])}). Give a file of classes, --config.data.class_file=FILE; for "
            f"masks that number objects, --config.data.mask_values=instances. JPEG changes colours: masks must be PNG."
        )
    numbers = (
        {int(code): IGNORED for code in codes} | {IGNORED: IGNORED} | {code: i for i, (code, _) in enumerate(used)}
    )
    note = (
        f"masks: every value is a class ({labels.cut([name for _, name in used])}), 255 counts for nothing; names: "
        f"--config.data.class_file=FILE, a name a line; a value for 'unlabelled': --config.data.ignore=\"('11',)\""
    )
    return Meaning(tuple(name for _, name in used), numbers, note=note)


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
        codes, _ = read(path)
        for value in np.unique(codes[(codes != 0) & (codes != IGNORED)]):
            _, number = ndimage.label(codes == value)  # pyright: ignore[reportGeneralTypeIssues]
            pieces.append(number == 1)
    return bool(np.mean(pieces) >= ONE_PIECE)


def _shown(codes: Sequence[int]) -> str:
    return labels.cut([f"#{code:06x}" if code > 0xFFFF else str(code) for code in codes])
