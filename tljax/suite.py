"""Several runs side by side: every row with every seed, one process, one table."""

import contextlib
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict
from rich.console import Console

from tljax import overrides, results, settings
from tljax.errors import ConfigError, TljaxError
from tljax.report import show

Run = Callable[[Any, Path], dict[str, Any]]


def run(run_one: Run, config: Any, folder: Path) -> list[dict[str, Any]]:
    """Run `config.suite` below `folder`; finished runs are taken as they are, cut-off ones go on.

    One that fails is reported and does not lose the others.

    Raises:
      ConfigError: a row's override does not fit; nothing has run then.
      Exception: the last failure, once all other runs have ended; that of "first" at once.
    """
    console = Console(highlight=False)
    plan = expand(config, folder)
    console.print(f"{len(plan)} runs; what each prints is in {folder}/<row>/seed<n>.log", markup=False)
    rows: dict[str, list[dict[str, Any]]] = {row: [] for row in config.suite.rows}
    failure: Exception | None = None
    for number, (row, seed, one, place) in enumerate(plan, start=1):
        try:
            result = _quietly(run_one, one, place)
        except Exception as error:  # also what XLA raises when memory runs out: hours of other rows depend on it
            console.print(f"[{number}/{len(plan)}] {row} seed {seed} failed: {error}", markup=False)
            failure = error
            if row == "first" or (number == 1 and isinstance(error, TljaxError) and error.code > 1):
                raise  # every row starts from it; and what is missing for the first run is missing for all
            continue
        best, seconds = result["metric"], result["seconds"]["total"]
        value = result["metrics"]["test"][best]
        line = f"[{number}/{len(plan)}] {row} seed {seed}: test {best} {value:.4f} ({seconds:.1f} s)"
        console.print(line, markup=False)
        if row != "first":
            rows[row].append(result)
    summaries = results.summarize(rows)
    if not summaries:
        raise failure or ConfigError("config.suite.rows and config.suite.seeds must hold something to run.")
    results.save(summaries, folder)
    show(f"{folder}", results.COLUMNS, [results.cells(summary) for summary in summaries])
    if failure:
        raise failure
    return summaries


def expand(config: Any, folder: Path) -> list[tuple[str, int, Any, Path]]:
    """(row, seed, config, run folder) of every run, in order; "first" is the one that comes before.

    Raises:
      ConfigError: a row is called "first", or an override does not fit.
    """
    if "first" in config.suite.rows:
        raise ConfigError("config.suite.rows must not hold 'first', the name of the run that comes before all rows.")
    plain = overrides.apply(config, ())
    plain.suite.rows = ConfigDict()
    plain.suite.first, plain.suite.seeds = (), (0,)
    runs = []
    if config.suite.first:
        first = overrides.apply(plain, _filled(config.suite.first, folder))
        runs.append(("first", first.seed, first, folder / "first"))
    for seed in config.suite.seeds:
        for row, changes in config.suite.rows.items():
            one = overrides.apply(plain, [*_filled(changes, folder), f"seed={seed}"])
            runs.append((row, seed, one, folder / row / f"seed{seed}"))
    for _, _, one, _ in runs:
        settings.check(one)
    return runs


def _filled(changes: Any, folder: Path) -> list[str]:
    return [change.replace("{suite}", str(folder.absolute())) for change in changes]


def _quietly(run_one: Run, config: Any, place: Path) -> dict[str, Any]:
    """Run with everything it prints in <folder>.log, where twenty runs' tables are in nobody's way."""
    log = place.with_name(f"{place.name}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file, contextlib.redirect_stdout(file):
        try:
            return run_one(config, place)
        except Exception:
            traceback.print_exc(file=file)
            raise
