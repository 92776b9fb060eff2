"""Show why a finished run says what it says of a picture or a text: heat maps, or the words it rests on."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tljax.cli import keep_compiled
from tljax.core.errors import ConfigError, DataError
from tljax.core.plugins import entry
from tljax.core.untrusted import printable
from tljax.reporting import explained
from tljax.runs import chosen_run
from tljax.serving import questions, saved_model
from tljax.serving.explain import asked, heat_maps, words
from tljax.serving.predictor import Predictor
from tljax.serving.saved_model import Model

SUFFIXES = (".png", ".svg", ".pdf")


def main(arguments: Sequence[str]) -> None:
    """`tljax explain RUN PICTURE -o why.png [--class NAME]`: what the network saw, and where it looked for the class.
    `tljax explain RUN "a text" -o why.png`: its words, by how much the probability falls without them.

    By default it is the class that is predicted, the most probable label of a set, or the first number. Networks with
    maps of places have Grad-CAM (of a number: places that raise it), vision transformers the roll-out of their
    attention; both have gradient x input. The numbers are printed too.

    Raises:
      DataError: no such run, or a picture or text that cannot be read.
      ConfigError: a run whose answers are masks, boxes or words; another name of a file or class.
    """
    parser = argparse.ArgumentParser(prog="tljax explain", description=__doc__)
    chosen_run.argument(parser)
    parser.add_argument("asked", metavar="PICTURE or TEXT", help="one picture, or one text")
    parser.add_argument("--out", "-o", type=Path, default=Path("why.png"), help=f"a file: {', '.join(SUFFIXES)}")
    parser.add_argument("--class", dest="label", default="", help="the class, label or number that is asked about")
    options = parser.parse_intermixed_args(arguments)
    if options.out.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"--out must be a file that ends in {', '.join(SUFFIXES)}; got '{options.out}'.")
    keep_compiled()
    run, note = chosen_run.of(options.run)
    model = saved_model.load(run)
    asked.check(model, run)
    if note:
        print(printable(note))
    (_of_text if questions.kind(model) == "text" else _of_picture)(model, options)
    print(printable(f"{options.out}"))


def _of_picture(model: Model, options: argparse.Namespace) -> None:
    if Path(options.asked).is_dir():
        raise DataError(f"PICTURE must be one picture; '{options.asked}' is a folder. Name a picture in it.")
    predictor = Predictor(model, batch_size=1)
    ((_, answer),) = predictor.answers([Path(options.asked)])
    number, said = _asked(model, options, answer)
    looked = heat_maps.of(model, [model.asked.read(Path(options.asked))], [number])
    maps = {name: found[0] for name, found in looked.maps.items()}
    explained.picture(looked.seen[0], maps, said, options.out)


def _of_text(model: Model, options: argparse.Namespace) -> None:
    predictor = Predictor(model)
    ((_, answer),) = predictor.answers([options.asked])
    number, said = _asked(model, options, answer)
    pieces = words.of(predictor, options.asked, number)
    effects, number_of = [(piece.text, piece.effect) for piece in pieces], model.task.LABEL_KIND == "numbers"
    unit = f"{model.classes[number]}, less that without these words" if number_of else explained.POINTS
    explained.text(effects, said, options.out, unit=unit)
    for piece in sorted(pieces, key=lambda piece: -abs(piece.effect))[:10]:
        print(printable(f"{piece.effect:+.4g}  {piece.text.strip()}"))


def _asked(model: Model, options: argparse.Namespace, answer: np.ndarray | ValueError) -> tuple[int, str]:
    """(The output that is asked about, it and its value in words, printed)."""
    if isinstance(answer, ValueError):
        raise DataError(f"A {questions.kind(model)} must be readable; {options.asked} is not: {answer}.")
    numbers = {name: i for i, name in enumerate(model.classes)}
    kind = model.task.LABEL_KIND
    number = entry(numbers, options.label, "--class") if options.label else asked.most(kind, answer, 1)[0]
    said = asked.said(kind, model.classes[number], answer[number])
    print(printable(f"{options.asked}  {said}"))
    return number, said
