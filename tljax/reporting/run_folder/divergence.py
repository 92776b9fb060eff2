"""diverged.json: at which steps the numbers of a run were no longer finite. Such a run may go on at another rate."""

from collections.abc import Sequence
from pathlib import Path

from tljax.core.atomic import read_json, write_json
from tljax.core.types import Record

SOUND = "sound until"  # key of an entry: the last step before the loss ran away


def entries(folder: Path) -> list[Record]:
    """The entries of `note` for the run in `folder`."""
    file = folder / "diverged.json"
    return read_json(file, list) if file.exists() else []


def sound_step(folder: Path) -> int:
    """The last step before the loss ran away, when the run in `folder` last diverged; 0 if it did not run away."""
    rows = entries(folder)
    step = rows[-1].get(SOUND, 0) if rows and isinstance(rows[-1], dict) else 0
    return step if isinstance(step, int) else 0


def note(folder: Path, step: int, bad: Sequence[str], ran_away: int) -> None:
    """Add an entry, so that the run may continue with another rate.

    Args:
      bad: the parts of the state that are not finite.
      ran_away: the last step before the loss ran away; 0: it has not.
    """
    entry = {"step": step, "not finite": list(bad)} | ({SOUND: ran_away} if ran_away else {})
    write_json(folder / "diverged.json", [*entries(folder), entry])
