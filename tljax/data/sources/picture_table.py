"""Pictures in a table: a row has the path of a picture and its label: a class, numbers or a set of labels."""

import dataclasses
from pathlib import Path

from ml_collections import ConfigDict

from tljax.core.errors import DataError
from tljax.core.options import Option
from tljax.core.types import Dataset, Info, Record
from tljax.data import labels, pictures, spelling
from tljax.data.picture import frames
from tljax.data.table import labelled
from tljax.data.texts import Row

OPTIONS = {
    **labelled.OPTIONS,
    "columns.image": Option("image", "The column of the picture's path."),
    "pictures": Option("", "The folder that the paths are relative to; default: that of the table."),
}


class Listed:
    """The pictures of one split; each is decoded when it is read."""

    def __init__(self, rows: list[Row], files: list[Path], config: ConfigDict, classes: tuple[str, ...]) -> None:
        self.rows, self.files, self._config = rows, files, config
        self.labels = labels.encode([row.label for row in rows], config.labels, classes)
        self.groups = [row.group for row in rows] if config.group else []

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Record:
        path = self.files[index]
        image = pictures.read(path, channels=self._config.channels, most=self._config.max_pixels)
        return {"image": image, "label": self.labels[index], "id": str(path)}


def load(config: ConfigDict) -> Dataset:
    """Splits as in `text_csv`; a path may leave out the picture's suffix.

    Raises:
      DataError: pictures are missing (the first are named), unless `data.unreadable` is "skip"; names of classes differ
        only in spelling; or the training split lacks a class that others have; see also `labelled.read`.
    """
    table = labelled.read(config, config.columns.image, what="paths of pictures")
    home = table.root if table.root.is_dir() else table.root.parent
    folder = Path(config.pictures).expanduser() if config.pictures else home
    places = {name: [(row, locate(folder, row.text)) for row in rows] for name, rows in table.splits.items()}
    lost = [f"{row.id}: no picture '{row.text}'" for rows in places.values() for row, file in rows if file is None]
    every = sum(map(len, places.values()))
    if lost and (config.unreadable != "skip" or len(lost) > every / 2):
        raise DataError(
            f"Every row of '{table.root}' must name a picture below '{folder}'; {len(lost)} of {every} do not: "
            f"{labels.cut(lost)}. Set config.data.pictures to the folder that the paths begin in, or correct the table."
        )
    remaining = {name: [(row, file) for row, file in rows if file is not None] for name, rows in places.items()}
    classes, merged, same = table.classes, (), {}
    if config.labels in ("classes", "sets") and not classes:
        counts = labels.counts(row.label for rows in remaining.values() for row, _ in rows)
        same, merged = spelling.classes(counts, str(table.root), config.similar_labels)
        named = {name: [labels.renamed(row.label, same) for row, _ in rows] for name, rows in remaining.items()}
        classes = labels.names(named, str(table.root), "" if config.fractions else config.splits.train)
    parts = {}
    for name, rows in remaining.items():
        some = [dataclasses.replace(row, label=labels.renamed(row.label, same)) if same else row for row, _ in rows]
        parts[name] = Listed(some, [file for _, file in rows], config, classes)
    notes = (*table.notes, *merged, *frames.notes(file for part in parts.values() for file in part.files))
    info = Info(classes, str(table.root), (*table.skipped, *lost), config.labels, notes, table.unread)
    return Dataset(parts, info)


def locate(folder: Path, path: str) -> Path | None:
    """The picture that a cell names; None if there is none."""
    place = folder / path.strip()
    if not path.strip():
        return None
    if place.is_file():
        return place
    return next((file for suffix in sorted(pictures.SUFFIXES) if (file := Path(f"{place}{suffix}")).is_file()), None)
