"""A page on this machine: drop a picture or type a text, and see what a finished run says of it and why."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tljax.cli import keep_compiled
from tljax.core import signals
from tljax.core.errors import ConfigError
from tljax.core.untrusted import printable
from tljax.runs import chosen_run
from tljax.serving import saved_model
from tljax.serving.demo import nearest
from tljax.serving.demo.answering import Answering
from tljax.serving.demo.server import Server

MOST = 1_000  # training examples that a new one is compared with
CTRL_C = 130


def main(arguments: Sequence[str]) -> None:
    """`tljax demo RUN [--port N]`: prints the address of a page, and answers it until Ctrl-C.

    The page shows the answer of `tljax predict`; for a picture heat maps, for a text its words; and the nearest
    training examples, if the run's data can still be read. Only programs on this machine can reach it.

    Raises:
      TljaxError: there is no such run, its task has no answer for one example, or the port is taken.
    """
    parser = argparse.ArgumentParser(prog="tljax demo", description=__doc__)
    chosen_run.argument(parser)
    parser.add_argument("--port", type=int, default=0, help="default 0: any that is free")
    parser.add_argument(
        "--nearest", type=int, default=MOST, help=f"training examples to compare with; 0: none; default {MOST:,}"
    )
    options = parser.parse_args(arguments)
    if options.nearest < 0:
        raise ConfigError(f"--nearest must be at least 0; got {options.nearest}.")
    try:
        _serve(options.run, options.port, options.nearest)
    except signals.Stopped as stop:
        print(f"\nthe demo has ended{'' if stop.code == CTRL_C else f', by {stop}'}")
        if stop.code != CTRL_C:
            sys.exit(stop.code)


def _serve(folder: Path, port: int, most: int) -> None:
    keep_compiled()
    run, note = chosen_run.of(folder)
    if note:
        print(printable(note))
    model = saved_model.load(run)
    if most:
        print("reading the training examples, to show the nearest ones (--nearest 0: without)", flush=True)
    found, without = nearest.find(run, model, most)
    if without:
        print(printable(without))
    answering = Answering(model, found, without)
    with Server(answering, "/".join(run.resolve().parts[-2:]), port) as server:
        print(f"the demo is at {server.url} (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        finally:
            answering.lock.acquire()  # no thread computes while Python ends
