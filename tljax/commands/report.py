"""Make the page of a finished run, suite or comparison again: report/index.html."""

import argparse
from collections.abc import Sequence

from tljax.cli import keep_compiled
from tljax.core.errors import TljaxError
from tljax.core.remote import mirror
from tljax.reporting.terminal import Screen
from tljax.runs.pages import again


def main(arguments: Sequence[str]) -> None:
    """`tljax report RUN... [--short]`: after a newer version of tljax, or for a run with `config.report=none`.

    The network in model/ is evaluated again on the run's own data and draws the page; nothing else in the folder
    changes.

    Raises:
      TljaxError: nothing there has ended, its data or weights are not what they were, or the page cannot be drawn.
    """
    parser = argparse.ArgumentParser(prog="tljax report", description=__doc__)
    parser.add_argument("run", nargs="+", metavar="RUN", help="folders of finished runs, suites or comparisons")
    parser.add_argument(
        "--short", action="store_true", help="no heat maps, no map of features, no baseline: nothing is computed for it"
    )
    options = parser.parse_args(arguments)
    keep_compiled()
    failed = [run for run in options.run if not _drawn(run, "short" if options.short else "full")]
    if failed:
        raise TljaxError(f"No page could be drawn of {', '.join(failed)}: the reasons are above.")


def _drawn(run: str, asked: str) -> bool:
    with mirror.worked_in(run) as folder:
        return again.write(folder, asked, Screen()) is not None
