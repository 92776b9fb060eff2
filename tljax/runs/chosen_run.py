"""Choose a run in a folder of many runs: the best row of a suite or a comparison, by validation."""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tljax.core.errors import DataError
from tljax.core.near_names import paths
from tljax.core.remote import copies
from tljax.core.untrusted import Record
from tljax.data.labels import cut
from tljax.runs import results


class Chosen(NamedTuple):
    """A run's folder, and the reason of the choice for the user; "" if there was only one run."""

    folder: Path
    note: str = ""


def argument(parser: argparse.ArgumentParser) -> None:
    """The argument RUN of a verb: a path, or an address, which is copied."""
    parser.add_argument(
        "run", type=copies.local, help="folder of a finished run, its model/, or of a suite: its best row"
    )


def of(folder: Path) -> Chosen:
    """The run in `folder`: its own, or of a suite or comparison the best row's, chosen on the validation part.

    Only rows with the most seeds are compared, by the mean of their seeds; of the best row the best seed is taken. If
    there is one row and no validation part, its first seed is taken. The test part is never used for the choice.

    Raises:
      DataError: there is no such folder, it holds other runs, or several rows and no validation part to choose by.
    """
    _check(folder)
    runs = sorted(file.parent for file in folder.glob("**/seed*/result.json"))
    if (folder / "model").exists() or (folder / "model.json").exists() or not runs:
        return Chosen(folder)
    rows: dict[Path, dict[Path, Record]] = {}
    for run in runs:
        rows.setdefault(run.parent, {})[run] = results.read(run)
    scores = {row: [_validation(found) for found in members.values()] for row, members in rows.items()}
    metrics = {found["metric"] for members in rows.values() for found in members.values()}
    if any(value is None for values in scores.values() for value in values) or len(metrics) > 1:
        if len(rows) > 1:
            names = ", ".join(str(row.relative_to(folder)) for row in rows)
            raise DataError(
                f"RUN must be one run, or runs of which a validation part can choose the best; '{folder}' holds "
                f"{names}, without one, or with different metrics ({', '.join(sorted(metrics))}). Name one of its "
                f"runs: {runs[0]}."
            )
        return Chosen(runs[0], f"{folder} holds {len(runs)} seeds of one row: taken is {runs[0]}")
    best = max(scores, key=lambda row: (len(scores[row]), np.mean([value or 0.0 for value in scores[row]])))
    run = max(rows[best], key=lambda one: _validation(rows[best][one]) or 0.0)
    (metric,) = metrics
    return Chosen(
        run,
        f"{folder} holds {len(rows)} rows of up to {max(map(len, scores.values()))} seeds: taken is {run}, by its "
        f"validation {metric} ({_validation(rows[best][run]):.4f}; mean of the row "
        f"{np.mean([value or 0.0 for value in scores[best]]):.4f})",
    )


def _check(folder: Path) -> None:
    """Raise DataError if there is no such folder, or one of several runs that are no suite."""
    if not folder.exists():
        raise DataError(f"There must be a run's folder '{folder}'; there is none.{paths.near(folder)}")
    if not ((folder / "model").exists() or (folder / "model.json").exists() or (folder / "config.json").exists()):
        runs = sorted(file.parent for file in folder.glob("*/result.json"))
        if runs:
            names = cut([str(run) for run in runs])
            raise DataError(f"RUN must be one run; '{folder}' holds {len(runs)}. Name one: {names}.")


def _validation(result: Record) -> float | None:
    return result["metrics"].get("validation", {}).get(result["metric"])
