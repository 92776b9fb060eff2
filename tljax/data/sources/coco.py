"""Boxes in COCO's JSON: "images", "annotations" with bbox [x, y, width, height], "categories".

`data.dir` is one such file, to be divided; or a folder of them, a split each; or a folder of folders with one each.
Format: https://cocodataset.org/#format-data.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from tljax.core import untrusted
from tljax.core.errors import DataError
from tljax.core.options import Option
from tljax.core.types import Dataset, Json
from tljax.data import folders, labels
from tljax.data.boxes import annotated, doubts
from tljax.data.boxes.annotated import Annotated
from tljax.data.parts import splits

OPTIONS = {
    "dir": Option("", "A COCO json, or a folder of them."),
    "pictures": annotated.PICTURES,
    "first_pixel": annotated.FIRST_PIXEL,
}
KEYS = ("images", "annotations", "categories")
ADVICE = " (COCO's bbox is [x, y, width, height]; where pixels are counted from 1, set config.data.first_pixel=1)"


def load(config: ConfigDict) -> Dataset:
    """The splits of the files that the config names. Annotations of crowds ("iscrowd") are left out, and counted.

    Raises:
      DataError: there is no such file, it is not COCO's JSON, categories of splits differ; see `annotated.dataset`.
    """
    root = Path(config.dir).expanduser()
    files = find(root)
    names = splits.used(list(files), config)
    contents = {name: _read(files[name]) for name in names}
    classes = _classes({files[name]: contents[name] for name in names})
    examples, orphans, crowds = {}, [], 0
    for name in names:
        examples[name], lost, left = _pictures(contents[name], files[name], classes, config)
        orphans, crowds = orphans + lost, crowds + left
    every = [one for some in examples.values() for one in some]
    doubts.refuse_corners([one.boxes for one in every], [one.size for one in every], str(root))
    notes = [f"boxes: {crowds:,} of crowds (iscrowd) are left out"] if crowds else []
    unread = [name for name in files if name not in names]
    return annotated.dataset(
        examples, classes, config, source=str(root), advice=ADVICE, orphans=orphans, notes=notes, unread=unread
    )


def find(root: Path) -> dict[str, Path]:
    """Split -> its file; of one file "all".

    Raises:
      DataError: there is none.
    """
    if root.is_file():
        return {"all": root}
    if root.is_dir():
        for place in (root, root / "annotations"):
            if place.is_dir() and (inside := _jsons(place)):
                return {file.stem: file for file in inside}
        below = {path.name: _jsons(path) for path in folders.entries(root) if path.is_dir()}
        if single := {name: inside[0] for name, inside in below.items() if len(inside) == 1}:
            return single
    raise DataError(
        f"config.data.dir must be a COCO json, or a folder of them: DIR/train.json DIR/val.json, "
        f"DIR/annotations/*.json, or DIR/train/x.json DIR/valid/x.json; '{root}' is none of these."
    )


def is_coco(file: Path) -> bool:
    """Whether a JSON file has the lists of COCO with boxes."""
    try:
        _read(file)
    except DataError:
        return False
    return True


def _jsons(folder: Path) -> list[Path]:
    return [path for path in folders.entries(folder) if path.suffix.lower() == ".json" and path.is_file()]


def _read(file: Path) -> Json:
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"'{file}' must be a COCO json: {error}.") from error
    missing = [key for key in KEYS if not (isinstance(content, dict) and isinstance(content.get(key), list))]
    strange = [key for key in KEYS if key not in missing and not all(isinstance(x, dict) for x in content[key])]
    if missing or strange:
        raise DataError(
            f"'{file}' must hold COCO's lists of objects {', '.join(KEYS)}; it lacks {', '.join(missing + strange)}."
        )
    return content


def _classes(contents: Mapping[Path, Json]) -> tuple[str, ...]:
    """Names of categories in the order of their ids, which must be the same in all files."""
    tables = {file: _table(content, file) for file, content in contents.items()}
    first, *others = tables
    for other in others:
        if differ := sorted(set(tables[first].values()) ^ set(tables[other].values())):
            raise DataError(
                f"All splits must have the same categories; '{first}' and '{other}' differ in {labels.cut(differ)}."
            )
    return tuple(name for _, name in sorted(tables[first].items(), key=lambda pair: str(pair[0]).zfill(20)))


def _table(content: Json, file: Path) -> dict[Any, str]:
    """Id of a category -> its name."""
    pairs = [(one.get("id"), one.get("name")) for one in content["categories"]]
    bad = [f"{pair}" for pair in pairs if not isinstance(pair[0], int | str) or not isinstance(pair[1], str)]
    for values in zip(*pairs, strict=True) if not bad else ():
        bad += [f"{value} twice" for value in dict.fromkeys(values) if values.count(value) > 1]
    if bad or not pairs:
        raise DataError(
            f"'{file}' must hold categories, each with an id and a name of its own; not so: {labels.cut(bad)}."
        )
    return dict(pairs)


def _pictures(
    content: Json, file: Path, classes: tuple[str, ...], config: ConfigDict
) -> tuple[list[Annotated], list[str], int]:
    """(Every picture with its boxes; "place: reason" of annotations without a picture; the number of crowds)."""
    if strange := [one.get("id") for one in content["images"] if not isinstance(one.get("id"), int | str)]:
        raise DataError(
            f"'{file}' must give every picture an id, a whole number or a text; {len(strange):,} are not so: "
            f"{labels.cut([untrusted.shown(one) for one in strange])}."
        )
    known = {one["id"]: one for one in content["images"]}
    names = [str(one.get("file_name")) for one in content["images"]]
    if len(known) < len(names) or len(set(names)) < len(names):
        double = [name for name in dict.fromkeys(names) if names.count(name) > 1][: labels.SHOWN]
        raise DataError(
            f"'{file}' must name every picture once, under an id of its own; {len(names):,} pictures have "
            f"{len(known):,} ids{', twice: ' + labels.cut(double) if double else ''}."
        )
    numbers = {number: classes.index(name) for number, name in _table(content, file).items()}
    boxes, faults = ({number: [] for number in known} for _ in range(2))
    orphans, crowds = [], 0
    for place, one in enumerate(content["annotations"]):
        crowds += bool(one.get("iscrowd"))
        annotation = f"{file}: annotation {one.get('id', place)}"
        if not _among(one.get("image_id"), known):
            orphans.append(f"{annotation}: no picture has the image_id {untrusted.shown(one.get('image_id'))}")
        elif why := _fault(one, numbers):
            faults[one["image_id"]].append(f"{annotation}: {why}")
        elif not one.get("iscrowd"):
            left, top, width, height = one["bbox"]
            number = numbers[one["category_id"]]
            boxes[one["image_id"]].append([top, left, top + height, left + width, number])
    files = annotated.located(names, file.parent, config)
    shift = np.array([max(config.first_pixel, 0)] * 4 + [0])
    examples = [
        Annotated(
            name,
            files[name],
            np.array(boxes[number], float).reshape(-1, 5) - shift,
            str(file),
            _size(one),
            faults=tuple(faults[number]),
        )
        for name, (number, one) in zip(names, known.items(), strict=True)
    ]
    return examples, orphans, crowds


def _size(image: Json) -> tuple[int, int] | None:
    """(H, W); None where they do not stand there."""
    sides = image.get("height"), image.get("width")
    fit = all(isinstance(side, int | float) and 0 < side < annotated.LONGEST and side == int(side) for side in sides)
    return (int(sides[0]), int(sides[1])) if fit else None  # pyright: ignore[reportArgumentType] -- numbers


def _among(number: object, known: Mapping[Any, object]) -> bool:
    return isinstance(number, int | str) and number in known


def _is_number(x: object) -> bool:
    """Whether it is a number of the size of floats; `annotated` names those that are not finite."""
    return isinstance(x, float) or (isinstance(x, int) and not isinstance(x, bool) and abs(x) < untrusted.FINITE)


def _fault(one: Json, categories: Mapping[Any, int]) -> str:
    """Why an annotation cannot be used; "" if it can."""
    box = one.get("bbox")
    if not _among(one.get("category_id"), categories):
        known = labels.cut([*map(str, categories)])
        return f"no category has the category_id {untrusted.shown(one.get('category_id'))} (there are {known})"
    if not (isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))):
        return f"bbox must be [x, y, width, height]; it is {untrusted.shown(box)}"
    return ""
