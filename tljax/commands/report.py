"""Make the page of a finished run, suite or comparison again: report/index.html."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from tljax.cli import keep_compiled
from tljax.core.errors import TljaxError
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
    parser.add_argument("run", nargs="+", type=Path, help="folders of finished runs, suites or comparisons")
    parser.add_argument(
        "--short", action="store_true", help="no heat maps, no map of features, no baseline: nothing is computed for it"
    )
    options = parser.parse_args(arguments)
    keep_compiled()
    failed = [run for run in options.run if again.write(run, "short" if options.short else "full", Screen()) is None]
    if failed:
        raise TljaxError(f"No page could be drawn of {', '.join(map(str, failed))}: the reasons are above.")
