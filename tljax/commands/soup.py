"""Average the weights of finished runs into one network (model soups), by what the validation part says."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from tljax.cli import keep_compiled
from tljax.core.atomic import check_folder
from tljax.core.errors import ConfigError
from tljax.core.untrusted import printable
from tljax.reporting.terminal import show
from tljax.serving import soup


def main(arguments: Sequence[str]) -> None:
    """`tljax soup RUN RUN ... --out FOLDER [--recipe greedy|uniform]`; a RUN may be the folder of a comparison.

    Raises:
      TljaxError: the runs have no useful mean, or FOLDER cannot be written.
    """
    options = _parser().parse_args(arguments)
    if options.out.exists() and any(options.out.iterdir()):
        raise ConfigError(f"--out must be a new folder: a soup does not replace a run; '{options.out}' is not empty.")
    check_folder(options.out)
    keep_compiled()
    made = soup.make(soup.members(options.runs), options.recipe)
    soup.save(made, options.out)
    metric = made.model.task.BEST_METRIC
    rows = [
        [printable(str(run)), f"{score:.4f}", "yes" if run in made.runs else "-"] for run, score in made.scores.items()
    ]
    show("", ("run", f"validation {metric}", "in the soup"), rows)
    if "batch_stats" in made.model.variables:
        print("BatchNorm's statistics are averaged too: they are not those of the averaged network")
    print(f"validation {metric} {made.score:.4f} of the mean of {len(made.runs)}; next: tljax evaluate {options.out}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tljax soup", description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", help="finished runs from the same weights, or a comparison")
    parser.add_argument("--out", type=Path, required=True, help="folder of the soup, which is a run")
    parser.add_argument("--recipe", choices=soup.RECIPES, default="greedy", help="default: greedy")
    return parser
