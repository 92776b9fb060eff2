"""Write a finished run's network for another program: torchvision, timm, transformers, numpy, StableHLO."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from tljax.core.untrusted import printable
from tljax.serving import exports, saved_model


def main(arguments: Sequence[str]) -> None:
    """`tljax export RUN --to=FORMAT [--out FILE]`, by default to `RUN/export/<FORMAT><suffix>`.

    Of a run on texts that is `RUN/export/<FORMAT>/model<suffix>`, with the tokenizer beside it.

    Raises:
      TljaxError: no such run, format or suffix; see `exports.save`.
    """
    parser = argparse.ArgumentParser(prog="tljax export", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished run, or its model/")
    parser.add_argument("--to", required=True, help=f"one of {', '.join(exports.FORMATS)}")
    parser.add_argument("--out", type=Path, help="the file to write; its card and classes come beside it")
    options = parser.parse_args(arguments)
    suffix, _ = exports.format_of(options.to)
    model, folder = saved_model.load(options.run), options.run / "export"
    default = folder / options.to / f"model{suffix}" if "lengths" in model.input else folder / f"{options.to}{suffix}"
    for file in exports.save(model, options.to, options.out or default):
        print(file)
    for note in exports.notes(model, options.to):
        print(printable(note))
