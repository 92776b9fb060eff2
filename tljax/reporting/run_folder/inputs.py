"""inputs.json: what a run began with. It goes on with the same examples and weights, or not at all."""

from pathlib import Path

from ml_collections import ConfigDict

from tljax.core.atomic import read_json, write_json
from tljax.core.errors import DataError, WeightsError
from tljax.core.experiment import CLASSES, CODE, COUNTS, FILES, READ, TEACHERS, WEIGHTS
from tljax.core.types import Json, Record
from tljax.data import stamps


def write(folder: Path, inputs: Json, before: Json, config: ConfigDict) -> None:
    """Write inputs.json, with the stamps of the files that `config` names.

    Args:
      before: what `check` returned. Files of code keep the checksum of the first start.
    """
    code = {**stamps.code(config), **before.get(CODE, {})}
    write_json(folder / "inputs.json", {**inputs, FILES: stamps.files(folder, config), CODE: code})


def unchanged(folder: Path, config: ConfigDict) -> tuple[bool, list[str]]:
    """(Whether the files that a finished run has read are unchanged, notes about them and about the user's code)."""
    before = stored(folder)
    same, notes = stamps.unchanged(before.get(FILES, {}), folder, config)
    for file in stamps.changed_code(before.get(CODE, {})):
        notes.append(
            f"warning: '{file}' has changed since: this is the result of the code as it was then; another --workdir "
            f"runs the new one"
        )
    return same, notes


def changes(before: Json) -> list[str]:
    """Warnings of the user's own files that have changed since the run began; `before` is its inputs.json."""
    return [
        f"warning: '{file}' has changed since this run began: what it learned before is of other code"
        for file in stamps.changed_code(before.get(CODE, {}))
    ]


def stored(folder: Path) -> Record:
    """inputs.json of a run's folder; {} if it has none yet.

    Raises:
      DataError: it is damaged.
    """
    file = folder / "inputs.json"
    return read_json(file) if file.exists() else {}


def check(folder: Path, inputs: Json) -> Record:
    """Refuse other examples or pretrained weights than those that the run began with; returns `stored`.

    Args:
      inputs: checksums by part, `COUNTS`, the classes, and `WEIGHTS`.

    Raises:
      DataError: examples have changed, or inputs.json is damaged.
      WeightsError: only the weights have changed.
    """
    before = stored(folder)
    first = {WEIGHTS: inputs.get(WEIGHTS), **(before or inputs)}
    checksums = [name for name in {**first, **inputs} if name not in (COUNTS, FILES, READ, CODE)]
    if names := [name for name in checksums if first.get(name) != inputs.get(name)]:
        raise (WeightsError if names == [WEIGHTS] else DataError)(
            f"The data and weights of a run must be those that it began with; of '{folder}' there differ:\n  "
            + "\n  ".join(f"{name}: {_change(name, first, inputs)}" for name in names)
            + "\nPut what it began with back, or begin another run in another --workdir."
        )
    return before


def _change(name: str, before: Json, now: Json) -> str:
    if name == WEIGHTS:
        return "the pretrained weights are others"
    if name not in before or name not in now:
        return "there was none" if name not in before else "there is none now"
    if name == TEACHERS:
        return "they answer otherwise"
    if name == CLASSES:
        return f"{before[name]} -> {now[name]}"
    earlier, count = before.get(COUNTS, {}).get(name), now.get(COUNTS, {}).get(name)
    if earlier == count:
        return f"{count} examples as before, and some of them, their labels or their order are others"
    return f"{'other' if earlier is None else earlier} examples then, {count} now"
