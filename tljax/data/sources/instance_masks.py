"""Boxes from masks of instances: <data.dir>/images/<name>.jpg and <data.dir>/masks/<name>.png.

A mask is as large as its picture, and has one channel: 0 is background, and every other value is one object. Its box
is the smallest that holds all its pixels. All objects are of one class.
"""

from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from tljax.core.errors import DataError
from tljax.core.options import Option
from tljax.core.types import Dataset
from tljax.data import folders, pictures
from tljax.data.boxes import annotated
from tljax.data.boxes.annotated import Annotated
from tljax.data.masks import codes as files

OPTIONS = {
    "dir": Option("", "The folder that holds images/ and masks/."),
    "object": Option("object", "The name of the class of all objects."),
}


def load(config: ConfigDict) -> Dataset:
    """The split "all"; masks are read at once, pictures when they are asked for.

    Raises:
      DataError: a folder is missing, a picture has no mask, or a mask has several channels; see `annotated.dataset`.
    """
    root = Path(config.dir).expanduser()
    images, masks = (root / name for name in ("images", "masks"))
    if not (images.is_dir() and masks.is_dir()):
        raise DataError(f"config.data.dir must hold images/ and masks/; '{root}' does not.")
    by_stem = {path.stem: path for path in folders.entries(masks) if path.suffix.lower() in pictures.SUFFIXES}
    files = list(folders.inside(images, pictures.SUFFIXES))
    if lost := [file.name for file in files if file.stem not in by_stem]:
        raise DataError(
            f"Every picture of '{images}' must have a mask of its name in '{masks}'; {len(lost)} have none: "
            f"{', '.join(lost[:10])}."
        )
    examples = [_annotated(file, by_stem[file.stem], most=config.max_pixels) for file in files]
    return annotated.dataset({"all": examples}, (config.object,), config, source=str(root))


def _annotated(file: Path, mask: Path, *, most: int) -> Annotated:
    try:
        codes, colours = files.read(mask, most=most)
        if colours:
            raise ValueError("it must have one channel, the number of an object; it is RGB")
    except ValueError as error:
        return Annotated(file.name, file, np.zeros((0, 5)), str(mask), faults=(f"{mask}: not a mask: {error}",))
    return Annotated(file.name, file, boxes_of(codes), str(mask), codes.shape)


def boxes_of(mask: np.ndarray) -> np.ndarray:
    """The box of every value of a mask (H, W) but 0: (n, 5), class 0."""
    rows, columns = np.nonzero(mask)
    _, which = np.unique(mask[rows, columns], return_inverse=True)
    number = int(which.max(initial=-1)) + 1
    low, high = np.full((2, number), np.iinfo(int).max), np.zeros((2, number), int)
    for axis, places in enumerate((rows, columns)):
        np.minimum.at(low[axis], which, places)
        np.maximum.at(high[axis], which, places + 1)
    return np.stack([*low, *high, np.zeros(number, int)], axis=-1).astype(float)
