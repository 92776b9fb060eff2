"""A folder: class folders of pictures or texts, with or without parts above them; or tables."""

from collections.abc import Collection, Mapping
from pathlib import Path

from tljax.core import plugins
from tljax.core.errors import DataError
from tljax.data import folders, pictures
from tljax.data.labels import cut
from tljax.data.tables import SUFFIXES as TABLES
from tljax.given import kinds, parts, table
from tljax.given.found import Changes, Found

LAYOUTS = """  FOLDER/cat/1.jpg  FOLDER/dog/2.jpg                    a folder a class
  FOLDER/train/cat/1.jpg  FOLDER/test/cat/2.jpg         parts above them
  FOLDER/labels.csv  FOLDER/images/1.jpg                a table with a column of paths
  FOLDER/images/1.jpg  FOLDER/masks/1.png               pictures and their masks (or --masks FOLDER)
  FOLDER/x.json  FOLDER/images/1.jpg                    COCO's boxes; or Pascal VOC's, or YOLO's"""
MASKS = {"masks", "mask", "annotations", "labels", "gt", "segmentation"}
DEEP = 4  # the most nested folders that hold only one folder


def look(root: Path, asked: Changes) -> Found:
    """The content of a folder.

    Args:
      asked: keys that the user has set, which may give the meaning of a table's columns.

    Raises:
      DataError: the folder has no examples; the message shows the layouts.
    """
    root, notes = inside(root)
    texts = plugins.find("sources", "text_folder").SUFFIXES
    kinds = (("image_folder", "image", pictures.SUFFIXES), ("text_folder", "tokens", texts))
    for source, kind, suffixes in kinds:
        if found := _classes(root, source, kind, suffixes):
            return Found(found.input, found.labels, found.changes, found.counts, found.examples, notes + found.notes)
    tables = [path for path in folders.entries(root) if path.is_file() and path.suffix.lower() in TABLES]
    if tables:
        return table.look(tables[0] if len(tables) == 1 else root, asked)
    loose = [path for path in folders.entries(root) if folders.is_example(path, pictures.SUFFIXES)]
    said = f"{len(loose):,} pictures lie in it at once, and nothing says their classes" if loose else "it holds neither"
    raise DataError(
        f"'{root}' must hold class folders with pictures or texts, or a table; {said}. The layouts:\n{LAYOUTS}"
    )


def inside(root: Path) -> tuple[Path, tuple[str, ...]]:
    """The folder; if it holds only one folder, as after unpacking an archive, that inner folder."""
    place = root
    for _ in range(DEEP):
        entries = folders.entries(place)
        below = [path for path in entries if path.is_dir()]
        if len(below) != 1 or any(path.suffix.lower() in TABLES for path in entries):
            break
        if any(folders.is_example(path, pictures.SUFFIXES) for path in folders.entries(below[0])):
            break  # a single class; what is said of it then names this folder
        place = below[0]
    return place, (f"folder: '{root}' holds '{place.relative_to(root)}' alone, which is read",) if place != root else ()


def _classes(root: Path, source: str, kind: str, suffixes: Collection[str]) -> Found | None:
    """Class folders with such files; None if there are fewer than two."""
    places = [path for path in folders.entries(root) if path.is_dir()]
    flat = {path.name: count for path in places if (count := _count(path, suffixes))}
    nested = {path.name: found for path in places if (found := _counts(path, suffixes))}
    inner = sum(sum(found.values()) for found in nested.values())
    if nested and len(flat) > 1 and sum(flat.values()) > inner:
        raise DataError(
            f"Class folders must hold their files themselves; in '{root}' {cut(list(nested))} have folders of files in "
            f"them ({inner:,} files), beside {len(flat)} class folders with {sum(flat.values()):,}. Move those files "
            f"up, or the folders out."
        )
    if nested:
        strange = _strange(nested)
        totals = {name: sum(found.values()) for name, found in nested.items() if name not in strange}
        changes, learned, notes = parts.of(totals, "classes")
        notes += tuple(
            f"parts: '{name}' is left out, for none of its classes ({cut(list(nested[name]))}) is learned from"
            for name in strange
        )
        summed: dict[str, int] = {}
        for name in learned:
            for one, number in nested[name].items():
                summed[one] = summed.get(one, 0) + number
        counts = summed
    else:
        changes, learned, notes = parts.of({"all": sum(flat.values())}, "classes")
        counts = flat
    if len(counts) < 2:
        return None
    _refuse_masks(root, counts)
    counts = kinds.counts(name for name, number in counts.items() for _ in range(number))
    changes = {"data.source": source, "data.dir": str(root), **changes}
    return Found(kind, "classes", changes, counts, sum(counts.values()), notes)


def _strange(nested: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Test or validation parts without a class of the training part, as folders of pictures without labels."""
    train = next((found for name, found in nested.items() if parts.role(name) == "train"), {})
    return [name for name, found in nested.items() if train and parts.role(name) and not set(found) & set(train)]


def _refuse_masks(root: Path, counts: Mapping[str, int]) -> None:
    """Raise DataError if two folders are pictures and their masks instead of classes."""
    names = {name.lower(): name for name in counts}
    if len(names) == 2 and (masks := set(names) & MASKS):
        other = next(name for name in names if name not in masks)
        raise DataError(
            f"The folders in '{root}' must be classes; '{names[other]}' and '{names[masks.pop()]}' look like pictures "
            f"and their masks. Give a picture and its mask one name (1.jpg, 1.png); rename the folders where they are "
            f"classes."
        )


def _counts(folder: Path, suffixes: Collection[str]) -> dict[str, int]:
    """Class folder -> number of files, for one part."""
    below = [path for path in folders.entries(folder) if path.is_dir()]
    return {path.name: count for path in below if (count := _count(path, suffixes))}


def _count(folder: Path, suffixes: Collection[str]) -> int:
    return sum(folders.is_example(path, suffixes) for path in folders.entries(folder))
