"""Pictures in folders: `<data.dir>/<split>/<class>/<picture>`, or `<data.dir>/<class>/<picture>`, to be divided."""

from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from tljax.core.options import Option
from tljax.core.types import Dataset, Info, Record
from tljax.data import folders, labels, pictures, spelling
from tljax.data.picture import frames

OPTIONS = {
    "dir": Option("", "The folder of splits."),
}

LAYOUT = "<data.dir>/<split>/<class>/<picture>, for example train/ants/1.jpg and test/ants/2.jpg"


class Folder:
    """The pictures of one split; each is decoded when it is read."""

    def __init__(self, files: list[Path], labels: list[int], config: ConfigDict) -> None:
        self.files, self._config = files, config
        self.labels = np.array(labels, np.int32)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Record:
        path = self.files[index]
        image = pictures.read(path, channels=self._config.channels, most=self._config.max_pixels)
        return {"image": image, "label": int(self.labels[index]), "id": str(path)}


def load(config: ConfigDict) -> Dataset:
    """Every folder below `data.dir` that the config names is a split. If there are class folders instead, they
    form the split "all". Files with other suffixes, and files and folders in wrong places, are listed as skipped.
    Classes are in the order of `spelling.ordered`.

    Raises:
      DataError: names of class folders differ only in spelling, or the training split lacks a class that others have;
        see also `folders.read`.
    """
    root = Path(config.dir).expanduser()
    folder = folders.read(root, pictures.SUFFIXES, config, what="pictures", layout=LAYOUT)
    counts = labels.counts(name for rows in folder.splits.values() for _, name in rows)
    same, merged = spelling.classes(counts, str(root), config.similar_labels)
    named = {split: [same[name] for _, name in rows] for split, rows in folder.splits.items()}
    classes = labels.names(named, str(root), "" if config.fractions else config.splits.train)
    number = {name: i for i, name in enumerate(classes)}
    splits = {
        split: Folder([file for file, _ in rows], [number[name] for name in named[split]], config)
        for split, rows in folder.splits.items()
    }
    notes = (*merged, *frames.notes(file for split in splits.values() for file in split.files))
    return Dataset(splits, Info(classes, str(root), tuple(folder.skipped), notes=notes, unread=tuple(folder.unread)))
