"""Checks of a run's folder before the run begins or continues: it must be this run's, with the same inputs."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import filelock

from tljax.core import settings
from tljax.core.atomic import read_json, write_json, writing
from tljax.core.errors import ConfigError, DataError, WeightsError

FILES = "files"  # key of inputs.json: `stamps.files`
CODE = "code"  # key of inputs.json: `stamps.code`
READ = "read"  # key of inputs.json: `Info.settled`
COUNTS = "examples"  # key of inputs.json: part -> number of examples; earlier runs have none
RATES = ("optimizer.lr", "optimizer.clip")  # keys that may change when a run has diverged
# Keys that do not change a run's result.
FREE = ("report", "profile", "mesh.data", "mesh.fsdp", "mesh.rules", "suite.only")
# The files of a run. config.json is written first; without it the others belong to somebody else.
OURS = ("checkpoints", "model", "report", "inputs.json", "env.json", "result.json", "metrics.jsonl", "decision.json")
TEACHERS = "teachers"  # key of inputs.json: the checksum of what they answer, in a run that has some
SOUND = "sound until"  # key of an entry of diverged.json: the last step before the loss ran away
WEIGHTS = "weights"  # key of inputs.json: the checksum of variables from published arrays; earlier runs have none


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
    found = settings.differences(read_json(file), json.loads(config))
    differences = [line for line in found if line.partition(":")[0] not in FREE]
    others = [line for line in differences if line.partition(":")[0] not in RATES]
    if differences and (others or not diverged(folder)):
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
    if theirs := [name for name in OURS if (folder / name).exists() or (folder / name).is_symlink()]:
        raise ConfigError(
            f"A run must not overwrite other files; '{folder}' holds {', '.join(theirs)} and no config.json, so it is "
            f"not the folder of a run. Choose another --workdir, or move these files away."
        )


def diverged(folder: Path) -> list[dict[str, Any]]:
    """The entries of `note_diverged` for the run in `folder`."""
    file = folder / "diverged.json"
    return read_json(file, list) if file.exists() else []


def sound_step(folder: Path) -> int:
    """The last step before the loss ran away, when the run in `folder` last diverged; 0 if it did not run away."""
    found = diverged(folder)
    step = found[-1].get(SOUND, 0) if found and isinstance(found[-1], dict) else 0
    return step if isinstance(step, int) else 0


def note_diverged(folder: Path, what: Mapping[str, Any]) -> None:
    """Add an entry to diverged.json, so that the run may continue with other `RATES`."""
    write_json(folder / "diverged.json", [*diverged(folder), what])


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


def stored_inputs(folder: Path) -> dict[str, Any]:
    """inputs.json of a run's folder; {} if it has none yet.

    Raises:
      DataError: it is damaged.
    """
    file = folder / "inputs.json"
    return read_json(file) if file.exists() else {}


def check_inputs(folder: Path, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse other examples or pretrained weights than those that the run began with; returns `stored_inputs`.

    Args:
      inputs: checksums by part, `COUNTS`, the classes, and `WEIGHTS`.

    Raises:
      DataError: examples have changed, or inputs.json is damaged.
      WeightsError: only the weights have changed.
    """
    found = stored_inputs(folder)
    before = {WEIGHTS: inputs.get(WEIGHTS), **(found or inputs)}
    every = [name for name in {**before, **inputs} if name not in (COUNTS, FILES, READ, CODE)]
    names = [name for name in every if before.get(name) != inputs.get(name)]
    if names:
        raise (WeightsError if names == [WEIGHTS] else DataError)(
            f"The data and weights of a run must be those that it began with; of '{folder}' there differ:\n  "
            + "\n  ".join(f"{name}: {_change(name, before, inputs)}" for name in names)
            + "\nPut what it began with back, or begin another run in another --workdir."
        )
    return found


def _change(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    if name == WEIGHTS:
        return "the pretrained weights are others"
    if name not in before or name not in now:
        return "there was none" if name not in before else "there is none now"
    if name == TEACHERS:
        return "they answer otherwise"
    if name == "classes":
        return f"{before[name]} -> {now[name]}"
    then, found = before.get(COUNTS, {}).get(name), now.get(COUNTS, {}).get(name)
    if then == found:
        return f"{found} examples as before, and some of them, their labels or their order are others"
    return f"{'other' if then is None else then} examples then, {found} now"
