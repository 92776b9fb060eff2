"""A folder of pictures with masks: which folders belong together, and which parts they are."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from tljax.core.errors import DataError
from tljax.data import folders
from tljax.data.masks import class_file, layout
from tljax.data.masks.layout import Matched
from tljax.given import folder, parts
from tljax.given.found import Changes, Found

MEASURED = 50  # pictures whose sizes are looked at
FEW = 64  # values of a mask; a photograph has more
LOOKED_AT = 5  # masks that are looked at, to tell them from photographs


def look(root: Path, asked: Changes) -> Found | None:
    """What is there; None if the folder holds no masks.

    Args:
      asked: keys that the user has set; with `data.masks` there must be masks.

    Raises:
      DataError: `data.masks` is set, and there are none.
    """
    named = str(asked.get("data.masks", ""))
    place, notes = Path(named).expanduser() if named else None, ()
    if not named:
        root, notes = folder.inside(root)
        if not _are_masks(root):
            found = _by_contents(root)
            if found is None:
                return None
            root, place = found
    tables = layout.splits(root, place).tables
    changes, learned, said = parts.of({name: len(one.both) for name, one in tables.items()}, "maps")
    pictures = [picture for name in learned for picture, _ in tables[name].both]
    keys: Changes = {"data.source": "image_masks", "data.dir": str(root), **changes}
    keys |= {"data.masks": str(place)} if place else {}
    if file := class_file.find(root, place or root):
        keys["data.class_file"] = str(file)  # in the config, so that `evaluate` has it for pictures elsewhere
    shown = "; ".join(f"'{pair.pictures}' with masks in '{pair.masks}'" for pair in layout.pairs(root, place))
    return Found("image", "maps", keys, {}, len(pictures), (*notes, f"folders: {shown}", *said), proportions(pictures))


def _are_masks(root: Path) -> bool:
    """Whether most pictures of these folders have a mask, and masks have few values."""
    tables = layout.splits(root).tables if layout.pairs(root) else {}
    return layout.is_pairs(tables) and all(_has_few_values(mask) for _, mask in _some(tables))


def _some(tables: Mapping[str, Matched]) -> list[tuple[Path, Path]]:
    """A few pictures of every split, with their masks."""
    return [two for one in tables.values() for two in one.both[:LOOKED_AT]]


def _by_contents(root: Path) -> tuple[Path, Path] | None:
    """(The folder of pictures, that of masks) where names do not say it; None if it is not so.

    They are the only two folders of `root`; the files of one are masks, by their values and sizes, of the photographs
    of the same names in the other.
    """
    below = [path for path in folders.entries(root) if path.is_dir()]
    for pictures, masks in (below, below[::-1]) if len(below) == 2 else ():
        try:
            tables = layout.splits(pictures, masks).tables
        except DataError:  # no names fit, or two folders of masks may be meant
            continue
        both = _some(tables) if layout.is_pairs(tables) else []
        if both and all(_has_few_values(mask) and not _has_few_values(one) and _alike(one, mask) for one, mask in both):
            return pictures, masks
    return None


def _has_few_values(mask: Path) -> bool:
    try:
        with Image.open(mask) as image:
            return bool(image.convert("RGB").getcolors(FEW) if image.mode not in ("I", "I;16", "F") else True)
    except OSError:
        return True  # a damaged mask is named when it is read


def _alike(one: Path, other: Path) -> bool:
    """Whether two pictures are of one size."""
    with Image.open(one) as first, Image.open(other) as second:
        return first.size == second.size


def proportions(pictures: list[Path]) -> tuple[int, int]:
    """Height and width of the picture in the middle, by their quotient, of some that can be read."""
    sizes = []
    for path in pictures[:: max(1, len(pictures) // MEASURED)]:
        try:
            with Image.open(path) as image:
                sizes.append((image.height, image.width))
        except OSError:
            continue  # named when it is read
    if not sizes:
        return 1, 1
    return sizes[int(np.argsort([height / width for height, width in sizes])[len(sizes) // 2])]
