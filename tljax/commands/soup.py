"""Mix the weights of finished runs into one network (model soups, WiSE-FT), by what the validation part says."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from tljax.cli import keep_compiled
from tljax.core.atomic import check_folder
from tljax.core.errors import ConfigError
from tljax.core.remote import copies
from tljax.core.untrusted import printable
from tljax.reporting.terminal import show
from tljax.runs import initial
from tljax.serving import soup, wise_ft
from tljax.serving.soup import Soup


def main(arguments: Sequence[str]) -> None:
    """`tljax soup RUN RUN ... --out FOLDER [--recipe greedy|uniform]`; a RUN may be the folder of a comparison.

    `tljax soup PROBE TUNED --recipe wise_ft --out FOLDER`: the best network on the line between two runs; of one run,
    on the line from the network that it began with, if its head began from the names of classes.

    Raises:
      TljaxError: the runs have no useful mean, or FOLDER cannot be written.
    """
    options = _parser().parse_args(arguments)
    check_folder(options.out)
    if options.out.exists() and any(options.out.iterdir()):
        raise ConfigError(f"--out must be a new folder: a soup does not replace a run; '{options.out}' is not empty.")
    keep_compiled()
    runs = soup.members(options.runs)
    made = _line(runs) if options.recipe == wise_ft.RECIPE else soup.make(runs, options.recipe)
    soup.save(made, options.out)
    (_tell_line if made.line else _tell)(made)
    if "batch_stats" in made.model.variables:
        print("BatchNorm's statistics are averaged too: they are not those of the averaged network")
    print(f"next: tljax evaluate {printable(str(options.out))}")


def _line(runs: Sequence[Path]) -> Soup:
    return wise_ft.from_initial(initial.variables(runs[0]), runs[0]) if len(runs) == 1 else wise_ft.make(runs)


def _tell(made: Soup) -> None:
    """Every run with its score, and what the mean has."""
    metric = made.model.task.BEST_METRIC
    rows = [
        [printable(str(run)), f"{score:.4f}", "yes" if run in made.runs else "-"] for run, score in made.scores.items()
    ]
    show("", ("run", f"validation {metric}", "in the soup"), rows)
    print(f"validation {metric} {made.score:.4f} of the mean of {len(made.runs)}")


def _tell_line(made: Soup) -> None:
    """Every alpha with its score, and the one that was chosen."""
    metric, (tuned, *first) = made.model.task.BEST_METRIC, map(str, made.runs)
    start = printable(first[0]) if first else "the network that it began with"
    print(f"alpha 1 is {printable(tuned)}, alpha 0 is {start}")
    rows = [
        [f"{alpha:.1f}", f"{score:.4f}", "chosen" if alpha == made.alpha else ""] for alpha, score in made.line.items()
    ]
    show("", ("alpha", f"validation {metric}", ""), rows)
    print(f"validation {metric} {made.score:.4f} at alpha {made.alpha:.1f}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tljax soup", description=__doc__)
    parser.add_argument(
        "runs", type=copies.local, nargs="+", help="finished runs from the same weights, or a comparison"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the soup, which is a run")
    parser.add_argument("--recipe", choices=(*soup.RECIPES, wise_ft.RECIPE), default="greedy", help="default: greedy")
    return parser
