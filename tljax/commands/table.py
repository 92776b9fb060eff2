"""Rebuild the table of finished runs: mean, spread over seeds, seconds; with a plot."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tljax.core.errors import DataError
from tljax.core.remote import copies
from tljax.core.untrusted import Record, printable
from tljax.reporting import table_files
from tljax.reporting.terminal import show
from tljax.runs import domain_transfer, results

VARIES = ("seed", "suite")  # keys in which the runs of one row may differ


def main(arguments: Sequence[str]) -> None:
    """`tljax table RUN... [--out FOLDER|x.tex|.csv|.png|.pdf|.svg]`: a RUN is a run folder or a folder of them.

    Runs with other domains (data.targets) have a second table, source x target, with the drop: `transfer`.

    Runs whose configs differ only in the seed form one row. The name of a row is the common part of its folders'
    paths.

    Raises:
      DataError: a folder holds no finished run, or a row holds a seed twice.
    """
    parser = argparse.ArgumentParser(prog="tljax table", description=__doc__)
    parser.add_argument("runs", nargs="+", type=copies.local, help="run folders, or folders that hold them")
    files = ", ".join(table_files.SUFFIXES)
    parser.add_argument(
        "--out", type=Path, help=f"a folder for table.md, .json, .png, and transfer.*; or a file: {files}"
    )
    options = parser.parse_args(arguments)
    folders = {folder.resolve(): folder for run in options.runs for folder in find_runs(run)}
    rows = by_row(list(folders.values()))
    summaries, domains = results.summarize(rows), domain_transfer.summarize(rows)
    show("", results.COLUMNS, [results.cells(summary) for summary in summaries], first=results.COLUMNS)
    domain_transfer.tell(domains)
    for note in results.unlike(list(folders.values())):
        print(printable(note))
    if options.out:
        if options.out.suffix in table_files.SUFFIXES:
            results.save_as(summaries, options.out)
        else:
            results.save(summaries, options.out)
            domain_transfer.save(domains, options.out)


def find_runs(folder: Path) -> list[Path]:
    """The finished runs at or below `folder`, sorted; an error if there is none. Unfinished runs are printed."""
    ended = sorted(file.parent for file in folder.rglob("result.json"))
    faults = {run: fault for run in ended if (fault := _damage(run))}
    found = [run for run in ended if run not in faults]
    begun = sorted(str(file.parent) for file in folder.rglob("env.json") if file.parent not in ended)
    why = [f"begun but not finished: {', '.join(begun)}; start their commands again"] if begun else []
    why += faults.values()
    if not found:
        said = "; ".join(why) or "it has none"
        raise DataError(f"'{folder}' must be or hold a finished run (a result.json); {said}.")
    for one in why:
        print(f"left out: {one}", file=sys.stderr)
    return found


def _damage(run: Path) -> str:
    """Why a run that ended cannot be read; "" if it can."""
    try:
        results.read(run, "config.json")
        results.read(run)
    except DataError as error:
        return str(error)
    return ""


def by_row(folders: Sequence[Path]) -> dict[str, list[Record]]:
    """Row name -> results, one for each seed."""
    rows: dict[str, list[Path]] = {}
    for folder in folders:
        config = results.read(folder, "config.json")
        same = json.dumps({key: value for key, value in config.items() if key not in VARIES}, sort_keys=True)
        rows.setdefault(same, []).append(folder)
    names = [_name(members) for members in rows.values()]
    if len(set(names)) < len(names):  # folders that share their name: tell them apart by their paths
        names = [str(members[0]) for members in rows.values()]
    return {name: _over_seeds(members) for name, members in zip(names, rows.values(), strict=True)}


def _over_seeds(folders: Sequence[Path]) -> list[Record]:
    found = sorted((results.read(folder) for folder in folders), key=lambda result: result["seed"])
    seeds = [result["seed"] for result in found]
    if len(set(seeds)) < len(seeds):
        raise DataError(
            f"The runs of a row must differ in their seeds; got {seeds} in {', '.join(map(str, folders))}. "
            f"Leave one of each out."
        )
    return found


def _name(folders: Sequence[Path]) -> str:
    """ "model_d" for model_d/seed0, model_d/seed1; the folder's own name if there is one run."""
    parents = {folder.parent.name for folder in folders}
    if all(folder.name.startswith("seed") for folder in folders) and len(parents) == 1:
        return parents.pop()
    return folders[0].name
