"""A run's folder at an address: the run works in a local copy, and files are uploaded at every checkpoint.

An object store writes each file whole or not at all, and cannot rename. So the order of uploads is such that a run may
be killed anywhere: a file that makes others valid (checksums of a checkpoint, result.json) comes after them, and files
that were deleted here are deleted there last. The file `OWNER` names the process that works in the folder. A job that
was believed dead and still runs finds another name there, and ends.
"""

import contextlib
import json
import os
import platform
import re
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from tljax.core import atomic
from tljax.core.errors import ConfigError, DataError
from tljax.core.processes import agreement
from tljax.core.remote import store
from tljax.core.remote.copies import FILES, Copy, stamp
from tljax.core.remote.store import Entry

WORK = "work in "  # beside the copy for those who only read the folder
OWNER = ".owner.json"
LAST = ("checksums.json", "result.json")  # files that make others count, in this order
NOT_KEPT = re.compile(r"\.lock$|\.part\d+$|\.orbax-checkpoint-tmp")  # locks, and what killed processes left
_open: dict[Path, "Mirror"] = {}  # folder on this machine -> its mirror, while the run works there


class Mirror:
    """The folder of one address, on this machine and in its store."""

    def __init__(self, address: str) -> None:
        self._copy = Copy(address, WORK)
        self.folder = self._copy.place
        self._me = {"id": uuid.uuid4().hex, "host": platform.node(), "process": os.getpid()}
        self._owns = False

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """While a run works in the folder: pulled at the beginning, pushed at the end, after a failure too."""
        with self._alone():
            self.pull()
            _open[self.folder] = self
            try:
                yield
                self.push()
            except BaseException as error:
                try:
                    self.push()
                except (ConfigError, DataError) as failed:  # the first error is the one that counts
                    if str(failed) != str(error):
                        print(f"not all of the run's folder was put back: {failed}", file=sys.stderr)
                raise
            finally:
                del _open[self.folder]

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One process of this machine at a time works in the folder."""
        import filelock

        atomic.make_folder(self._copy.home)
        try:
            with filelock.FileLock(self._copy.home / ".work.lock", timeout=0):
                yield
        except filelock.Timeout as error:
            raise ConfigError(
                f"One process at a time must work in a run's folder, and another of this machine is at work in "
                f"'{self._copy.store.address}'. Wait for it, or end it, or choose another --workdir."
            ) from error

    def pull(self) -> None:
        """Make the folder on this machine what the store holds: another machine may have gone on."""
        name, entries = self._copy.store.name, self._copy.store.entries()
        if "" in entries:
            raise ConfigError(f"--workdir must be a folder, or nothing yet; '{self._copy.store.address}' is a file.")
        self._copy.pull({f"{name}/{file}": entry for file, entry in entries.items() if file != OWNER})
        self.folder.mkdir(exist_ok=True)

    def push(self) -> None:
        """Put what has changed since the last time.

        Raises:
          ConfigError: another job works in the folder now.
          DataError: the store does not take it.
        """
        home, known = self._copy.home / FILES, self._copy.known()
        here = [path for path in self.folder.rglob("*") if path.is_file() and not NOT_KEPT.search(str(path))]
        stamps = {str(path.relative_to(home)): list(stamp(path)) for path in here}
        new = [name for name, found in stamps.items() if known.get(name, [""])[1:] != found]
        gone = [name for name in known if name not in stamps]
        if not new and not gone:
            return
        self._claim()
        with store.spoken(self._copy.store.address):
            for turn in range(len(LAST) + 1):
                some = sorted(name for name in new if _turn(name) == turn)
                if some:
                    self._copy.store.system.put([str(home / name) for name in some], [self._there(x) for x in some])
            for name in sorted(gone, key=_turn, reverse=True):
                with contextlib.suppress(FileNotFoundError):
                    self._copy.store.system.rm_file(self._there(name))
        marks = self._copy.store.entries()
        self._check_owner()  # what is listed now is this job's
        self._copy.note({name: [_mark(marks, self._inside(name)), *found] for name, found in stamps.items()})

    def _claim(self) -> None:
        """Say once that the folder is this job's."""
        if self._owns:
            self._check_owner()
        else:
            with store.spoken(self._copy.store.address):
                self._copy.store.system.pipe_file(self._there(OWNER), json.dumps(self._me).encode())
            self._owns = True

    def _check_owner(self) -> None:
        """Raise ConfigError if another job has said so since."""
        with store.spoken(self._copy.store.address):
            owner = json.loads(self._copy.store.system.cat_file(self._there(OWNER)))
        if owner != self._me:
            raise ConfigError(
                f"One job at a time must work in a run's folder; '{self._copy.store.address}' was taken over by "
                f"process {owner['process']} on '{owner['host']}', so this one ends. What it did since is not kept."
            )

    def _inside(self, name: str) -> str:
        return name.removeprefix(f"{self._copy.store.name}/")

    def _there(self, name: str) -> str:
        return f"{self._copy.store.root}/{self._inside(name)}"


def _turn(name: str) -> int:
    last = name.rpartition("/")[2]
    return LAST.index(last) + 1 if last in LAST else 0


def _mark(entries: dict[str, Entry], name: str) -> str:
    return entries[name].mark if name in entries else ""


@contextlib.contextmanager
def worked_in(place: str) -> Iterator[Path]:
    """The folder on this machine in which a run works: that of the path, or of the address. Of several processes the
    first one alone pulls and pushes, as it alone writes.

    Raises:
      ConfigError: another process works in it.
      DataError: the store cannot be read or written.
    """
    if not store.is_address(place) or not agreement.first():
        yield folder_of(place)
        return
    mirror = Mirror(place)
    with mirror.opened():
        yield mirror.folder


def folder_of(place: str) -> Path:
    """The folder on this machine for a run's folder that the command line names."""
    return Copy(place, WORK).place if store.is_address(place) else Path(place).expanduser()


def push(folder: Path) -> None:
    """Put back what has changed in `folder`'s mirror; nothing happens where it has none."""
    for place, mirror in _open.items():
        if folder.absolute().is_relative_to(place):
            mirror.push()


def is_mirrored(folder: Path) -> bool:
    """Whether the folder is one of `worked_in`, or in one."""
    return any(folder.absolute().is_relative_to(place) for place in _open)
