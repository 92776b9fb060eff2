"""A folder of pictures with masks: which folders belong together, and which parts they are."""

from pathlib import Path

import numpy as np
from PIL import Image

from tljax.data.masks import layout
from tljax.given import parts
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
    place = Path(named).expanduser() if named else None
    if not named and not _are_masks(root):
        return None
    tables = layout.splits(root, place)
    changes, learned, notes = parts.of({name: len(one.both) for name, one in tables.items()})
    pictures = [picture for name in learned for picture, _ in tables[name].both]
    keys: Changes = {"data.source": "image_masks", "data.dir": str(root), **changes}
    folders = "; ".join(f"'{pair.pictures}' with masks in '{pair.masks}'" for pair in layout.pairs(root, place))
    return Found("image", "maps", keys, {}, len(pictures), (f"folders: {folders}", *notes), proportions(pictures))


def _are_masks(root: Path) -> bool:
    """Whether folders are called so, most pictures have a mask, and masks have few values."""
    pairs = layout.pairs(root)
    if not layout.is_pairs(pairs):
        return False
    masks = [mask for pair in pairs for _, mask in layout.match(pair).both[:LOOKED_AT]]
    return all(map(_has_few_values, masks))


def _has_few_values(mask: Path) -> bool:
    try:
        with Image.open(mask) as image:
            return bool(image.convert("RGB").getcolors(FEW) if image.mode not in ("I", "I;16", "F") else True)
    except OSError:
        return True  # a damaged mask is named when it is read


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
