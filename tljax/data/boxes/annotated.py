"""Pictures with boxes, as a file of annotations gives them: every box is checked before a picture is decoded."""

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
from ml_collections import ConfigDict

from tljax.core.errors import DataError
from tljax.core.options import Option
from tljax.core.types import Dataset, Info, Record
from tljax.data import folders, labels, pictures
from tljax.data.boxes import doubts
from tljax.data.picture import frames, turned

EDGE = 1.0  # pixels that a box may stand out of its picture: rounding, or pixels counted from 1; it is cut off
EDGE_SHARE = 0.005  # the same of boxes in shares of the picture
LONGEST = 2**31  # pixels: no picture has a side so long, and a size that is said to be no size
TRIED = 50  # names of pictures by which their folder is found
SIDES = ("top", "left", "bottom", "right")
FIRST_PIXEL = Option(
    -1,
    "The number of a picture's first row and column: 0 or 1; -1: 0 for COCO; 1 for VOC, unless a box begins at 0.",
    ("-1, 0 or 1", lambda x: x in (-1, 0, 1)),
)
PICTURES = Option("", 'The folder that names of pictures are relative to; "": found near the annotations.')


@dataclasses.dataclass(frozen=True)
class Annotated:
    """A picture and its boxes, unchecked."""

    name: str  # of the picture, as the annotations give it
    file: Path | None  # None: there is no such file
    boxes: np.ndarray  # (n, 5) float64, [top, left, bottom, right, class], in pixels counted from 0
    where: str  # the file of the annotations, for the user
    size: tuple[int, int] | None = None  # (H, W) that the annotations give
    shares: bool = False  # boxes are in shares of the picture, not in pixels
    faults: tuple[str, ...] = ()  # "place: reason" of its annotations that could not be read


class Boxed:
    """The pictures of one split with their boxes; a picture is decoded when it is read."""

    labels = None  # loaded with each picture

    def __init__(self, found: Sequence[Annotated], config: ConfigDict) -> None:
        self._found, self._config = list(found), config
        self.files = [one.file for one in found if one.file]

    def __len__(self) -> int:
        return len(self._found)

    def __getitem__(self, index: int) -> Record:
        one, file = self._found[index], self.files[index]
        image = pictures.read(file, channels=self._config.channels, most=self._config.max_pixels)
        return {"image": image, "label": _in_pixels(one, image.shape[:2]), "id": str(file)}


def dataset(
    found: Mapping[str, Sequence[Annotated]],
    classes: Sequence[str],
    config: ConfigDict,
    *,
    source: str,
    advice: str = "",
    orphans: Sequence[str] = (),
    notes: Sequence[str] = (),
    unread: Sequence[str] = (),
    settled: Mapping[str, int] = MappingProxyType({}),
) -> Dataset:
    """The splits, with every box checked.

    Args:
      advice: what else a user of this format can do about faulty boxes.
      orphans: "place: reason" of annotations that belong to no picture.
      notes: findings of the reader, for the user.
      settled: see `Info.settled`.

    Raises:
      DataError: boxes are no pixels; boxes or pictures are faulty (all are named), unless `data.unreadable` is
        "skip"; or there are none.
    """
    if not any(one.shares for some in found.values() for one in some):
        doubts.refuse_shares([one.boxes for some in found.values() for one in some], source)
    wrong, cut, kept, number = list(orphans), 0, {}, sum(map(len, found.values()))
    for split, some in found.items():
        kept[split] = []
        for one in some:
            boxes, bad, clipped = _checked(one)
            bad = [*one.faults, *bad] + ([] if one.file else [f"{one.where}: no picture '{one.name}'"])
            wrong, cut = [*wrong, *bad], cut + clipped
            kept[split] += [] if bad else [dataclasses.replace(one, boxes=boxes)]
    left = sum(map(len, kept.values()))
    if wrong and (config.unreadable != "skip" or left < number / 2):
        raise DataError(
            f"Every annotated picture must be a file, and each of its boxes must lie in it, with left < right and "
            f"top < bottom, and be of a known class; {number - left:,} of {number:,} pictures are not so:\n  "
            + "\n  ".join(wrong)
            + f"\nCorrect them{advice}; or set config.data.unreadable=skip to leave these pictures out, up to half of "
            f"all, counted and listed."
        )
    if not any(len(one.boxes) for some in kept.values() for one in some):
        raise DataError(f"'{source}' must hold boxes; {number} pictures are annotated, and none has a box.")
    said = [_counted(split, some, classes) for split, some in kept.items()]
    if cut:
        said.append(f"boxes: {cut} stood out of their picture by {EDGE:g} pixel or less, and were cut at its edge")
    said += doubts.repeated([one.boxes for some in kept.values() for one in some])
    there = [one.file for some in kept.values() for one in some if one.file]
    said += [*turned.notes(there, "boxes"), *frames.notes(there)]
    info = Info(
        tuple(classes), source, tuple(wrong), labels="boxes", notes=(*notes, *said), unread=tuple(unread),
        settled=dict(settled),
    )  # fmt: skip
    return Dataset({split: Boxed(some, config) for split, some in kept.items()}, info)


def _checked(one: Annotated) -> tuple[np.ndarray, list[str], int]:
    """(The boxes, cut at the edge; "place: reason" of those that are faulty; the number of boxes that were cut).

    If the size of a picture is not known yet, its boxes are compared with it when it is decoded.
    """
    boxes, edge = one.boxes, EDGE_SHARE if one.shares else EDGE
    height, width = (1.0, 1.0) if one.shares else one.size or (np.inf, np.inf)
    limits = np.array([height, width, height, width])
    corners = boxes[:, :4]
    clipped = corners.clip(0, limits)
    reasons = {
        "a number is not finite": ~np.isfinite(corners).all(axis=1),
        "right <= left or bottom <= top": _empty(corners),
        f"outside of its picture, {width:g} wide and {height:g} high": (np.abs(corners - clipped) > edge).any(axis=1),
        "nothing of it lies in its picture": _empty(clipped),
    }
    bad, faulty = [], np.zeros(len(boxes), bool)
    for why, where in reasons.items():
        bad += [f"{one.where}: {one.name}: {_shown(corners[i])}: {why}" for i in np.flatnonzero(where & ~faulty)]
        faulty |= where
    cut = (corners != clipped).any(axis=1) & ~faulty
    # Six digits after the point round a share by less than a pixel: nothing to tell.
    return np.concatenate([clipped, boxes[:, 4:]], axis=1), bad, 0 if one.shares else int(cut.sum())


def _empty(corners: np.ndarray) -> np.ndarray:
    return (corners[:, 2] <= corners[:, 0]) | (corners[:, 3] <= corners[:, 1])


def _shown(corners: np.ndarray) -> str:
    return "box " + ", ".join(f"{side} {value:g}" for side, value in zip(SIDES, corners, strict=True))


def _in_pixels(one: Annotated, shape: tuple[int, ...]) -> np.ndarray:
    """The boxes (n, 5) in pixels of the decoded picture; ValueError if it has another size than the annotations say."""
    height, width = shape
    if one.size and one.size != (height, width):
        turned = ": it is turned by its EXIF tag, or width and height are exchanged" if one.size == shape[::-1] else ""
        raise ValueError(
            f"its boxes are for {one.size[1]} x {one.size[0]} pixels ({one.where}), and it has {width} x {height}"
            f"{turned}"
        )
    scale = np.array([height, width, height, width, 1.0] if one.shares else [1.0] * 5)
    return (one.boxes * scale).astype(np.float32).clip(None, [height, width, height, width, np.inf]).astype(np.float32)


def _counted(split: str, some: Sequence[Annotated], classes: Sequence[str]) -> str:
    """A line with the number of boxes of every class, and of pictures without one."""
    numbers = np.bincount(np.concatenate([one.boxes[:, 4] for one in some] or [[]]).astype(int), minlength=len(classes))
    each = labels.cut([f"{name} {number:,}" for name, number in zip(classes, numbers, strict=True)])
    empty = sum(not len(one.boxes) for one in some)
    without = f"; {empty:,} pictures without a box stay, for there is nothing to be found in them" if empty else ""
    return f"boxes of {split}: {numbers.sum():,} in {len(some):,} pictures: {each}{without}"


def places(home: Path) -> list[Path]:
    """Folders near the annotations in which names of pictures may begin, the likeliest first."""
    below = [path for path in folders.entries(home) if path.is_dir()]
    beside = [path for path in folders.entries(home.parent) if path.is_dir() and path != home]
    deeper = [path for one in [*below, *beside] if one.name == "images" for path in folders.entries(one)]
    return [home, *below, home.parent, *beside, *(path for path in deeper if path.is_dir())]


def located(names: Iterable[str], home: Path, config: ConfigDict) -> dict[str, Path | None]:
    """Name -> its file, in `data.pictures`, or in the place near `home` that holds most of the first names."""
    names = list(names)
    around = [Path(config.pictures).expanduser()] if config.pictures else places(home)
    some = names[:TRIED]
    best = max(around, key=lambda place: sum(os.path.isfile(place / name) for name in some))
    return {name: best / name if os.path.isfile(best / name) else None for name in names}
