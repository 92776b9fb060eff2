"""Whose folder it is: of this run, of another run or a suite, or of somebody else; and the lock of it."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import filelock

from tljax.core import settings
from tljax.core.atomic import read_json, writing
from tljax.core.errors import ConfigError
from tljax.reporting.run_folder import divergence

RATES = ("optimizer.lr", "optimizer.clip")  # keys that may change when a run has diverged
# Keys that do not change a run's result.
FREE = ("report", "profile", "mesh.data", "mesh.fsdp", "mesh.rules", "suite.only")
# The files of a run. config.json is written first; without it the others belong to somebody else.
OURS = ("checkpoints", "model", "report", "inputs.json", "env.json", "result.json", "metrics.jsonl", "decision.json")


def check(folder: Path, config: str) -> list[str]:
    """Refuse the folder of another run, of a suite, or with files of somebody else.

    Args:
      config: the config of this run, as JSON.

    Returns:
      Differences that are allowed: `RATES`, if the run has diverged.

    Raises:
      ConfigError: the folder is refused; every difference is listed.
      DataError: its config.json is damaged.
    """
    file = folder / "config.json"
    if not file.exists():
        _refuse_foreign(folder)
        return []
    lines = settings.differences(read_json(file), json.loads(config))
    differences = [line for line in lines if line.partition(":")[0] not in FREE]
    others = [line for line in differences if line.partition(":")[0] not in RATES]
    if differences and (others or not divergence.entries(folder)):
        raise ConfigError(
            f"'{folder}' belongs to a run with another config:\n  "
            + "\n  ".join(differences)
            + "\nChoose another --workdir, or give the config it began with to resume it."
        )
    return differences


def _refuse_foreign(folder: Path) -> None:
    """Raise ConfigError if a folder without config.json holds a suite, or files that a run would overwrite."""
    if rows := sorted({other.parent.parent.name for other in folder.glob("*/seed*/config.json")}):
        raise ConfigError(
            f"The folder of one run must hold one run; '{folder}' is that of a suite ({', '.join(rows)}). Choose "
            f"another --workdir, or start the suite again."
        )
    if foreign := [name for name in OURS if (folder / name).exists() or (folder / name).is_symlink()]:
        raise ConfigError(
            f"A run must not overwrite other files; '{folder}' holds {', '.join(foreign)} and no config.json, so it is "
            f"not the folder of a run. Choose another --workdir, or move these files away."
        )


def sweep(folder: Path) -> None:
    """Remove half-written files of killed processes from a run's folder; it is locked, so no other process writes."""
    for place in (folder, folder / "report", folder / "model"):
        for part in place.glob("*.part[0-9]*"):
            part.unlink(missing_ok=True)


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """A context that locks a run's folder: two processes would overwrite each other's checkpoints.

    If the file system has no locks, nothing is locked.

    Raises:
      ConfigError: another process works in the folder.
    """
    lock = filelock.FileLock(folder / ".lock", timeout=0)
    try:
        with contextlib.suppress(NotImplementedError), writing(folder):
            lock.acquire()
    except filelock.Timeout as error:
        raise ConfigError(
            f"One process at a time must work in a run's folder, and another is at work in '{folder}'. Wait for it, or "
            f"end it, or choose another --workdir."
        ) from error
    try:
        yield
    finally:
        lock.release()
