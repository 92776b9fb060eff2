"""checksums.json of a checkpoint: whether its folder is complete, and as it was written."""

import json
from pathlib import Path

from tljax.core import atomic, untrusted

FILE = "checksums.json"


def seal(folder: Path) -> None:
    """Write the checksums, last, when the files are on disk: a checkpoint without checksums is incomplete."""
    atomic.sync(folder)
    atomic.write(folder / FILE, json.dumps(of(folder)))


def sealed(folder: Path) -> bool:
    """Whether the checkpoint is complete."""
    return (folder / FILE).exists()


def trouble(folder: Path) -> str:
    """The files of a checkpoint that have changed since they were written; "" if none."""
    try:
        expected = dict(untrusted.parse((folder / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        return f"its checksums cannot be read: {error}"
    checksums = of(folder)
    bad = sorted(name for name in expected | checksums if expected.get(name) != checksums.get(name))
    return f"not as they were written: {', '.join(bad)}" if bad else ""


def of(folder: Path) -> dict[str, str]:
    """sha256 of every file of a checkpoint."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != FILE)
    return {str(path.relative_to(folder)): atomic.sha256(path) for path in files}
