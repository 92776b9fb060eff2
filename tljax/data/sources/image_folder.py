"""Pictures in folders: `<data.dir>/<split>/<class>/<picture>`."""

from pathlib import Path
from typing import Any

import numpy as np

from tljax.core import atomic
from tljax.core.errors import DataError
from tljax.core.types import Dataset, Info
from tljax.data import pictures

LAYOUT = "<data.dir>/<split>/<class>/<picture>, for example train/ants/1.jpg and test/ants/2.jpg"


class Folder:
    """The pictures of one split, decoded when asked for."""

    def __init__(self, files: list[Path], labels: list[int], channels: int) -> None:
        self.files, self.channels = files, channels
        self.labels = np.array(labels, np.int32)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, Any]:
        path = self.files[index]
        image = pictures.read(path, channels=self.channels)
        return {"image": image, "label": int(self.labels[index]), "id": str(path)}


def load(config: Any) -> Dataset:
    """Every folder below `data.dir` is a split. Files that are no pictures by their suffix are listed as
    skipped, as are files and folders where none belong.

    Raises:
      DataError: no such folder, one that cannot be read, no pictures, an empty class folder, a class that only some
        splits have and the training split lacks, names that are no UTF-8.
    """
    root = Path(config.dir).expanduser()
    if not config.dir or not root.is_dir():
        raise DataError(
            f"Pictures: no folder '{root if config.dir else ''}'. Set config.data.dir; the layout is {LAYOUT}."
        )
    tables = {split.name: _classes(split) for split in _visible(root) if split.is_dir()}
    tables = {split: table for split, table in tables.items() if table}
    if not tables:
        raise DataError(f"'{root}' must hold splits with class folders, but has none. The layout is {LAYOUT}.")
    for split, table in tables.items():
        atomic.check_names([*_visible(root / split), *(file for files in table.values() for file in files)])
    classes = _check_classes(root, tables, "" if config.fractions else config.splits.train)
    splits, skipped = {}, []
    for split, table in tables.items():
        rows = [(file, classes.index(name)) for name, files in sorted(table.items()) for file in files]
        skipped += [f"{file}: not in a class folder" for file in _visible(root / split) if not file.is_dir()]
        skipped += [f"{file}: {_why_none(file)}" for file, _ in rows if not _is_picture(file)]
        kept = [row for row in rows if _is_picture(row[0])]
        splits[split] = Folder([file for file, _ in kept], [label for _, label in kept], config.channels)
    return Dataset(splits, Info(classes, str(root), tuple(skipped)))


def _classes(split: Path) -> dict[str, list[Path]]:
    """Class name -> what its folder holds, sorted, hidden files left out."""
    return {folder.name: _visible(folder) for folder in _visible(split) if folder.is_dir()}


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.name[0] != ".")
    except OSError as error:
        raise DataError(f"Pictures: '{folder}' must be a folder that can be read: {error.strerror}.") from error


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in pictures.SUFFIXES and path.is_file()


def _why_none(path: Path) -> str:
    """What keeps something in a class folder from being a picture."""
    if path.is_dir():
        inside = sum(_is_picture(file) for file in path.rglob("*"))
        return f"a folder, in which nothing is read ({inside} pictures): a class folder holds its pictures itself"
    if path.is_symlink() and not path.exists():
        return f"a link to nothing ({path.readlink()})"
    return "no picture by its suffix"


def _check_classes(root: Path, tables: dict[str, dict[str, list[Path]]], train: str) -> tuple[str, ...]:
    empty = [
        f"{split}/{name}"
        for split, table in tables.items()
        for name, files in table.items()
        if not any(_is_picture(file) for file in files)
    ]
    if empty:
        raise DataError(
            f"Every class folder in '{root}' must hold a picture ({', '.join(sorted(pictures.SUFFIXES))}); "
            f"empty: {', '.join(empty)}. Add pictures or remove the folders."
        )
    known = tables.get(train) or {name: [] for table in tables.values() for name in table}
    unseen = [f"{split}/{name}" for split, table in tables.items() for name in table if name not in known]
    if unseen:
        raise DataError(
            f"Every class must be in the training split '{train}' of '{root}' ({', '.join(known)}); "
            f"only elsewhere: {', '.join(unseen)}. Rename or remove these folders, or add training pictures."
        )
    return tuple(sorted(known))
