"""Where what can be computed again is kept: $TLJAX_CACHE, or ~/.cache/tljax; how much, and who goes first.

Together the caches hold at most $TLJAX_CACHE_GIB, 20 by default. What was not used for the longest goes first. Files
that tljax did not write are never touched, even where $TLJAX_CACHE names a folder of somebody else.
"""

import contextlib
import math
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tljax.core.errors import ConfigError

ABANDONED = 3600.0  # seconds after which a half-written file is a killed process's
FRESH = 3600.0  # seconds after its last use in which a run may still be at it: `trim` leaves it
LIMIT_GIB = 20.0  # of all caches together, where $TLJAX_CACHE_GIB names no other
# kind -> what tljax and jax write there: what one entry, a file or a folder, is called
KINDS = {
    "features": r"[0-9a-f]{64}",  # a folder a prefix of stages
    "tokens": r"[0-9a-f]{64}\.npz(\.part\d+)?",
    "xla": r".+-(cache|atime)",  # compiled programs, as jax names them
}


class Size(NamedTuple):
    """How much a cache holds."""

    entries: int
    bytes: int


class Entry(NamedTuple):
    """A file or a folder of a cache."""

    path: Path
    bytes: int
    used: float  # when it was last written or read


def folder(kind: str) -> Path:
    """The folder of one kind: features, tokens, xla. It may not be there yet.

    Raises:
      ConfigError: $TLJAX_CACHE is not set, and this user has no home.
    """
    try:
        return Path(os.environ.get("TLJAX_CACHE") or "~/.cache/tljax").expanduser() / kind
    except RuntimeError as error:
        raise ConfigError(
            "Caches must have a folder; this user has no home folder ($HOME is not set), and $TLJAX_CACHE names none. "
            "Set $TLJAX_CACHE."
        ) from error


def limit() -> float:
    """How many bytes all caches may hold together.

    Raises:
      ConfigError: $TLJAX_CACHE_GIB is no number from 0 on.
    """
    said = os.environ.get("TLJAX_CACHE_GIB") or str(LIMIT_GIB)
    try:
        number = float(said)
    except ValueError:
        number = -1.0
    if not number >= 0:
        raise ConfigError(f"$TLJAX_CACHE_GIB must be a number of GiB from 0 on (inf: no limit); got '{said}'.")
    return number * 2**30


def sizes() -> dict[str, Size]:
    """What every kind of cache holds now."""
    return {kind: _size(entries(kind)) for kind in KINDS}


def clear(kind: str) -> Size:
    """Remove what tljax keeps in one kind of cache, and return how much that was. Running jobs compute again."""
    found = list(entries(kind))
    for entry in found:
        _remove(entry.path)
    with contextlib.suppress(OSError):  # something else is in it
        folder(kind).rmdir()
    return _size(found)


def entries(kind: str) -> Iterator[Entry]:
    """Every file or folder that tljax keeps in one kind of cache.

    Raises:
      ConfigError: there is no cache of that kind.
    """
    if kind not in KINDS:
        raise ConfigError(f"A cache must be one of {', '.join(KINDS)}; got '{kind}'.")
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder(kind)) as found:
        for one in found:
            if re.fullmatch(KINDS[kind], one.name):
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # another process removes it
                    yield _entry(one)


def trim(*, most: float = math.nan) -> Size:
    """Remove what was not used for the longest until all caches together hold at most `most` bytes, by default `limit`.

    What was used within the last hour stays, for a run may be at it. Returns how much was removed.
    """
    most = limit() if math.isnan(most) else most
    every = sorted((entry for kind in KINDS for entry in entries(kind)), key=lambda entry: entry.used)
    held, gone = sum(entry.bytes for entry in every), []
    for entry in every:
        if held <= most or time.time() - entry.used < FRESH:
            break
        _remove(entry.path)
        held -= entry.bytes
        gone.append(entry)
    return _size(gone)


def used(place: Path) -> None:
    """Note that an entry is in use, so that `trim` takes others first; also where disks note no time of reading."""
    with contextlib.suppress(OSError):
        os.utime(place)


def sweep(place: Path) -> None:
    """Remove what killed processes left half-written in a folder that others may be writing in."""
    for part in place.glob("*.part[0-9]*"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > ABANDONED:
                part.unlink()


def _size(found: Iterator[Entry] | list[Entry]) -> Size:
    held = [entry.bytes for entry in found]
    return Size(len(held), sum(held))


def _entry(one: os.DirEntry[str]) -> Entry:
    stat = one.stat(follow_symlinks=False)
    if not one.is_dir(follow_symlinks=False):
        return Entry(Path(one.path), stat.st_size, max(stat.st_mtime, stat.st_atime))
    with os.scandir(one.path) as inside:
        stats = [file.stat(follow_symlinks=False) for file in inside]
    times = [max(file.st_mtime, file.st_atime) for file in stats]  # a folder's own time of reading is that of this scan
    return Entry(Path(one.path), sum(file.st_size for file in stats), max([stat.st_mtime, *times]))


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            place.unlink()
