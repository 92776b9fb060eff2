"""Which files of a folder are examples: one rule for what is learned from and for what a finished run is asked."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from tljax.core.errors import DataError

# What systems and programs leave beside people's files; names that begin with a point are hidden anyway.
LEFT_BEHIND = frozenset({
    "__MACOSX", "__pycache__", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found",
    "Thumbs.db", "ehthumbs.db", "desktop.ini", "Icon\r",
})  # fmt: skip


def hidden(path: Path) -> bool:
    """Whether people did not put it there to be read."""
    return path.name.startswith(".") or path.name in LEFT_BEHIND


def entries(folder: Path) -> list[Path]:
    """What lies in a folder, sorted, without what is hidden; DataError where it cannot be read."""
    return [path for path in everything(folder) if not hidden(path)]


def everything(folder: Path) -> list[Path]:
    """What lies in a folder, sorted; DataError where it cannot be read."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"'{folder}' must be a folder that can be read: {error.strerror}.") from error


def is_example(path: Path, suffixes: Collection[str]) -> bool:
    """Whether it is a file, or a link to one, that is read as an example."""
    return not hidden(path) and path.suffix.lower() in suffixes and path.is_file()


def inside(folder: Path, suffixes: Collection[str], *, above: frozenset[str] = frozenset()) -> Iterator[Path]:
    """The examples at any depth, sorted in each folder; links are followed, but not back to a folder above."""
    above |= {os.path.realpath(folder)}
    for path in entries(folder):
        if path.is_dir():
            if os.path.realpath(path) not in above:
                yield from inside(path, suffixes, above=above)
        elif is_example(path, suffixes):
            yield path
