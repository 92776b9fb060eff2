"""Boxes in Pascal VOC's XML, a file a picture: <object><name>dog</name><bndbox><xmin>, <ymin>, <xmax>, <ymax>.

`data.dir` is the folder of VOC (Annotations/, JPEGImages/, and ImageSets/Main/train.txt, val.txt, ... if it has
splits), or one with a folder a split (train/, val/), or a folder of pictures with their XML beside them.
Everingham et al. 2010; pixels are counted from 1, and xmax is the last one.
"""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from ml_collections import ConfigDict

from tljax.core.errors import DataError
from tljax.core.options import Option
from tljax.core.types import Dataset
from tljax.data import folders, pictures
from tljax.data.boxes import annotated
from tljax.data.boxes.annotated import Annotated
from tljax.data.parts import splits

OPTIONS = {
    "dir": Option("", "The folder with Annotations/, or with XML files."),
    "pictures": annotated.PICTURES,
    "first_pixel": annotated.FIRST_PIXEL,
}
ADVICE = " (where pixels are counted from 0, set config.data.first_pixel=0)"
CORNERS = ("ymin", "xmin", "ymax", "xmax")
LISTS = ("train", "val", "test", "trainval")  # ImageSets/Main/<name>.txt; others there are of a class each


@dataclasses.dataclass(frozen=True)
class Content:
    """What an XML file says."""

    picture: str = ""  # its name
    size: tuple[int, int] | None = None  # (H, W)
    objects: tuple[tuple[str, tuple[float, ...]], ...] = ()  # name and CORNERS of each
    faults: tuple[str, ...] = ()


def load(config: ConfigDict) -> Dataset:
    """The splits that the config names. Classes are the names that occur, in alphabetical order. Boxes that are marked
    difficult or truncated count like others.

    Raises:
      DataError: there are no XML files, or a list names none; see `annotated.dataset`.
    """
    root = Path(config.dir).expanduser()
    files = find(root)
    names = splits.used(list(files), config)
    contents = {file: _read(file) for name in names for file in files[name]}
    objects = [one for content in contents.values() for one in content.objects]
    classes = tuple(sorted({name for name, _ in objects}))
    first, notes = _first_pixel(config.first_pixel, [corner for _, corners in objects for corner in corners[:2]])
    number = {name: i for i, name in enumerate(classes)}

    def of(file: Path, content: Content) -> Annotated:
        rows = [[*corners, number[name]] for name, corners in content.objects]
        boxes = np.array(rows, float).reshape(-1, 5) - np.array([first, first, 0, 0, 0])
        name, picture = content.picture or file.stem, _picture(file, content.picture, root, config)
        return Annotated(name, picture, boxes, str(file), content.size, faults=content.faults)

    examples = {name: [of(file, contents[file]) for file in files[name]] for name in names}
    unread = [name for name in files if name not in names]
    settled = {} if config.first_pixel >= 0 else {"first_pixel": first}
    return annotated.dataset(
        examples, classes, config, source=str(root), advice=ADVICE, notes=notes, unread=unread, settled=settled
    )


def find(root: Path) -> dict[str, list[Path]]:
    """Split -> its XML files; "all" where nothing divides them.

    Raises:
      DataError: there are none, or a list of ImageSets/Main names files that are not there.
    """
    home = root / "Annotations" if (root / "Annotations").is_dir() else root
    if inside := _xmls(home):
        lists = {name: root / "ImageSets" / "Main" / f"{name}.txt" for name in LISTS}
        named = {name: _listed(file, home) for name, file in lists.items() if file.is_file()}
        return named or {"all": inside}
    below = {path.name: _xmls(path) for path in (folders.entries(home) if home.is_dir() else ()) if path.is_dir()}
    if splits := {name: inside for name, inside in below.items() if inside}:
        return splits
    raise DataError(
        f"config.data.dir must hold Annotations/*.xml with JPEGImages/, a folder a split, or XML files beside their "
        f"pictures; '{root}' has none of these."
    )


def is_voc(file: Path) -> bool:
    """Whether an XML file holds boxes as Pascal VOC writes them."""
    return bool(_read(file).objects)


def _xmls(folder: Path) -> list[Path]:
    return [path for path in folders.entries(folder) if path.suffix.lower() == ".xml" and path.is_file()]


def _listed(file: Path, home: Path) -> list[Path]:
    lines = file.read_text(encoding="utf-8").splitlines()
    files = [home / f"{line.split()[0]}.xml" for line in lines if line.split()]
    if lost := [path.name for path in files if not path.is_file()]:
        raise DataError(f"Every line of '{file}' must name a file of '{home}'; there is no {', '.join(lost[:10])}.")
    return files


def _read(file: Path) -> Content:
    try:
        content = file.read_bytes()
        if b"<!ENTITY" in content:
            raise ValueError("it declares entities, which an annotation has no use for")
        tree = ElementTree.fromstring(content)
    except (OSError, ValueError, LookupError, ElementTree.ParseError) as error:  # an encoding nobody knows: LookupError
        return Content(faults=(f"{file}: not an annotation of Pascal VOC: {error}",))
    objects, faults = [], []
    for place, one in enumerate(tree.iter("object"), start=1):
        name = (one.findtext("name") or "").strip()
        corners = [one.findtext(f"bndbox/{corner}") for corner in CORNERS]
        try:
            objects.append((name, tuple(float(text or "") for text in corners)))
        except ValueError:
            faults.append(f"{file}: object {place}: {', '.join(CORNERS)} must be numbers; they are {corners}")
        if not name:
            faults.append(f"{file}: object {place}: it must have a name")
    return Content((tree.findtext("filename") or "").strip(), _size(tree), tuple(objects), tuple(faults))


def _size(tree: ElementTree.Element) -> tuple[int, int] | None:
    """(H, W); None where it does not stand there: some programs write 0."""
    try:
        height, width = (int(tree.findtext(f"size/{side}") or "") for side in ("height", "width"))
    except ValueError:
        return None
    return (height, width) if all(0 < side < annotated.LONGEST for side in (height, width)) else None


def _first_pixel(asked: int, begins: Sequence[float]) -> tuple[int, list[str]]:
    """(The number of the first pixel, a note if it is not VOC's, or not that of these boxes)."""
    if asked >= 0:
        strange = asked == 1 and begins and min(begins) <= 0
        return asked, ["warning: boxes: some begin at pixel 0, and config.data.first_pixel=1 counts from 1: all may "
                       "lie a pixel too far up and left"] if strange else []  # fmt: skip
    if begins and min(begins) <= 0:
        return 0, ["boxes: some begin at pixel 0, so that all are counted from 0 and not from 1 as in VOC "
                   "(config.data.first_pixel)"]  # fmt: skip
    return 1, []


def _picture(file: Path, name: str, root: Path, config: ConfigDict) -> Path | None:
    """The picture of an XML file: by the name in it, else by the file's own name."""
    homes = [Path(config.pictures).expanduser()] if config.pictures else [root / "JPEGImages", file.parent, root]
    stems = [Path(name.replace("\\", "/")).name, *(f"{file.stem}{suffix}" for suffix in sorted(pictures.SUFFIXES))]
    return next((home / stem for home in homes for stem in stems if stem and os.path.isfile(home / stem)), None)
