"""Ask a finished run what pictures show, or of what class texts are: classes and probabilities."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tljax.cli import keep_compiled
from tljax.core.errors import ConfigError, DataError
from tljax.core.untrusted import printable
from tljax.data import folders, pictures, texts
from tljax.serving import saved_model
from tljax.serving.predictor import Predictor

BATCH = 32  # pictures or texts at a time, at most; fewer compile and run faster


def main(arguments: Sequence[str]) -> None:
    """`tljax predict RUN IMAGE... [--top K] [--json]`: an IMAGE is a file, or a folder of them.
    `tljax predict RUN TEXT... [--file FILE [--encoding NAME]]`: a TEXT is one argument, or a line of FILE, "-" being
    standard input; of a run on pairs it is two texts with a tab between.

    A line a picture or text on standard output: its name or itself, then what the task says: classes with their
    probabilities; numbers; or the labels that hold, with theirs, or "none". Weights, card, tokenizer, classes and
    sizes are those of the run's model/ folder. How many texts were cut to the longest length of the run stands on
    standard error.

    Raises:
      DataError: no such run or picture, or some cannot be read: all are named, after the others' answers.
    """
    parser = argparse.ArgumentParser(prog="tljax predict", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished run, or its model/")
    parser.add_argument("asked", nargs="*", metavar="IMAGE or TEXT", help="pictures, or folders that hold them; texts")
    parser.add_argument("--file", help="texts, one a line; - is standard input")
    parser.add_argument("--encoding", default="utf-8", help="of --file; default utf-8")
    parser.add_argument("--top", type=int, default=1, help="classes to show of each; default 1")
    parser.add_argument(
        "--json",
        action="store_true",
        help='lines {"picture" or "text": ..., "classes" (or "numbers", "sets"): [[name, number]]}',
    )
    options = parser.parse_intermixed_args(arguments)  # what is asked may stand on both sides of the flags
    if options.top < 1:
        raise ConfigError(f"--top must be at least 1; got {options.top}.")
    keep_compiled()
    model = saved_model.load(options.run)
    kind = "text" if "lengths" in model.input else "picture"
    asked = _texts(options) if kind == "text" else _pictures(options)
    predictor, unreadable = Predictor(model, batch_size=min(BATCH, len(asked))), []
    for place, (one, answer) in zip(asked, predictor.answers(list(asked.values())), strict=True):
        if isinstance(answer, ValueError):
            unreadable.append(f"{place}: {answer}")
            continue
        best = model.task.answer(answer, model.classes, options.top)
        line = "  ".join(f"{name} {value:.4f}" for name, value in best) or "none"
        plain = printable(f"{one}  {line}")
        print(json.dumps({kind: str(one), model.task.LABELS: best}) if options.json else plain, flush=True)
    if predictor.cut:
        longest = model.input["lengths"][-1]
        print(f"{predictor.cut} of {len(asked)} texts were cut to {longest} tokens", file=sys.stderr)
    if unreadable:
        raise DataError(
            f"Every {kind} must be readable; {len(unreadable)} of {len(asked)} are not:\n  " + "\n  ".join(unreadable)
        )


def _pictures(options: Any) -> dict[str, Path]:
    """What people call every picture that is asked about -> its file."""
    if options.file:
        raise ConfigError("--file holds texts, and this run is on pictures. Name the pictures, or their folders.")
    if not options.asked:
        raise ConfigError("Name a picture, or a folder of pictures: tljax predict RUN IMAGE...")
    return {str(file): file for file in find_pictures([Path(place) for place in options.asked])}


def _texts(options: Any) -> dict[str, str]:
    """What people call every text that is asked about -> the text: arguments first, then the lines of the file."""
    found = {f"text {number}": text for number, text in enumerate(options.asked, start=1)}
    if options.file:
        raw = sys.stdin.buffer.read() if options.file == "-" else None
        said = {"encoding": options.encoding, "key": "--encoding"}
        content = texts.read(Path(options.file), **said) if raw is None else texts.decode(raw, "-", **said)
        found |= {f"{options.file}:{number}": line for number, line in enumerate(texts.lines(content), start=1)}
    if not found:
        raise ConfigError('Give a text: tljax predict RUN "a text" "another", or --file FILE with one a line.')
    return found


def find_pictures(places: Sequence[Path]) -> list[Path]:
    """The pictures among `places`, and those at any depth of the folders among them, sorted in each: what training
    takes for a picture by its name, and leaves out as hidden.

    Raises:
      DataError: a place does not exist, is no picture by its suffix, or a folder holds none; all are named.
    """
    found, wrong = [], []
    for place in places:
        if place.is_dir():
            inside = list(folders.inside(place, pictures.SUFFIXES))
        else:
            inside = [place] if folders.is_example(place, pictures.SUFFIXES) else []
        wrong += [] if inside else [str(place)]
        found += inside
    if wrong:
        raise DataError(
            f"Every IMAGE must be a picture or a folder of pictures ({', '.join(sorted(pictures.SUFFIXES))}); "
            f"these are neither: {', '.join(wrong)}."
        )
    return found
