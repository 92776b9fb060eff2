"""The copy of what lies at an address: in the cache, a folder for each address; made once, and again where it changed.

`<cache>/remote/<sha256 of the address>/` holds `files/<last part of the address>`, `index.json` and locks.
"""

import contextlib
import copy
import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from tljax.core import atomic, caches, downloads
from tljax.core.errors import ConfigError, DataError
from tljax.core.remote import store
from tljax.core.remote.store import Entry, Store, is_address

KIND = "remote"  # of cache
FILES, INDEX = "files", "index.json"
AT_ONCE = 64  # files that are asked for together
Known = dict[str, list[Any]]  # name -> [the store's mark, size and time of the copy]


class Copy:
    """The copy of one address."""

    def __init__(self, address: str, use: str = "") -> None:
        """`use`: copies for other uses lie apart."""
        self.store: Store = store.at(address)
        self.home = caches.folder(KIND) / hashlib.sha256(f"{use}{self.store.address}".encode()).hexdigest()
        self.place = self.home / FILES / self.store.name

    def pull(self, entries: Mapping[str, Entry]) -> None:
        """Make the copy equal to the store: download new and changed files, remove those that are gone.

        Args:
          entries: name -> file; the name is relative to `home/files`.
        """
        import filelock  # as fsspec, not where nothing is remote

        atomic.make_folder(self.home / FILES)
        caches.hold(self.home)
        with filelock.FileLock(self.home / ".lock"):  # several processes of a machine have one copy
            known = self.known()
            rows = {name: self._row(name, entry.mark) for name, entry in entries.items() if entry.mark}
            same = {name for name, row in rows.items() if known.get(name) == row}
            for path in sorted((self.home / FILES).rglob("*"), reverse=True):
                if path.is_file() and str(path.relative_to(self.home / FILES)) not in same:
                    path.unlink()
                elif path.is_dir() and not any(path.iterdir()):
                    path.rmdir()
            known = {name: known[name] for name in same}
            missing = [name for name in entries if name not in same]
            size = sum(entries[name].size for name in missing)
            with downloads.progress(self.store.name, size, unit="B") if missing else contextlib.nullcontext() as bar:
                for start in range(0, len(missing), AT_ONCE):
                    names = missing[start : start + AT_ONCE]
                    self._get({name: entries[name] for name in names})
                    known |= {name: self._row(name, entries[name].mark) for name in names}
                    self.note(known)
                    if bar is not None:
                        bar.update(sum(entries[name].size for name in names))
            self.note(known)

    def known(self) -> Known:
        """What the copy was when it was last as the store; {} for a new one."""
        file = self.home / INDEX
        try:
            return atomic.read_json(file, keys=("address", "files"))["files"] if file.exists() else {}
        except DataError:
            return {}  # damaged: all is copied again

    def note(self, known: Known) -> None:
        atomic.write(self.home / INDEX, json.dumps({"address": self.store.address, "files": known}))

    def _row(self, name: str, mark: str) -> list[Any]:
        return [mark, *stamp(self.home / FILES / name)]

    def _get(self, entries: Mapping[str, Entry]) -> None:
        parts = {name: self.home / FILES / f"{name}.part{os.getpid()}" for name in entries}
        for part in parts.values():
            atomic.make_folder(part.parent)
        with store.spoken(self.store.address):
            self.store.system.get([entries[name].path for name in entries], [str(parts[name]) for name in entries])
        for name, part in parts.items():
            if (size := part.stat().st_size) != entries[name].size >= 0:
                raise DataError(
                    f"'{entries[name].path}' must have {entries[name].size:,} bytes, as its store says; {size:,} came. "
                    f"Start the same command again."
                )
            part.replace(self.home / FILES / name)


def stamp(file: Path) -> tuple[int, int]:
    """Size and time of writing; (-1, 0) if there is no such file."""
    try:
        status = file.stat()
    except OSError:
        return -1, 0
    return status.st_size, status.st_mtime_ns


def local(place: str, *, beside: tuple[str, ...] = ()) -> Path:
    """The path of a file or folder on this machine: its own, or that of the copy of an address.

    Args:
      beside: suffixes of files beside a single file that are copied too.

    Raises:
      DataError: nothing lies at the address, or it cannot be read.
    """
    if not is_address(place):
        return Path(place).expanduser()
    one = Copy(place)
    name, entries = one.store.name, one.store.entries()
    if not entries:
        raise DataError(f"There must be a file or a folder '{place}'; there is none.")
    single = list(entries) == [""]
    named = {f"{name}/{inside}" if inside else name: entry for inside, entry in entries.items()}
    one.pull({**(one.store.beside(beside) if single and beside else {}), **named})
    return one.place


def localized(config: ConfigDict) -> ConfigDict:
    """The config of a run with the paths of copies instead of addresses in config.data, for code that reads examples.
    A run's folder keeps the addresses: on another machine the copies lie elsewhere.
    """
    places = {key: str(local(value)) for key, value in config.data.items() if is_address(value)}
    if not places:
        return config
    changed = copy.deepcopy(config)
    changed.data.update(places)
    return changed


def named(text: str) -> str:
    """`text` with addresses instead of the paths of their copies: for lines on the screen, and for configs."""
    with contextlib.suppress(ConfigError, DataError):  # no cache has a folder; a damaged index
        folder = str(caches.folder(KIND))
        for entry in set(re.findall(rf"{re.escape(folder)}/([0-9a-f]{{64}})/{FILES}/", text)):
            address = atomic.read_json(Path(folder) / entry / INDEX)["address"]
            text = text.replace(f"{folder}/{entry}/{FILES}/{address.rpartition('/')[2]}", address)
    return text
