"""Run strategies side by side on the same splits and seeds, and say which one won."""

import argparse
import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from tljax import cli
from tljax.core import atomic, overrides, plugins
from tljax.core.errors import ConfigError
from tljax.core.processes import agreement
from tljax.core.remote import mirror
from tljax.core.untrusted import printable
from tljax.given import config as given
from tljax.given import recipe
from tljax.given.config import Given
from tljax.reporting.terminal import show
from tljax.runs import comparison, comparison_folder, search, suite, verdict
from tljax.runs.pages import comparison_page
from tljax.runs.run import run

DEFAULT = "configs/digits.py"
NOT_SHORT = ("seed", "strategy", "minutes")  # --seeds, --strategies; --minutes is of all runs together


def main(arguments: Sequence[str]) -> None:
    """`tljax compare --config FILE[:ROW] --strategies A,B:KEY=VALUE --seeds 5 [--examples 1,5,10]`.
    `tljax compare --config FILE --grid optimizer.lr=1e-3,1e-2 [--random N] [--minutes M]`.

    The same command continues after an interruption; finished runs are not repeated. With few examples an epoch has
    few updates: set `--config.train.min_steps`, or all rows are trained too little to be compared.

    Raises:
      ConfigError: the command line or a row does not fit; nothing has run then.
      Exception: the last failure of a run, after all other runs have ended and the tables are written.
    """
    flags, changes = cli.split(arguments)
    options = _parser().parse_args(flags)
    changes += cli.of_short(options, but=NOT_SHORT)
    # {suite} and {seed} have a meaning only in a row.
    of_rows = tuple(change for change in changes if "{suite}" in change or "{seed}" in change)
    asked = [change for change in changes if change not in of_rows]
    read = _read(options, asked)
    rows = _rows(options, read, of_rows)
    sizes = _numbers("--examples", options.examples, least=1) if options.examples else (0,)
    with mirror.worked_in(options.workdir or f"runs/compare-{read.name}") as folder:
        _compare(options, read.config, folder, sizes, rows, asked)


def _compare(
    options: argparse.Namespace,
    config: ConfigDict,
    folder: Path,
    sizes: Sequence[int],
    rows: Mapping[str, tuple[str, ...]],
    asked: Sequence[str],
) -> None:
    """Run every row with every seed, and write the tables."""
    atomic.check_folder(folder)
    places = {(size, entry): comparison_folder.place(size, entry) for size in sizes for entry in rows}
    thin = {size: (f"data.examples_per_class={size}",) if size else () for size in sizes}
    wanted = {place: (*rows[entry], *thin[size]) for (size, entry), place in places.items()}
    if len(wanted) < len(places):
        raise ConfigError(f"--strategies must differ in more than signs, for their folders; got {', '.join(rows)}.")
    plan = suite.expand(config, folder, wanted)
    suite.check_heeded(asked, config, plan)
    cli.keep_compiled()
    found, failed = suite.each(run, plan, folder, minutes=options.minutes)
    if agreement.first():
        _report(found, failed, places, folder, config)
    if failed:
        raise failed[-1][2]


def _read(options: argparse.Namespace, asked: Sequence[str]) -> Given:
    """What is compared, and what its folder is called after."""
    if not (options.config or options.data):
        print(f"no --config, and no folder or table: the rows are compared on {DEFAULT}")
    rows = bool(options.strategies)
    read = given.of_flags(options.data, options.config, asked, default=DEFAULT, rows=rows)
    if not options.seeds:
        return read
    return dataclasses.replace(read, config=overrides.apply(read.config, [f"suite.seeds={_seeds(options.seeds)}"]))


def _rows(options: argparse.Namespace, read: Given, of_rows: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Row -> its overrides: every strategy with every setting that is tried."""
    config = read.config
    entries = cli.entries(options.strategies) if options.strategies else list(config.suite.rows)
    tried = _tried(options, config.seed)
    if tried != [()] and not entries:
        entries = [config.strategy.name]
    pairs = [(entry, added) for entry in entries for added in tried]
    return {":".join((entry, *added)): (*_overrides(entry, read), *added, *of_rows) for entry, added in pairs}


def _report(
    found: suite.Results, failed: suite.Failed, places: Mapping[tuple[int, str], str], folder: Path, config: ConfigDict
) -> None:
    """Write and print the tables and the page.

    Args:
      places: (training examples a class or 0, row) -> the folder of its runs, below `folder`.
    """
    sizes: dict[int, list[str]] = {}
    for size, entry in places:
        sizes.setdefault(size, []).append(entry)
    tables = {
        size: comparison.rows(
            {entry: found.get(places[size, entry], []) for entry in entries},
            {entry: folder / places[size, entry] for entry in entries},
        )
        for size, entries in sizes.items()
    }
    ended = {place: len(found.get(place, ())) + sum(row == place for row, _, _ in failed) for place in places.values()}
    for size, table in tables.items():
        for row in table:
            row["waiting"] = ended[places[size, row["name"]]] < len(config.suite.seeds)
    names = {place: entry + (f" ({size} a class)" if size else "") for (size, entry), place in places.items()}
    told = [(names.get(place, place), seed, error) for place, seed, error in failed]
    _tell(tables, told, folder)
    homes, say = {key: folder / place for key, place in places.items()}, lambda line: print(printable(line))
    comparison_page.write(tables, homes, told, folder, asked=config.report, say=say)


def _tell(tables: dict[int, Any], failed: Sequence[comparison.Failure], folder: Path) -> None:
    """Write and print the tables and their notes."""
    comparison.save(tables, failed, folder)
    for size, table in tables.items():
        title = f"{folder}" + (f", {size} training examples a class" if size else "")
        show(title, comparison.COLUMNS, [comparison.cells(row) for row in table], first=comparison.FIRST)
    print(printable("\n".join(comparison.notes(tables, failed))))
    for size, table in tables.items():
        print(printable((f"{size} a class: " if size else "") + verdict.sentence(table)))


def _tried(options: argparse.Namespace, seed: int) -> list[tuple[str, ...]]:
    """The overrides that --grid, and --random, put on top of every row; one of none where nothing is asked."""
    if options.random is not None and (not options.grid or options.random < 1):
        raise ConfigError(
            f"--random must be a number of draws from 1 on, with --grid KEY=LOW..HIGH; got {options.random}."
        )
    if not options.minutes > 0:
        raise ConfigError(f"--minutes must be more than 0; got {options.minutes:g}.")
    if not options.grid:
        return [()]
    axes = search.axes([word for words in options.grid for word in words])
    return search.drawn(axes, options.random, seed) if options.random else search.grid(axes)


def _overrides(entry: str, read: Given) -> tuple[str, ...]:
    """ "full:optimizer.lr=0.1:data.flip=true" as overrides; "full" is a row of the config's suite, else a strategy."""
    rows = read.config.suite.rows
    name, *changes = re.split(r":(?=[\w.]+=)", entry)
    if name in rows:
        return (*rows[name], *changes)
    known = plugins.available("strategies")
    if name not in known:
        raise ConfigError(
            f"--strategies must be rows of the config ({', '.join(rows) or 'it has none'}) "
            f"or files in tljax/transfer/strategies/ ({', '.join(known)}); got '{name}'."
        )
    return (f"strategy.name={name}", *recipe.of_row(name, read.changes), *changes)


def _seeds(text: str) -> tuple[int, ...]:
    """ "5" is 0 to 4, "3,7" is 3 and 7."""
    return _numbers("--seeds", text, least=0) if "," in text else tuple(range(*_numbers("--seeds", text, least=1)))


def _numbers(flag: str, text: str, *, least: int) -> tuple[int, ...]:
    words = [word for word in text.split(",") if word]
    if not words or not all(word.isdecimal() and int(word) >= least for word in words):
        raise ConfigError(f"{flag} must be whole numbers from {least} on, such as 1,5,10; got '{text}'.")
    return tuple(dict.fromkeys(int(word) for word in words))


def _parser() -> cli.Parser:
    usage = (
        "tljax compare [DATA | --config FILE[:ROW]] [--strategies A,B:KEY=VALUE,...] [--seeds N|A,B,...] "
        "[--grid KEY=A,B ... [--random N]] [--minutes M] [--examples N,N,...] "
        "[--lr RATE --size PIXELS ...] [--config.KEY=VALUE ...] [--workdir FOLDER]"
    )
    parser = cli.Parser(prog="tljax compare", usage=usage, description=__doc__, allow_abbrev=False)
    parser.add_argument("data", nargs="?", help="a folder or a table of your own, as `tljax train` takes it")
    parser.add_argument("--config", help=f"Python file with get_config(), and a row of it; default {DEFAULT}")
    parser.add_argument(
        "--strategies",
        help="rows of the config's suite, or strategies, each with overrides after colons; default: the suite's rows",
    )
    parser.add_argument("--seeds", help="how many, or which; default: the config's suite.seeds")
    parser.add_argument(
        "--grid",
        nargs="+",
        action="append",
        metavar="KEY=A,B",
        help="keys at several values, every combination of them; with --random also KEY=LOW..HIGH",
    )
    parser.add_argument(
        "--random", type=int, help="so many draws from --grid in the place of all; by the config's seed"
    )
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no run that would end later")
    parser.add_argument("--examples", help="training examples a class, for learning curves")
    parser.add_argument("--workdir", help="folder of the runs and the tables; default runs/compare-<config>")
    cli.add_short(parser, but=NOT_SHORT)
    return parser
