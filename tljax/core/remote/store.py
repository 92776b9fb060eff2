"""What lies at an address of an object store, by fsspec; what goes wrong there is said in words."""

import contextlib
import dataclasses
import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from tljax.core import atomic
from tljax.core.errors import ConfigError, DataError, TljaxError
from tljax.core.untrusted import Json, Record

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://.")
PAGES = ("http://", "https://")  # where there are files and no folders
# What tells one content of an object from another, as the file systems of fsspec call it.
MARKS = ("etag", "ETag", "md5Hash", "crc32c", "generation", "mtime", "updated", "LastModified", "created", "ino")


@dataclasses.dataclass(frozen=True)
class Entry:
    """A file in a store."""

    path: str  # as the store calls it
    size: int  # -1: the store does not say
    mark: str  # another one where the content is another; "": the store says nothing that would tell


@dataclasses.dataclass(frozen=True)
class Store:
    """A place in a store: a file, or what begins with a folder's name."""

    address: str  # without a "/" at its end
    system: Any  # fsspec's file system
    root: str  # the address as the system calls it

    @property
    def name(self) -> str:
        """The last part of the address: the name of its copy."""
        return self.address.rpartition("/")[2] or "root"

    def entries(self) -> dict[str, Entry]:
        """Name -> what lies there; that of a single file is "", others are relative to the folder. {}: nothing."""
        with spoken(self.address):
            self.system.invalidate_cache()
            listing: Mapping[str, Json] = {}
            with contextlib.suppress(FileNotFoundError):
                single = self.address.startswith(PAGES)  # of which only a file is known
                listing = (
                    {self.root: self.system.info(self.root)} if single else self.system.find(self.root, detail=True)
                )
            return {
                path.removeprefix(self.root).lstrip("/"): Entry(path, _size(info), _mark(info))
                for path, info in sorted(listing.items())
                # Stores have no folders: a name may only begin alike, and some programs write an object for a folder.
                if info["type"] == "file" and not path.endswith("/") and f"{path}/".startswith(f"{self.root}/")
            }

    def beside(self, suffixes: tuple[str, ...]) -> dict[str, Entry]:
        """Name -> what lies beside the file, with one of these suffixes; {} where there are no folders."""
        if self.address.startswith(PAGES):
            return {}
        with spoken(self.address):
            listed = self.system.ls(self.root.rpartition("/")[0], detail=True)
        files = {info["name"]: info for info in listed if info["type"] == "file" and info["name"].endswith(suffixes)}
        return {path.rpartition("/")[2]: Entry(path, _size(info), _mark(info)) for path, info in files.items()}


def is_address(text: object) -> TypeGuard[str]:
    """Whether `text` is "scheme://..."."""
    return isinstance(text, str) and bool(ADDRESS.match(text))


def at(address: str) -> Store:
    """The place of an address.

    Raises:
      ConfigError: it is of this machine.
      DataError: no such store is known, or the package for it is not installed.
    """
    import fsspec  # a short command does not wait for it

    address = address.rstrip("/")
    if address.startswith("file:"):
        raise ConfigError(f"A place on this machine is named by its path alone; got '{address}'. Leave out file://.")
    with spoken(address):
        system, root = fsspec.core.url_to_fs(address)
    return Store(address, system, root)


def facts(address: str) -> Record | None:
    """What `folders.stamp` says of files, of those at an address; None if there are none."""
    entries = at(address).entries()
    rows = [(name, entry.size, entry.mark) for name, entry in entries.items()]
    digest = hashlib.sha256(repr(rows).encode()).hexdigest()
    size = sum(max(entry.size, 0) for entry in entries.values())
    return {"place": address, "files": len(rows), "bytes": size, "sha256": digest} if rows else None


@contextlib.contextmanager
def spoken(address: str) -> Iterator[None]:
    """A context for code that asks the store of `address`: what fails there is a DataError."""
    try:
        yield
    except TljaxError:
        raise
    except Exception as error:  # the file systems of fsspec have no common class of error
        if isinstance(error, OSError) and error.errno and error.filename and (refusal := atomic.refusal(error)):
            raise refusal from error  # a file of this machine
        reason = str(error).strip().partition("\n")[0][:300] or type(error).__name__
        advice = "Install the package it names (pip install 'tljax[gs]' for gs://)" if isinstance(
            error, ImportError
        ) else "Check the address, the network, and that this machine may use it"  # fmt: skip
        raise DataError(
            f"What lies at an address must be there to be read, and a run's folder to be written; '{address}' is not: "
            f"{reason}. {advice}, or give a folder of this machine."
        ) from error


def _size(info: Json) -> int:
    return -1 if info.get("size") is None else int(info["size"])


def _mark(info: Json) -> str:
    """A checksum of what the store says of a file; "" if it says nothing by which a change is seen."""
    marks = [(key, str(info[key])) for key in MARKS if info.get(key) is not None]
    if not marks:
        return ""
    marks.append(("size", str(info.get("size"))))
    return hashlib.sha256(repr(marks).encode()).hexdigest()[:32]
