"""Files that are written whole or not at all, and read again. If the system refuses a file, the error says why."""

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors

from tljax.core import untrusted
from tljax.core.errors import ConfigError, DataError

# The system's error number when a file cannot be written -> what it means.
REFUSED = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota of its disk is used up",
    errno.EROFS: "it is read-only",
    errno.EACCES: "this user may not use it",
    errno.EPERM: "this user may not use it",
    errno.ENOTDIR: "a file stands where a folder must be",
    errno.EEXIST: "a file stands where a folder must be",
    errno.ENOENT: "nothing can be made there",
    errno.ENAMETOOLONG: "its name is too long",
}
UMASK = os.umask(0o077)  # the only way to read the umask is to set it
os.umask(UMASK)
GONE = (errno.ENOENT, errno.EEXIST)  # a refusal only for a file that is written; for one that is read, a bug


def refusal(error: OSError, place: Path | str | None = None) -> ConfigError | None:
    """The error for the user if `error` means that the system refuses a file; None for any other error.

    Args:
      place: the path that was to be written. Default: the path in `error`; a missing file is then no refusal.
    """
    why = REFUSED.get(error.errno or 0)
    if why is None or (place is None and error.errno in GONE):
        return None
    about = f"'{place or error.filename}'" if place or error.filename else "a file"
    return ConfigError(
        f"Files must be written and read where the command line and the config say; {about} is refused: {why} "
        f"({error.strerror}). Make room, or name another place (--workdir, --out, $TLJAX_CACHE), and start the same "
        f"command again: a run goes on from its last checkpoint."
    )


@contextlib.contextmanager
def writing(place: Path) -> Iterator[None]:
    """A context for code that writes `place`.

    Raises:
      ConfigError: the system refuses the file: the disk is full or read-only, a file stands where a folder must be.
    """
    try:
        yield
    except safetensors.SafetensorError as error:  # its text holds the system's error number
        number = re.search(r"\(os error (\d+)\)", str(error))
        cause = OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError()
        raise refusal(cause, place) or error from error
    except OSError as error:
        raise refusal(error, place) or error from error


@contextlib.contextmanager
def whole(file: Path) -> Iterator[Path]:
    """A temporary file beside `file`, to write into; at the end it replaces `file`. After a failure or a kill, `file`
    is what it was before; after a failure, the temporary file is removed too.

    Raises:
      ConfigError: see `writing`.
    """
    part = file.with_name(f"{file.name}.part{os.getpid()}")
    with writing(file):
        try:
            yield part
            part.chmod(0o666 & ~UMASK)  # files of safetensors are readable only by their owner
            sync(part)
            part.replace(file)
            sync(file.parent, inside=False)
        finally:
            with contextlib.suppress(OSError):
                part.unlink()


def sync(place: Path, *, inside: bool = True) -> None:
    """Flush a file, or a folder and all in it, to the disk, so that it survives a power cut."""
    for path in sorted(place.rglob("*")) if inside and place.is_dir() else []:
        sync(path, inside=False)
    number = os.open(place, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that cannot sync a folder
            raise
    finally:
        os.close(number)


def write(file: Path, text: str) -> None:
    """Write `text`; after a kill the file has the old content or the new."""
    with whole(file) as part:
        part.write_text(text, encoding="utf-8")


def write_json(file: Path, value: object) -> None:
    """Write `value` as strict JSON, where NaN and infinities become null."""
    write(file, json.dumps(_strict(value), indent=2, allow_nan=False))


def _strict(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _strict(x) for key, x in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(x) for x in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def sha256(file: Path) -> str:
    """The checksum of a file, as hex digits."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def make_folder(folder: Path) -> None:
    """Make `folder` and its missing parents; raises ConfigError as `writing` does."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


def check_folder(folder: Path) -> None:
    """Raise ConfigError if `folder` cannot be made or written to, as far as this can be checked; nothing is made."""
    near = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    with writing(folder):
        if not near.is_dir():
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(near, os.W_OK | os.X_OK):
            read_only = hasattr(os, "statvfs") and os.statvfs(near).f_flag & os.ST_RDONLY
            number = errno.EROFS if read_only else errno.EACCES
            raise OSError(number, os.strerror(number))


@contextlib.contextmanager
def filled(folder: Path) -> Iterator[None]:
    """A context for code that fills `folder`. The folder is made; if it is new and the code fails, it is removed."""
    new = not folder.exists()
    make_folder(folder)
    try:
        with writing(folder):
            yield
    except BaseException:
        if new:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def check_names(paths: Iterable[Path]) -> None:
    """Raise DataError if names are not UTF-8 and so cannot be written into a report; all are listed."""
    bad = [repr(str(path)) for path in paths if re.search(r"[\ud800-\udfff]", str(path))]
    if bad:
        shown = "\n  ".join(bad[:20]) + ("\n  ..." if len(bad) > 20 else "")
        raise DataError(f"Names of files and folders must be UTF-8; {len(bad)} are not:\n  {shown}\nRename them.")


def read_json(file: Path, kind: type = dict, *, keys: Sequence[str] = ()) -> Any:
    """Read a JSON file of a run.

    Args:
      keys: keys that the object must have.

    Raises:
      DataError: the file is absent, damaged, or holds something else.
    """
    try:
        content = untrusted.parse(file.read_text(encoding="utf-8"))
        if not isinstance(content, kind):
            raise ValueError(f"it holds a {type(content).__name__}, not a {kind.__name__}")
        if missing := [key for key in keys if key not in content]:
            raise ValueError(f"it lacks {', '.join(missing)}")
    except (OSError, ValueError) as error:
        raise DataError(
            f"A run must hold a readable {file.name}; '{file.parent}' does not ({error}). Remove that folder and run "
            f"it again, or name another one."
        ) from error
    return content
