"""Rebuild the table of finished runs: mean, spread over seeds, seconds; with a plot."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tljax import results
from tljax.errors import DataError
from tljax.report import show

VARIES = ("seed", "suite")  # keys in which the runs of one row may differ


def main(arguments: Sequence[str]) -> None:
    """`tljax table RUN... [--out FOLDER]`: a RUN is a run folder or a folder of them.

    Runs are one row when their configs differ in nothing but the seed. A row is called after its
    folders: what their paths have in common.

    Raises:
      DataError: no finished run among the folders.
    """
    parser = argparse.ArgumentParser(prog="tljax table", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders, or folders that hold them")
    parser.add_argument("--out", type=Path, help="write table.md, table.json and table.png here")
    options = parser.parse_args(arguments)
    folders = [folder for run in options.runs for folder in find_runs(run)]
    rows = by_row(folders)
    summaries = results.summarize(rows)
    show("", results.COLUMNS, [results.cells(summary) for summary in summaries])
    if options.out:
        results.save(summaries, options.out)


def find_runs(folder: Path) -> list[Path]:
    """The finished runs at or below `folder`, sorted; an error where there is none."""
    found = sorted(file.parent for file in folder.rglob("result.json"))
    if not found:
        begun = sorted(str(file.parent) for file in folder.rglob("config.json"))
        more = f" Begun but not finished: {', '.join(begun)}; start their commands again." if begun else ""
        raise DataError(f"'{folder}' must be or hold a finished run (a result.json); it has none.{more}")
    return found


def by_row(folders: Sequence[Path]) -> dict[str, list[dict[str, Any]]]:
    """Row name -> results, one a seed."""
    rows: dict[str, list[Path]] = {}
    for folder in folders:
        config = json.loads((folder / "config.json").read_text())
        same = json.dumps({key: value for key, value in config.items() if key not in VARIES}, sort_keys=True)
        rows.setdefault(same, []).append(folder)
    named = {_name(members): [results.read(folder) for folder in members] for members in rows.values()}
    if len(named) < len(rows):  # folders that share their name: tell them apart by their paths
        named = {str(members[0]): [results.read(folder) for folder in members] for members in rows.values()}
    return named


def _name(folders: Sequence[Path]) -> str:
    """ "model_d" of model_d/seed0, model_d/seed1; the folder's own name where there is one run."""
    parents = {folder.parent.name for folder in folders}
    if all(folder.name.startswith("seed") for folder in folders) and len(parents) == 1:
        return parents.pop()
    return folders[0].name
