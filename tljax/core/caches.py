"""The caches of results that can be computed again, in $TLJAX_CACHE or ~/.cache/tljax, and their limit.

Together the caches hold at most $TLJAX_CACHE_GIB, 20 by default. The least recently used entries are removed first.
Files that tljax did not write are never touched, even if $TLJAX_CACHE names a folder with other files.
"""

import contextlib
import fcntl
import math
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tljax.core.errors import ConfigError

ABANDONED = 3600.0  # seconds after which a half-written file is taken to be that of a killed process
FRESH = 3600.0  # seconds after its last use; until then a run may still use an entry, and `trim` keeps it
LIMIT_GIB = 20.0  # limit of all caches together if $TLJAX_CACHE_GIB is not set
# kind -> pattern of the names of its entries, which are files or folders that tljax and jax write
KINDS = {
    "features": r"[0-9a-f]{64}",  # a folder for each prefix of stages
    "tokens": r"[0-9a-f]{64}\.npz(\.part\d+)?",
    "xla": r".+-(cache|atime)",  # compiled programs, as jax names them
    "remote": r"[0-9a-f]{64}",  # a folder for each address: a copy of what lies there
}
TRIMMED = ".trimmed"  # the file that holds the limit of the last `trim_hourly`, and by its time when that was
HELD = ".held"  # the file of an entry that a process which uses it has locked
_held: dict[Path, int] = {}  # entries that this process uses, and their file numbers


class Size(NamedTuple):
    """The size of a cache."""

    entries: int
    bytes: int


class Entry(NamedTuple):
    """A file or a folder of a cache."""

    path: Path
    bytes: int
    used: float  # when it was last written or read


def folder(kind: str) -> Path:
    """The folder of one kind of cache: features, tokens, xla, remote. It may not exist yet.

    Raises:
      ConfigError: $TLJAX_CACHE is not set, and this user has no home folder.
    """
    try:
        return Path(os.environ.get("TLJAX_CACHE") or "~/.cache/tljax").expanduser() / kind
    except RuntimeError as error:
        raise ConfigError(
            "Caches must have a folder; this user has no home folder ($HOME is not set), and $TLJAX_CACHE names none. "
            "Set $TLJAX_CACHE."
        ) from error


def limit() -> float:
    """The number of bytes that all caches may hold together.

    Raises:
      ConfigError: $TLJAX_CACHE_GIB is not a number >= 0.
    """
    setting = os.environ.get("TLJAX_CACHE_GIB") or str(LIMIT_GIB)
    try:
        number = float(setting)
    except ValueError:
        number = -1.0
    if not number >= 0:
        raise ConfigError(f"$TLJAX_CACHE_GIB must be a number of GiB from 0 on (inf: no limit); got '{setting}'.")
    return number * 2**30


def sizes() -> dict[str, Size]:
    """The size of every kind of cache now."""
    return {kind: _size(entries(kind)) for kind in KINDS}


def clear(kind: str) -> Size:
    """Remove all entries of one kind of cache that no job holds; returns their size. Jobs compute them again."""
    free = [entry for entry in entries(kind) if not is_held(entry.path)]
    for entry in free:
        _remove(entry.path)
    with contextlib.suppress(OSError):  # other files are in the folder
        folder(kind).rmdir()
    return _size(free)


def entries(kind: str) -> Iterator[Entry]:
    """Every file or folder that tljax keeps in one kind of cache.

    Raises:
      ConfigError: there is no cache of that kind.
    """
    if kind not in KINDS:
        raise ConfigError(f"A cache must be one of {', '.join(KINDS)}; got '{kind}'.")
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder(kind)) as listing:
        for one in listing:
            if re.fullmatch(KINDS[kind], one.name):
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # another process removes it
                    yield _entry(one)


def trim(*, most: float = math.nan) -> Size:
    """Remove the least recently used entries until all caches together hold at most `most` bytes, by default `limit`.

    Entries that were used within the last hour stay, because a run may use them. Returns the size of the removed ones.
    """
    most = limit() if math.isnan(most) else most
    every = sorted((entry for kind in KINDS for entry in entries(kind)), key=lambda entry: entry.used)
    total, gone = sum(entry.bytes for entry in every), []
    for entry in every:
        if total <= most or time.time() - entry.used < FRESH:
            break
        if is_held(entry.path):
            continue
        _remove(entry.path)
        total -= entry.bytes
        gone.append(entry)
    return _size(gone)


def trim_hourly() -> Size:
    """`trim`, at most once an hour for each limit: looking through all entries costs time at every start, and entries
    younger than an hour are kept anyway.
    """
    note, most = folder("xla").with_name(TRIMMED), str(limit())
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if 0 <= time.time() - note.stat().st_mtime < FRESH and note.read_text(encoding="utf-8") == most:
            return Size(0, 0)
    gone = trim()
    with contextlib.suppress(OSError):  # a folder that cannot be written: the next start looks again
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(most, encoding="utf-8")
    return gone


def used(place: Path) -> None:
    """Mark an entry as used now, so that `trim` removes others first; some disks do not record the time of reading."""
    with contextlib.suppress(OSError):
        os.utime(place)


def hold(entry: Path) -> None:
    """Keep an entry, a folder, from being removed by any process until this one ends."""
    if entry not in _held:
        _held[entry] = number = os.open(entry / HELD, os.O_RDWR | os.O_CREAT, 0o666)
        fcntl.flock(number, fcntl.LOCK_SH)
    used(entry)


def is_held(entry: Path) -> bool:
    """Whether a process holds the entry."""
    try:
        number = os.open(entry / HELD, os.O_RDWR)
    except OSError:  # of a kind that is not held
        return False
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(number)
    return False


def sweep(place: Path) -> None:
    """Remove half-written files of killed processes from a folder; other processes may be writing in it."""
    for part in place.glob("*.part[0-9]*"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > ABANDONED:
                part.unlink()


def _size(entries: Iterator[Entry] | list[Entry]) -> Size:
    sizes = [entry.bytes for entry in entries]
    return Size(len(sizes), sum(sizes))


def _entry(one: os.DirEntry[str]) -> Entry:
    stat = one.stat(follow_symlinks=False)
    if not one.is_dir(follow_symlinks=False):
        return Entry(Path(one.path), stat.st_size, max(stat.st_mtime, stat.st_atime))
    stats = [os.lstat(os.path.join(folder, file)) for folder, _, files in os.walk(one.path) for file in files]
    times = [max(file.st_mtime, file.st_atime) for file in stats]  # this scan itself changes a folder's time of reading
    return Entry(Path(one.path), sum(file.st_size for file in stats), max([stat.st_mtime, *times]))


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            place.unlink()
