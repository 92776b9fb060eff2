"""Write a finished run's network for another program: torchvision, timm, transformers, numpy, ONNX, StableHLO."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tljax.core.errors import ConfigError, DataError
from tljax.core.remote import copies
from tljax.core.untrusted import printable
from tljax.runs import chosen_run
from tljax.serving import exports, labelled, onnx_export, saved_model, snippets
from tljax.serving.saved_model import Model

CHECKED = 16  # pictures of the run's own test part, at most, on which an ONNX file is tried


def main(arguments: Sequence[str]) -> None:
    """`tljax export RUN --to=FORMAT [--out FILE]`, by default to `RUN/export/<FORMAT><suffix>`.

    Of a run on texts that is `RUN/export/<FORMAT>/model<suffix>`, with the tokenizer beside it. Python that loads the
    file is printed, and lies beside it. An ONNX file is kept only where onnxruntime gives the logits of the run's own
    test pictures.

    Raises:
      TljaxError: there is no such run or format, or the suffix is wrong; see `exports.save`.
    """
    parser = argparse.ArgumentParser(prog="tljax export", description=__doc__)
    chosen_run.argument(parser)
    parser.add_argument("--to", required=True, help=f"one of {', '.join(exports.FORMATS)}")
    parser.add_argument("--out", type=Path, help="the file to write; its card and classes come beside it")
    options = parser.parse_args(arguments)
    suffix, _ = exports.format_of(options.to)
    if not options.out and (address := copies.named(str(options.run))) != str(options.run):
        raise ConfigError(f"--out must name the file to write where the run is at an address; '{address}' is one.")
    run, note = chosen_run.of(options.run)
    if note:
        print(printable(note), file=sys.stderr)
    model, folder = saved_model.load(run), run / "export"
    default = folder / options.to / f"model{suffix}" if "lengths" in model.input else folder / f"{options.to}{suffix}"
    said: list[str] = []
    pictures = _pictures(run, model) if options.to == "onnx" and "resize" in model.input else []

    def check(part: Path) -> None:
        said.extend([onnx_export.check(model, part, pictures)] if pictures else [])

    *files, snippet = exports.save(model, options.to, options.out or default, check)
    for file in (*files, snippet):
        print(file)
    for line in (*said, *exports.notes(model, options.to)):
        print(printable(line))
    if model.temperature != 1.0:
        print(
            f"its outputs are logits: divided by the temperature {model.temperature:.4f} before the softmax they give "
            f"the probabilities that tljax predicts"
        )
    if options.to == "stablehlo":
        print(f"JAX guarantees for six months that later versions read it: until {snippets.until()}")
    print(printable(f"\n{snippet.read_text(encoding='utf-8')}"), end="")


def _pictures(run: Path, model: Model) -> list[np.ndarray]:
    """Pictures of the run's own test part, as stored; noise where they are gone, which is said."""
    try:
        examples = labelled.some(run, model, CHECKED)
        return [model.asked.read(one()) for one in examples.asked]
    except (ConfigError, DataError, ValueError) as error:
        print(printable(f"the run's own pictures cannot be read, noise stands for them: {error}"), file=sys.stderr)
        return list(np.random.default_rng(0).integers(0, 256, (CHECKED, *model.stored), np.uint8))
