"""The lock file: the commit and sha256 of every hub file, recorded at its first download and checked at every load."""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

import filelock

from tljax.core import atomic, untrusted
from tljax.core.errors import ConfigError, WeightsError
from tljax.core.types import Json, Record

PINS = {"revision": r"[0-9a-f]{40}", "sha256": r"[0-9a-f]{64}"}
Locked = dict[str, Record]  # {repository: {"file", "revision", "sha256", "beside": {name: sha256}}}


def read(path: Path, *, beside: Collection[str]) -> Locked:
    """The entries, by repository; {} if there is no such file yet.

    An entry has no "beside" if the files beside the weights could not be listed, because there was no network.

    Args:
      beside: the names that files beside the weights may have.

    Raises:
      WeightsError: the file is damaged.
    """
    try:
        locked = untrusted.parse(path.read_text(encoding="utf-8")) if path.exists() else {}
        for spec, entry in locked.items():
            for pin, pattern in PINS.items():
                if not re.fullmatch(pattern, entry[pin]):
                    raise ValueError(f"{pin} of '{spec}' is '{entry[pin]}'")
            for name, sha256 in entry.get("beside", {}).items():
                if name not in beside or not re.fullmatch(PINS["sha256"], sha256):
                    raise ValueError(f"sha256 of '{name}' of '{spec}' is '{sha256}'")
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise WeightsError(
            f"The lock file '{path}' must be JSON that gives each repository its revision (40 hex digits) and sha256 "
            f"(64), but it is damaged: {error!r}.\nRestore it from version control, or delete it to record it again."
        ) from error
    return locked


def hold(path: Path, spec: str, file: Path, pins: Mapping[str, tuple[str | None, str]]) -> None:
    """Raise WeightsError if a pin of `spec` differs. `pins`: name -> (value recorded or None, value now)."""
    wrong = [f"{pin} must be {must}, got {got}" for pin, (must, got) in pins.items() if must and must != got]
    if wrong:
        raise WeightsError(
            f"'{spec}' must be the same as in {path} and in its card, but differs: {'; '.join(wrong)}.\n"
            f"Delete '{file.resolve()}' to download it again.\n"
            f"Only if you trust the new file: delete the entry '{spec}' from {path}."
        )


def record(path: Path, spec: str, entry: Json, *, file: Path, beside: Collection[str]) -> None:
    """Write the entry of `spec`, and keep those of others. Processes that write at the same time wait for each other.

    Args:
      file: the file of weights that `entry` describes.

    Raises:
      WeightsError: another process recorded another entry for `spec` meanwhile; or the file cannot be written.
    """
    with filelock.FileLock(_turn(path)):
        locked = read(path, beside=beside)
        hold(path, spec, file, {pin: (locked.get(spec, {}).get(pin), entry[pin]) for pin in PINS})
        try:
            atomic.make_folder(path.parent)
            atomic.write(path, json.dumps(locked | {spec: dict(entry)}, indent=2, sort_keys=True) + "\n")
        except ConfigError as error:
            raise WeightsError(
                f"The download must be recorded in '{path}', but this file cannot be written: {error}"
            ) from error


def _turn(path: Path) -> Path:
    """The file that is locked while `path` is written: in a temporary folder, because it is never deleted."""
    name = hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:16]
    user = getattr(os, "getuid", int)()  # Windows has no getuid, but a temporary folder for each user
    return Path(tempfile.gettempdir()) / f"tljax-{user}-{name}.lock"
