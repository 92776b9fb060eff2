"""Pictures with boxes: a COCO json, or a folder of COCO's, Pascal VOC's or YOLO's annotations, and its parts."""

from collections.abc import Callable, Sequence
from pathlib import Path

from ml_collections import ConfigDict

from tljax.core import config_files, plugins
from tljax.core.errors import DataError
from tljax.core.types import Dataset
from tljax.data import labels
from tljax.data.masks import layout
from tljax.data.parts import groups
from tljax.data.sources import coco, voc, yolo
from tljax.given import folder, masks, parts
from tljax.given.found import Changes, Found

COCO = ".json"  # a file with this ending must be COCO's
LOOKED_AT = 5  # files that are looked at, to tell annotations from others


def look(place: Path, asked: Changes) -> Found | None:
    """What is there; None if the folder holds no annotations of boxes.

    Args:
      place: a COCO json, or a folder.
      asked: keys that the user has set; with `data.masks`, boxes are not looked for.

    Raises:
      DataError: the file is no COCO json, or pictures or boxes are faulty.
    """
    if "data.masks" in asked:
        return None
    if place.is_file() and not coco.is_coco(place):
        raise DataError(
            f"A {COCO} file must be COCO's, with {', '.join(coco.KEYS)}; '{place}' is not. Of a file with one array of "
            f"rows, write each row on a line of a .jsonl file."
        )
    root, inside = (place, ()) if place.is_file() else folder.inside(place)
    kind, splits, notes = _kind(root)
    if not kind:
        return None
    dataset = _loaded(kind, root, splits, asked)
    changes, learned, divided = parts.of({name: len(dataset.splits[name]) for name in splits}, "boxes")
    files = [Path(file) for name in learned for file in groups.files_of(dataset.splits[name])]
    keys: Changes = {"data.source": kind, "data.dir": str(root), **changes}
    classes = dataset.info.classes
    note = f"boxes: {kind} in '{root}', pictures in '{files[0].parent}'; classes: {labels.cut(list(classes))}"
    return Found(
        "image",
        "boxes",
        keys,
        {},
        len(files),
        (*inside, note, *notes, *_masks(root), *divided),
        masks.proportions(files),
    )


def _masks(root: Path) -> tuple[str, ...]:
    """A note where masks lie beside the boxes, as VOC has them; the user may mean these."""
    try:
        pairs = layout.pairs(root) if root.is_dir() else []
    except DataError:
        return ()
    apart = [pair for pair in pairs if pair.masks != pair.pictures and layout.match(pair).both]
    return (
        (f"masks: '{apart[0].masks}' holds some too; for the class of each pixel: --masks {apart[0].masks}",)
        if apart
        else ()
    )


def _kind(root: Path) -> tuple[str, Sequence[str], tuple[str, ...]]:
    """(The source, "" if there is none; its splits; notes)."""
    if root.is_file() or _is(coco.find, root):
        files = coco.find(root)
        splits = [name for name, file in files.items() if root.is_file() or coco.is_coco(file)]
        others = [str(file) for name, file in files.items() if name not in splits]
        if splits:
            return "coco", splits, (f"boxes: no COCO json with boxes: {labels.cut(others)}",) if others else ()
    if _is(voc.find, root):
        files = voc.find(root)
        if any(voc.is_voc(file) for inside in files.values() for file in inside[:LOOKED_AT]):
            return "voc", list(files), ()
    if _is(yolo.find, root) and any(map(yolo.has_boxes, (places := yolo.find(root)).values())):
        return "yolo", list(places), ()
    return "", (), ()


def _is(find: Callable[[Path], object], root: Path) -> bool:
    """Whether a source's `find` knows the layout of a folder."""
    try:
        find(root)
    except DataError:
        return False
    return True


def _loaded(kind: str, root: Path, splits: Sequence[str], asked: Changes) -> Dataset:
    """All splits, with every box checked; no picture is decoded."""
    source, data = plugins.find("sources", kind), config_files.default().data.to_dict()
    data |= {name: option.default for name, option in source.OPTIONS.items()}
    data |= {"dir": str(root), "unreadable": "skip", "divide": tuple(splits), "fractions": parts.SHARES[True]}
    for name in ("pictures", "first_pixel", "unreadable"):
        if (value := asked.get(f"data.{name}")) is not None:
            data[name] = int(str(value)) if name == "first_pixel" else value
    return source.load(ConfigDict(data))
