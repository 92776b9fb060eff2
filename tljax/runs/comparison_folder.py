"""The folder of a suite or a comparison: where each row lies in it, and its tables read again."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tljax.core.atomic import read_json
from tljax.core.errors import DataError
from tljax.core.untrusted import Record
from tljax.runs import comparison, results
from tljax.runs.comparison import Failure

Tables = Mapping[int, Sequence[Record]]  # training examples a class (0: as the config has it) -> rows


def place(size: int, entry: str) -> str:
    """The folder of a row: the characters of its name that a path can hold, below the folder of its size.

    Args:
      size: training examples a class; 0: as the config has it.
    """
    name = re.sub(r"[^\w.=+-]+", "-", entry)
    return f"{size}_per_class/{name}" if size else name


def read(folder: Path) -> tuple[Tables, dict[tuple[int, str], Path], list[Failure]]:
    """The tables of a suite or a comparison, the folder of each row, and the failures.

    Raises:
      DataError: `folder` holds neither.
    """
    if not (file := folder / "comparison.json").exists():
        homes = {name: folder / name for name in _suite(folder)}
        return {0: comparison.rows(_found(homes), homes)}, {(0, name): home for name, home in homes.items()}, []
    try:
        return _stored(folder, read_json(file, keys=("tables", "failures")))
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"'{file}' must hold the tables of a comparison; it is damaged ({error!r}).") from error


def _stored(folder: Path, said: Record) -> tuple[Tables, dict[tuple[int, str], Path], list[Failure]]:
    """The tables that comparison.json names, by the results that are there now."""
    tables, places = {}, {}
    for one in said["tables"]:
        size, names = one["examples_per_class"], [row["name"] for row in one["rows"]]
        homes = {name: folder / place(size, name) for name in names}
        waiting = {row["name"]: row.get("waiting", False) for row in one["rows"]}
        tables[size] = [row | {"waiting": waiting[row["name"]]} for row in comparison.rows(_found(homes), homes)]
        places |= {(size, name): home for name, home in homes.items()}
    return tables, places, [(one["row"], one["seed"], RuntimeError(one["error"])) for one in said["failures"]]


def _suite(folder: Path) -> Sequence[str]:
    """The rows of a suite, in the order of its table."""
    ended = sorted({file.parent.parent.name for file in folder.glob("*/seed*/result.json")} - {"first"})
    if not ended:
        raise DataError(
            f"RUN must be a finished run (with a result.json), or the folder of a suite or a comparison with finished "
            f"runs; '{folder}' is neither. A run that was stopped goes on with the command it began with."
        )
    file = folder / "table.json"
    order = [row["name"] for row in read_json(file, list)] if file.exists() else []
    found = _found({name: folder / name for name in ended})
    known = {results.called(name, members): name for name, members in found.items()}
    first = [known[name] for name in order if name in known]
    return [*first, *(name for name in ended if name not in first)]


def _found(homes: dict[str, Path]) -> dict[str, list[Record]]:
    """Row -> the results of its finished runs, by seed."""
    found = {
        name: [results.read(file.parent) for file in home.glob("seed*/result.json")] for name, home in homes.items()
    }
    return {name: sorted(members, key=lambda one: one["seed"]) for name, members in found.items()}
