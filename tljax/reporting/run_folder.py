"""What must hold of the folder in which a run begins or goes on: it is this run's, and learns from what it did."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import filelock
from ml_collections import ConfigDict

from tljax.core import settings
from tljax.core.atomic import read_json, write_json, writing
from tljax.core.errors import ConfigError, DataError, WeightsError
from tljax.data import folders

FILES = "files"  # of inputs.json: what could be known of the files of `data.dir` without reading them
COUNTS = "examples"  # of inputs.json: part -> how many; earlier runs wrote none
RATES = ("optimizer.lr", "optimizer.clip")  # keys that a run which has diverged may go on with changed
FREE = ("report",)  # keys that change nothing of what a run finds
# What a run makes. config.json is the first of them, so without it they are of somebody else.
OURS = ("checkpoints", "model", "report", "inputs.json", "env.json", "result.json", "metrics.jsonl", "decision.json")
WEIGHTS = "weights"  # the checksum of what the published arrays filled; earlier runs wrote none


def check(folder: Path, config: str) -> list[str]:
    """Refuse the folder of another run, of a suite, or of somebody else.

    Args:
      config: of this run, as JSON.

    Returns:
      What differs, and may: `RATES`, where the run has diverged.

    Raises:
      ConfigError: it is one; every difference is listed.
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
    """Raise ConfigError where a folder without a config.json holds a suite, or what a run would write over."""
    if rows := sorted({other.parent.parent.name for other in folder.glob("*/seed*/config.json")}):
        raise ConfigError(
            f"The folder of one run must hold one run; '{folder}' is that of a suite ({', '.join(rows)}). Choose "
            f"another --workdir, or start the suite again."
        )
    if theirs := [name for name in OURS if (folder / name).exists() or (folder / name).is_symlink()]:
        raise ConfigError(
            f"A run must not write over files of others; '{folder}' holds {', '.join(theirs)} and no config.json, so "
            f"no run of tljax has made it. Choose another --workdir, or move them away."
        )


def diverged(folder: Path) -> list[dict[str, Any]]:
    """When the run in `folder` has left the range of floats: see `note_diverged`."""
    file = folder / "diverged.json"
    return read_json(file, list) if file.exists() else []


def note_diverged(folder: Path, what: Mapping[str, Any]) -> None:
    """Add to diverged.json; so the run may go on with other `RATES`."""
    write_json(folder / "diverged.json", [*diverged(folder), what])


def sweep(folder: Path) -> None:
    """Remove what killed processes left half-written in a run's folder; it is claimed, so nobody writes there."""
    for place in (folder, folder / "report", folder / "model"):
        for part in place.glob("*.part[0-9]*"):
            part.unlink(missing_ok=True)


def files(folder: Path, config: ConfigDict) -> dict[str, Any] | None:
    """`folders.stamp` of the data that a run in `folder` reads, `config` being the data's; None where they are no
    files, or gone.
    """
    place = config.dir if "dir" in config else ""  # a source of no files has no such key
    return folders.stamp(Path(place).expanduser(), without=folder) if place else None


def unchanged(folder: Path, config: ConfigDict) -> tuple[bool, str]:
    """(Whether a finished run still stands for its data, what is to be said of them).

    It does not where files came, went or were written since: then the examples must be compared.
    """
    file = folder / "inputs.json"
    before, now = read_json(file).get(FILES) if file.exists() else None, files(folder, config)
    if before is None or before == now:
        return True, ""
    if now is None:
        return True, f"its data are gone: there is no '{config.dir}'; this is what it found when there was"
    return False, (
        f"finished, but the files in '{config.dir}' are not as they were ({before['files']:,} files of "
        f"{before['bytes']:,} bytes then, {now['files']:,} of {now['bytes']:,} now, or written since): "
        f"the examples are compared with those it learned from"
    )


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Around what a run does in its folder: two processes would write over each other's checkpoints.

    Where the file system knows no locks, nothing is claimed.

    Raises:
      ConfigError: another process is at work there.
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


def check_inputs(folder: Path, inputs: Mapping[str, Any]) -> None:
    """Refuse to go on with other examples or pretrained weights than the run began with.

    Args:
      inputs: checksums by part, `COUNTS`, the classes, and `WEIGHTS`.

    Raises:
      DataError: examples are others, or its inputs.json is damaged.
      WeightsError: the weights alone are.
    """
    file = folder / "inputs.json"
    found = read_json(file) if file.exists() else inputs
    before = {WEIGHTS: inputs.get(WEIGHTS), **found}
    every = [name for name in {**before, **inputs} if name not in (COUNTS, FILES)]
    names = [name for name in every if before.get(name) != inputs.get(name)]
    if names:
        raise (WeightsError if names == [WEIGHTS] else DataError)(
            f"A resumed run must learn from what it began with; in '{folder}' there differ:\n  "
            + "\n  ".join(f"{name}: {_change(name, before, inputs)}" for name in names)
            + "\nPut what it began with back, or choose another --workdir."
        )


def _change(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    if name == WEIGHTS:
        return "the pretrained weights are others"
    if name not in before or name not in now:
        return "there was none" if name not in before else "there is none now"
    if name == "classes":
        return f"{before[name]} -> {now[name]}"
    then, found = before.get(COUNTS, {}).get(name), now.get(COUNTS, {}).get(name)
    if then == found:
        return f"{found} examples as before, and some of them, their labels or their order are others"
    return f"{'other' if then is None else then} examples then, {found} now"
