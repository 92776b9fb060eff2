"""Write the feature vectors of a finished run's network for pictures, texts or rows of a table."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tljax.cli import keep_compiled
from tljax.core.errors import DataError
from tljax.core.untrusted import printable
from tljax.runs import chosen_run
from tljax.serving import embedding, questions, saved_model

BATCH = 32  # the most examples in a batch


def main(arguments: Sequence[str]) -> None:
    """`tljax embed RUN DATA... --out features.npz`: DATA are pictures, texts, folders of them, or tables.

    Features are the input of the run's head: (N, D), float32. A .npz holds "id" and "features"; .parquet, .csv and
    .jsonl have a row for each example, with the columns id, f0, f1 and so on.

    Raises:
      TljaxError: there is no such run, data or format; or examples are unreadable: all are named, after the file is
        written.
    """
    parser = argparse.ArgumentParser(prog="tljax embed", description=__doc__)
    chosen_run.argument(parser)
    parser.add_argument("data", nargs="+", metavar="DATA", help="pictures, texts, folders of them, tables")
    parser.add_argument("--out", "-o", type=Path, required=True, help="a .npz, .parquet, .csv or .jsonl")
    parser.add_argument("--text", default="", help="of a table: the column of the text; default: as in training")
    parser.add_argument("--pair", default="", help="of a table: that of the second text")
    parser.add_argument("--image", default="", help="of a table: the column of the picture's path")
    parser.add_argument("--id", default="", help=questions.ID_HELP)
    options = parser.parse_intermixed_args(arguments)
    embedding.check(options.out)
    keep_compiled()
    run, note = chosen_run.of(options.run)
    model = saved_model.load(run)
    found = questions.find(
        run, model, options.data, {name: getattr(options, name) for name in ("text", "pair", "image", "id")}
    )
    for line in (note, *found.notes):
        print(printable(line), file=sys.stderr, end="\n" if line else "")
    predictor = embedding.predictor(model, batch_size=min(BATCH, max(len(found.asked), 1)))
    names, rows, place = [], [], 0
    for some, faults, features in predictor.rows(found.asked):
        found.faults += [f"{found.names[place + i]}: {why}" for i, why in faults.items()]
        names += [found.names[place + i] for i in range(len(some)) if i not in faults]
        rows += [features] if len(faults) < len(some) else []
        place += len(some)
    if rows:
        embedding.save(names, np.concatenate(rows), options.out)
        print(printable(f"{options.out}: {len(names):,} rows of {rows[0].shape[1]:,} features"))
    for line in predictor.notes(len(names)):
        print(line, file=sys.stderr)
    if found.faults:
        raise DataError(
            f"Every {questions.kind(model)} must be readable; {len(found.faults)} of "
            f"{len(names) + len(found.faults)} are not:\n  " + "\n  ".join(found.faults)
        )
