"""Ask a finished run what pictures show: classes and probabilities."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from tljax import pictures, saved_model
from tljax.cli import keep_compiled
from tljax.errors import ConfigError, DataError
from tljax.predictor import Predictor, most_probable

BATCH = 32  # pictures at a time, at most; fewer compile and run faster


def main(arguments: Sequence[str]) -> None:
    """`tljax predict RUN IMAGE... [--top K] [--json]`: an IMAGE is a file, or a folder of them.

    A line a picture on standard output: its name, then classes with their probabilities. Weights, card,
    classes and sizes are those of the run's model/ folder.

    Raises:
      DataError: no such run or picture, or some pictures cannot be read: all are named, after the others' answers.
    """
    parser = argparse.ArgumentParser(prog="tljax predict", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished run, or its model/")
    parser.add_argument("images", nargs="+", type=Path, help="pictures, or folders that hold them")
    parser.add_argument("--top", type=int, default=1, help="classes to show of each picture; default 1")
    parser.add_argument("--json", action="store_true", help='lines {"picture": ..., "classes": [[name, probability]]}')
    options = parser.parse_args(arguments)
    if options.top < 1:
        raise ConfigError(f"--top must be at least 1; got {options.top}.")
    keep_compiled()
    model = saved_model.load(options.run)
    files = find_pictures(options.images)
    unreadable = []
    for file, answer in Predictor(model, batch_size=min(BATCH, len(files))).files(files):
        if isinstance(answer, ValueError):
            unreadable.append(f"{file}: {answer}")
            continue
        best = most_probable(answer, model.classes, options.top)
        line = "  ".join(f"{name} {probability:.4f}" for name, probability in best)
        print(json.dumps({"picture": str(file), "classes": best}) if options.json else f"{file}  {line}", flush=True)
    if unreadable:
        raise DataError(
            f"Every picture must be readable; {len(unreadable)} of {len(files)} are not:\n  " + "\n  ".join(unreadable)
        )


def find_pictures(places: Sequence[Path]) -> list[Path]:
    """The files among `places`, and the pictures at any depth of the folders among them, sorted in each.

    Raises:
      DataError: a place does not exist, or a folder holds no picture; all are named.
    """
    found, wrong = [], []
    for place in places:
        inside = sorted(file for file in place.rglob("*") if file.suffix.lower() in pictures.SUFFIXES)
        wrong += [] if place.is_file() or inside else [str(place)]
        found += [place] if place.is_file() else inside
    if wrong:
        raise DataError(
            f"Every IMAGE must be a picture or a folder of pictures ({', '.join(sorted(pictures.SUFFIXES))}); "
            f"these are neither: {', '.join(wrong)}."
        )
    return found
