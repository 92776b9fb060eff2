"""Pictures and their masks: which belong together, by the names of folders and files.

With or without a folder for each split, above or below: images/ and masks/, train/ and trainannot/; or in one folder.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tljax.core.errors import DataError
from tljax.data import folders, labels, pictures
from tljax.data.masks import lists

# What the name of a folder of masks, or of a mask, ends in; and of a folder of pictures.
MASKS = re.compile(
    r"[_\- ]?(annot(ation)?s?|masks?|labels?|label_?(train_?)?ids|gt(fine)?|ground_?truth|seg(mentation)?(class|s)?"
    r"|semantic)$",
    re.I,
)
PICTURES = re.compile(r"[_\- ]?(images?|imgs?|pictures?|photos?|jpegimages|leftimg8bit|rgb)$", re.I)
OTHERS = re.compile(r"_(color|instance(Train)?Ids|polygons)$", re.I)  # Cityscapes' other pictures beside a mask
TRAIN_IDS = re.compile(r"_label_?train_?ids$", re.I)  # its masks of the classes that count; 255 is void
LETTER = re.compile(r"_[LP]$")  # CamVid's masks: 0001TP_006690_L.png
JPEG = {".jpg", ".jpeg"}  # it changes values
SUFFIXES = pictures.SUFFIXES - JPEG | {".gif"}
DEEP = 4  # folders inside each other


class Pair(NamedTuple):
    """A folder of pictures and that of their masks, which may be the same."""

    split: str
    pictures: Path
    masks: Path


class Matched(NamedTuple):
    """The files of one split."""

    both: list[tuple[Path, Path]]  # a picture, its mask
    without: list[Path]  # pictures without a mask
    left: list[Path]  # masks without a picture


class Splits(NamedTuple):
    """The files of every split; "all" if neither folders nor lists name splits."""

    tables: dict[str, Matched]
    note: str = ""  # for the user


LAYOUT = """  FOLDER/images/1.jpg  FOLDER/masks/1.png
  FOLDER/train/images/1.jpg  FOLDER/train/masks/1.png      (or images/train, masks/train)
  FOLDER/train/1.png  FOLDER/trainannot/1.png              and so val, test
  FOLDER/1.jpg  FOLDER/1_mask.png                          (or 1_L.png, 1_label.png, 1.png)
  FOLDER/train.txt, val.txt, test.txt                      lists of pictures, where folders name no parts"""


def pairs(root: Path, masks: Path | None = None) -> list[Pair]:
    """The folders of pictures below `root` with their folders of masks.

    Args:
      masks: the folder of all masks; None: folders below `root` whose names say so.

    Raises:
      DataError: a folder of pictures has two folders of masks.
    """
    every = list(_below(root))
    if masks is None:
        of_masks = {place: _plain(place, root) for place in every if _is_of_masks(place, root)}
        of_pictures = {place: _plain(place, root) for place in every if place not in of_masks}
    else:
        of_masks = {place: _plain(place, masks) for place in _below(masks)}
        inside = {os.path.realpath(place) for place in of_masks}
        of_pictures = {place: _plain(place, root) for place in every if os.path.realpath(place) not in inside}
    if len(of_masks) == len(of_pictures) == 1:
        ((place, plain),), (mask,) = of_pictures.items(), of_masks
        return [Pair(_split(plain), place, mask)]
    found = []
    for place, plain in of_pictures.items():
        fit = [mask for mask, other in of_masks.items() if other == plain]
        if len(fit) > 1:
            raise DataError(
                f"'{place}' must have one folder of masks; {', '.join(map(str, fit))} may all be. Name it: --masks "
                f"FOLDER."
            )
        found += [Pair(_split(plain), place, mask) for mask in fit]
    if found or masks:
        return found
    return [
        Pair(_split(plain), place, place) for place, plain in of_pictures.items() if match(Pair("", place, place)).both
    ]


def match(pair: Pair) -> Matched:
    """The pictures and masks of a pair of folders, by the stems of their names.

    Raises:
      DataError: two masks belong to one picture.
    """
    named: dict[str, Path] = {}
    images, masks = _files(pair.pictures, pictures.SUFFIXES), _files(pair.masks, SUFFIXES)
    if pair.pictures == pair.masks:
        stems = {path.stem for path in images}
        photographs = {path.stem for path in images if path.suffix.lower() in JPEG}
        masks = [path for path in masks if _key(path.stem, MASKS) in stems - {path.stem} or path.stem in photographs]
        images = [path for path in images if path not in set(masks)]
    else:
        masks = [path for path in masks if not OTHERS.search(path.stem)]
        masks = [path for path in masks if TRAIN_IDS.search(path.stem)] or masks
    for path in masks:
        if (key := _key(path.stem, MASKS)) in named:
            raise DataError(
                f"A picture must have one mask; '{named[key].name}' and '{path.name}' in '{pair.masks}' may both be "
                f"that of '{key}'. Move one of them."
            )
        named[key] = path
    both, without = [], []
    for path in images:
        mask = named.pop(path.stem, None) or named.pop(_key(path.stem, PICTURES), None)
        if mask:
            both.append((path, mask))
        else:
            without.append(path)
    return Matched(both, without, list(named.values()))


def is_pairs(tables: Mapping[str, Matched]) -> bool:
    """Whether these are pictures and masks, by their files: most pictures of each split have a mask."""
    return bool(tables) and all(len(one.both) > len(one.without) for one in tables.values())


def splits(root: Path, masks: Path | None = None) -> Splits:
    """The files of every split, by the names of folders, else by lists.

    Raises:
      DataError: there are no such folders.
    """
    for place in (root, masks or root):
        if not place.is_dir():
            raise DataError(f"There must be a folder '{place}'; there is none.")
    found = pairs(root, masks)
    if not found:
        kept = [str(place.relative_to(root)) for place in _below(root)]
        raise DataError(
            f"'{root}' must hold pictures and their masks; its folders of pictures are {labels.cut(kept) or 'none'}. "
            f"Name the masks with --masks FOLDER, or rename the folders:\n{LAYOUT}"
        )
    table: dict[str, Matched] = {}
    for pair in found:
        one, more = table.setdefault(pair.split, Matched([], [], [])), match(pair)
        for mine, theirs in zip(one, more, strict=True):
            mine.extend(theirs)  # pyright: ignore[reportArgumentType]
    return _by_lists(table["all"], root, masks) if list(table) == ["all"] else Splits(table)


def _by_lists(every: Matched, root: Path, masks: Path | None) -> Splits:
    """The splits of lists in `root`, or in the folder that `root` and `masks` share."""
    files = [*(picture for picture, _ in every.both), *every.without]
    stems = {path.stem: number for number, path in enumerate(files)}
    shared = [root.parent] if masks and masks.resolve().parent == root.resolve().parent else []
    found = next(filter(None, (lists.find(place, stems) for place in (root, *shared))), None)
    if not found or len(stems) < len(files):  # two pictures of one name: an entry does not say which
        return Splits({"all": every})
    table, note = {}, found.note
    for name, numbers in found.splits.items():
        both = [every.both[i] for i in numbers if i < len(every.both)]
        without = [files[i] for i in numbers if i >= len(every.both)]
        absent = [root / word.lstrip("/") for word in found.absent.get(name, [])]
        if both:
            table[name] = Matched(both, [*without, *absent], [])
        else:
            note += f"; not {name}, whose pictures have no masks"
    return Splits(table, note) if table else Splits({"all": every})


def _below(root: Path, deep: int = DEEP) -> Iterator[Path]:
    """`root` and the folders below that hold pictures themselves, sorted."""
    if any(folders.is_example(path, pictures.SUFFIXES | SUFFIXES) for path in folders.entries(root)):
        yield root
    for path in folders.entries(root) if deep else ():
        if path.is_dir():
            yield from _below(path, deep - 1)


def _files(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    return [path for path in folders.entries(folder) if folders.is_example(path, suffixes)]


def _is_of_masks(place: Path, root: Path) -> bool:
    return any(MASKS.search(name) for name in place.relative_to(root).parts)


def _plain(place: Path, root: Path) -> tuple[str, ...]:
    """The names from `root` to a folder, without what says pictures or masks."""
    names = (PICTURES.sub("", MASKS.sub("", name)) for name in place.relative_to(root).parts)
    return tuple(name.lower() for name in names if name)


def _split(plain: tuple[str, ...]) -> str:
    return plain[0] if plain else "all"


def _key(stem: str, words: re.Pattern[str]) -> str:
    """A stem without the words that say what the file is."""
    while (shorter := words.sub("", stem)) not in (stem, ""):
        stem = shorter
    return LETTER.sub("", stem) if words is MASKS else stem
