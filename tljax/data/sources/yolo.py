"""Boxes in YOLO's text files, one a picture: a line a box, "class x y width height", in shares of the picture.

x and y are the box's centre. Classes are numbers from 0; their names are in data.yaml or classes.txt.
Pictures lie in images/ and labels in labels/, at the same place below: DIR/images/train, DIR/labels/train; or
DIR/train/images, DIR/train/labels; or without splits. A longer line is a polygon, "class x y x y ..."; the box
around it is used. A picture without a text file has no boxes.
Format: https://docs.ultralytics.com/datasets/detect/.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from tljax.core.errors import DataError
from tljax.core.options import Option
from tljax.core.types import Dataset
from tljax.data import folders, labels, pictures
from tljax.data.boxes import annotated
from tljax.data.boxes.annotated import Annotated
from tljax.data.parts import splits

OPTIONS = {"dir": Option("", "The folder with images/ and labels/, and data.yaml or classes.txt.")}
IMAGES, LABELS = "images", "labels"


def load(config: ConfigDict) -> Dataset:
    """The splits that the config names.

    Raises:
      DataError: there are no pictures or no names of classes; see `annotated.dataset`.
    """
    root = Path(config.dir).expanduser()
    places, classes = find(root), _classes(root)
    names = splits.used(list(places), config)
    examples = {
        name: [_annotated(file, classes) for file in folders.inside(places[name], pictures.SUFFIXES)] for name in names
    }
    without = sum(not _text(one.file).is_file() for some in examples.values() for one in some if one.file)
    notes = [f"boxes: {without:,} pictures have no file of labels, and so no boxes"] if without else []
    unread = [name for name in places if name not in names]
    return annotated.dataset(examples, classes, config, source=str(root), notes=notes, unread=unread)


def find(root: Path) -> dict[str, Path]:
    """Split -> the folder of its pictures; "all" where nothing divides them.

    Raises:
      DataError: there is no folder images/.
    """
    below = [path for path in (folders.entries(root) if root.is_dir() else ()) if path.is_dir()]
    if (home := root / IMAGES).is_dir():
        inside = {path.name: path for path in folders.entries(home) if path.is_dir()}
        return inside or {"all": home}
    if splits := {path.name: path / IMAGES for path in below if (path / IMAGES).is_dir() and (path / LABELS).is_dir()}:
        return splits
    raise DataError(
        f"config.data.dir must hold {IMAGES}/ and {LABELS}/, with or without a folder a split in them, or a folder a "
        f"split that holds both; '{root}' does not."
    )


def has_boxes(place: Path) -> bool:
    """Whether the first text that belongs to a folder of pictures begins with a line of numbers, as boxes have."""
    texts = sorted(file for file in _text(place / "x").parent.glob("*.txt") if file.name != "classes.txt")
    try:
        lines = [line for file in texts[:1] for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        return len([float(word) for line in lines[:1] for word in line.split()]) >= 5
    except ValueError:
        return False


def _classes(root: Path) -> tuple[str, ...]:
    """The names of classes, by number: from data.yaml (any .yaml), else classes.txt."""
    import yaml

    for file in [*sorted(root.glob("*.y*ml")), root / "classes.txt", root / LABELS / "classes.txt"]:
        if not file.is_file():
            continue
        if file.suffix == ".txt":
            names: Any = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        else:
            try:
                content = yaml.safe_load(file.read_bytes())
            except yaml.YAMLError as error:
                raise DataError(f"'{file}' must be YAML: {error}.") from error
            names = content.get("names") if isinstance(content, Mapping) else None
        if isinstance(names, Mapping) and sorted(names, key=str) == sorted(range(len(names)), key=str):
            names = [names[i] for i in range(len(names))]
        if isinstance(names, Sequence) and not isinstance(names, str) and names and len(set(names)) == len(names):
            return tuple(map(str, names))
    raise DataError(
        f"'{root}' must hold the names of classes: data.yaml with 'names', a list or 0, 1, ... -> name, each name "
        f"once; or classes.txt with a name a line. It has neither."
    )


def _text(picture: Path) -> Path:
    """The file of labels of a picture: below labels/ in the place of the last images/ of its path."""
    parts = picture.parts
    last = max(i for i, part in enumerate(parts) if part == IMAGES)
    return Path(*parts[:last], LABELS, *parts[last + 1 :]).with_suffix(".txt")


def _annotated(file: Path, classes: Sequence[str]) -> Annotated:
    text, rows, faults = _text(file), [], []
    lines = text.read_text(encoding="utf-8").splitlines() if text.is_file() else []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                rows.append(_box(line, classes))
            except ValueError as error:
                faults.append(f"{text}:{number}: {error}")
    boxes = np.array(rows, float).reshape(-1, 5)
    return Annotated(file.name, file, boxes, str(text), shares=True, faults=tuple(faults))


def _box(line: str, classes: Sequence[str]) -> list[float]:
    """[top, left, bottom, right, class] in shares; ValueError if the line holds none."""
    words = line.split()
    try:
        number, *values = map(float, words)
    except ValueError:
        raise ValueError(f"a line must hold numbers, 'class x y width height'; it is '{line[:80]}'") from None
    if len(values) != 4 and (len(values) < 6 or len(values) % 2):
        raise ValueError(f"a line must hold 'class x y width height'; it holds {len(words)} numbers")
    if number not in range(len(classes)):
        hint = "; are classes counted from 1?" if number == len(classes) else ""
        named = labels.cut(list(classes))
        raise ValueError(f"there is no class {number:g}: they are 0 to {len(classes) - 1} ({named}){hint}")
    if any(value > 2 or not math.isfinite(value) for value in values):
        raise ValueError(f"places must be shares of the picture, from 0 to 1, not pixels; it holds {max(values):g}")
    if len(values) > 4:
        return [min(values[1::2]), min(values[::2]), max(values[1::2]), max(values[::2]), number]
    x, y, width, height = values
    return [y - height / 2, x - width / 2, y + height / 2, x + width / 2, number]
