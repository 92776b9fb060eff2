"""Several runs side by side: every row with every seed, one process, one table."""

import contextlib
import functools
import math
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict
from rich.console import Console

from tljax.core import overrides, plugins, settings, signals
from tljax.core.atomic import make_folder
from tljax.core.errors import ConfigError, DataError, WeightsError
from tljax.core.processes import agreement
from tljax.core.remote import copies
from tljax.core.untrusted import Record
from tljax.reporting import terminal
from tljax.reporting.terminal import show
from tljax.runs import comparison, domain_transfer, fitted_run, results
from tljax.runs.pages import comparison_page
from tljax.transfer.method import Method

Run = Callable[[Any, Path], Record]
Results = dict[str, list[Record]]  # row -> results, in the order of their seeds
Failed = list[tuple[str, int, Exception]]  # row, seed and error, in the order of the failures


class Planned(NamedTuple):
    """One run of a suite."""

    row: str
    seed: int
    config: ConfigDict
    folder: Path


def run(run_one: Run, config: ConfigDict, folder: Path, *, flags: Sequence[str] = ()) -> list[Record]:
    """Run `config.suite` below `folder` and write its table.

    Args:
      flags: the "key=value" of the command line, which are already applied to `config`.

    Raises:
      ConfigError: a row's override does not fit, or a flag has no effect on any run; nothing has run then.
      Exception: the last failure, after all other runs have ended; that of "first" at once.
    """
    plan = expand(config, folder)
    check_heeded(flags, config, plan)
    finished, failed = each(run_one, plan, folder)
    rows = {row: finished[row] for row in config.suite.rows if row in finished}
    summaries, domains = results.summarize(rows), domain_transfer.summarize(rows)
    if summaries and agreement.first() and not config.suite.only:
        results.save(summaries, folder)
        domain_transfer.save(domains, folder)
        show(f"{folder}", results.COLUMNS, [results.cells(summary) for summary in summaries], first=results.COLUMNS)
        domain_transfer.tell(domains)
        _page(finished, failed, config, folder)
    if failed:
        raise failed[-1][2]
    return summaries


def _page(found: Results, failed: Failed, config: ConfigDict, folder: Path) -> None:
    """The page of the suite, beside its table."""
    homes = {row: folder / row for row in config.suite.rows}
    rows = comparison.rows({row: found.get(row, []) for row in homes}, homes)
    places = {(0, row): home for row, home in homes.items()}
    say = Console(highlight=False, soft_wrap=True).print
    comparison_page.write({0: rows}, places, failed, folder, asked=config.report, say=say)


def each(run_one: Run, plan: Sequence[Planned], folder: Path, *, minutes: float = math.inf) -> tuple[Results, Failed]:
    """Run every one in order. Finished runs are taken as they are, cut-off ones go on.

    A failure is reported, and the other runs go on.

    Args:
      minutes: none is begun that would end later, if it took as long as the longest so far; the first always is.

    Raises:
      Exception: the failure of "first"; that of the very first run, if all runs read the same missing files.
    """
    console = Console(highlight=False)
    console.print(f"{len(plan)} runs; what each prints is in {folder}/<row>/seed<n>.log", markup=False)
    results: Results = {}
    failed: Failed = []
    began, longest = time.monotonic(), 0.0
    for number, (row, seed, one, place) in enumerate(plan, start=1):
        signals.poll()
        start = time.monotonic()
        late = start - began + longest > 60 * minutes and not (place / "result.json").exists()
        if number > 1 and agreement.told(functools.partial(bool, late)):
            why = f"not begun, for it might end after the {minutes:g} min of --minutes"
            console.print(f"[{number}/{len(plan)}] {row} seed {seed}: {why}", markup=False)
            continue
        try:
            on = terminal.within.set(f"[{number}/{len(plan)}] {row} seed {seed}")
            try:
                result = _quietly(run_one, one, place)
            finally:
                terminal.within.reset(on)
        except Exception as error:  # also what XLA raises when memory runs out: hours of other rows depend on it
            console.print(f"[{number}/{len(plan)}] {row} seed {seed} failed: {error}", markup=False)
            failed.append((row, seed, error))
            if agreement.count() > 1:  # whether the others failed too is not known: the next run needs all
                raise
            missing = number == 1 and isinstance(error, DataError | WeightsError)
            if row == "first" or (missing and all(_reads(other.config) == _reads(one) for other in plan)):
                raise
            continue
        longest = max(longest, time.monotonic() - start)
        best, seconds = result["metric"], result["seconds"]["total"]
        value = result["metrics"]["test"][best]
        line = f"[{number}/{len(plan)}] {row} seed {seed}: test {best} {value:.4f} ({seconds:.1f} s)"
        console.print(line, markup=False)
        if row != "first":
            results.setdefault(row, []).append(result)
    return results, failed


def expand(config: ConfigDict, folder: Path, rows: Mapping[str, Sequence[str]] | None = None) -> list[Planned]:
    """Every run of a suite, in order; "first" is a run before the others.

    In an override "{suite}" stands for `folder`, "{seed}" for the run's seed.

    Args:
      rows: name -> overrides; by default `config.suite.rows`.

    Raises:
      ConfigError: there are no rows, a row is called "first" or sets a seed, an override does not fit (all such rows
        are named), or `folder` is that of one run.
    """
    if (folder / "config.json").exists():
        raise ConfigError(
            f"The folder of a suite must hold a folder for each row; '{folder}' is that of one run. "
            f"Choose another --workdir."
        )
    rows = config.suite.rows if rows is None else rows
    if not rows or not config.suite.seeds:
        raise ConfigError("config.suite.rows and config.suite.seeds must hold something to run.")
    if "first" in rows:
        raise ConfigError("config.suite.rows must not hold 'first', the name of the run that comes before all rows.")
    plain = overrides.apply(config, ())
    plain.suite.rows = ConfigDict()
    plain.suite.first, plain.suite.seeds, plain.suite.only = (), (0,), ""
    runs = []
    if config.suite.first:
        first = _of_row("first", plain, _filled(config.suite.first, folder, config.seed))
        runs.append(Planned("first", getattr(first, "seed", config.seed), first, folder / "first"))
    for seed in config.suite.seeds:
        for row, changes in rows.items():
            one = _of_row(row, plain, _filled(changes, folder, seed), seed)
            runs.append(Planned(row, seed, one, folder / row / f"seed{seed}"))
    if faults := dict.fromkeys(str(planned.config) for planned in runs if isinstance(planned.config, ConfigError)):
        raise ConfigError("\n".join(faults))
    return _only(config.suite.only, runs)


def _only(row: str, runs: list[Planned]) -> list[Planned]:
    names = list(dict.fromkeys(planned.row for planned in runs))
    if row and row not in names:
        raise ConfigError(f"config.suite.only must be a row of the suite: {', '.join(names)}; got '{row}'.")
    return [planned for planned in runs if row in ("", planned.row)]


def check_heeded(flags: Sequence[str], config: ConfigDict, plan: Sequence[Planned]) -> None:
    """Raise ConfigError if a flag has no effect, because every run overrides its key."""
    faults = []
    for key in dict.fromkeys(flag.partition("=")[0] for flag in flags):
        asked, values = settings.get(config, key), {}
        if key.startswith("suite.") or isinstance(asked, ConfigDict):
            continue
        for planned in plan:
            values.setdefault(repr(settings.get(planned.config, key)), planned.row)
        if repr(asked) not in values:
            others = ", ".join(f"{row} has {value}" for value, row in values.items())
            instead = "config.suite.seeds" if key == "seed" else "config.suite.rows, or leave the rows out ({})"
            faults.append(f"config.{key}={asked!r} has no effect: {others}, whatever it is. Change {instead}.")
    if faults:
        raise ConfigError("\n".join(faults))


def _reads(config: ConfigDict) -> tuple[Any, ...]:
    """The files that a run reads, as a key: if one run misses a file, all runs with the same key miss it."""
    pretrained = plugins.find("strategies", config.strategy.name).PRETRAINED
    return settings.as_flat(config.data), settings.as_flat(config.model), pretrained


def _of_row(row: str, plain: ConfigDict, changes: Sequence[str], seed: int | None = None) -> Any:
    """The config of one run of a row; if the row does not fit, a ConfigError that names the row."""
    try:
        if seed is not None and any(change.partition("=")[0].strip() == "seed" for change in changes):
            raise ConfigError("a row must not set config.seed: it runs with each of config.suite.seeds. Leave it out.")
        one = overrides.apply(plain, [*changes, *([] if seed is None else [f"seed={seed}"])])
        settings.check(one)
        if Method.of(plugins.find("strategies", one.strategy.name), one.strategy).fits:
            fitted_run.check(one)
    except ConfigError as error:
        return ConfigError(f"Row '{row}': {error}")
    return one


def _filled(changes: Sequence[str], folder: Path, seed: int) -> list[str]:
    return [
        change.replace("{suite}", copies.named(str(folder.absolute()))).replace("{seed}", str(seed))
        for change in changes
    ]


def _quietly(run_one: Run, config: ConfigDict, place: Path) -> Record:
    """Run with everything it prints in <folder>.log, where twenty runs' tables are in nobody's way."""
    if not agreement.first():
        return run_one(config, place)
    log = place.with_name(f"{place.name}.log")
    make_folder(log.parent)
    with log.open("a", encoding="utf-8") as file, contextlib.redirect_stdout(file):
        try:
            return run_one(config, place)
        except Exception:
            traceback.print_exc(file=file)
            raise
