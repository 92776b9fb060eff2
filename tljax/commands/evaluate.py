"""Evaluate a finished run on a folder or a table with labels: its metric with interval and n, and every class."""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tljax.cli import keep_compiled
from tljax.core.atomic import make_folder, write_json
from tljax.core.errors import ConfigError
from tljax.core.remote import copies
from tljax.core.types import Record, Totals
from tljax.core.untrusted import printable
from tljax.reporting import significance
from tljax.reporting.page import words
from tljax.reporting.terminal import number, show
from tljax.runs import chosen_run
from tljax.serving import evaluation, labelled, loaded_labels, saved_model, stored_config
from tljax.serving.predictor import Predictor
from tljax.serving.saved_model import Model
from tljax.tasks import Tabulates

COLUMNS = ("class", "examples", "recall % (95 %)", "precision %", "F1 %")


def main(arguments: Sequence[str]) -> None:
    """`tljax evaluate RUN DATA [--split NAME] [--out FOLDER] [--json]`, or `tljax evaluate RUN [--part test]`.

    DATA is a folder of class folders, with or without splits above them, or a table; columns, spelling and damaged
    files are handled as in training. Without DATA it is a part of the run's own data, which must be unchanged.

    Raises:
      TljaxError: there is no such run or data, the run does not know a label, or an example is unreadable.
    """
    options = _parser().parse_args(arguments)
    if options.data and options.part:
        raise ConfigError("--part names a part of the run's own data, not of DATA. Leave one of the two out.")
    keep_compiled()
    run, note = chosen_run.of(options.run)
    model = saved_model.load(run)
    totals, notes = (_loaded if model.task.LABEL_KIND in loaded_labels.LOADED else _counted)(options, run, model)
    for line in (note, *notes):
        print(printable(line), file=sys.stderr, end="\n" if line else "")
    found = evaluation.summary(model, totals)
    found |= {"per_class": rows} if (rows := _per_class(model, totals)) else {}
    if options.out:
        make_folder(options.out)
        write_json(options.out / "evaluation.json", {"run": str(run), "data": str(options.data or ""), **found})
        model.task.files(totals, options.out / "evaluation", classes=model.classes)
    _tell(found, as_json=options.json)
    there = [row["class"] for row in found["classes"] if row["examples"]]
    if len(there) == 1 < len(found["classes"]):
        print(printable(f"all are of '{there[0]}': mcc and auroc are not defined"), file=sys.stderr)


def _counted(options: argparse.Namespace, run: Path, model: Model) -> tuple[Totals, tuple[str, ...]]:
    """(The task's totals, notes), where labels are known without their examples."""
    file = stored_config.place(run)
    config = stored_config.read(file, model.family) if file else None
    columns = {name: getattr(options, name) for name in ("text", "pair", "image", "label")}
    if options.data:
        examples = labelled.of_data(run, model, options.data, split=options.split, columns=columns)
    else:
        examples = labelled.of_part(run, model, options.part or "test")
    predictor = Predictor(model, batch_size=config.train.eval_batch_size if config else 32)
    skip = bool(config and config.data.unreadable == "skip")
    totals = evaluation.totals(predictor, examples, skip=skip)
    return totals, (*examples.notes, *predictor.notes(len(examples.asked)))


def _loaded(options: argparse.Namespace, run: Path, model: Model) -> tuple[Totals, tuple[str, ...]]:
    """The same, where labels are loaded with their pictures."""
    if options.data:
        return loaded_labels.of_data(run, model, options.data, split=options.split, masks=options.masks)
    return loaded_labels.of_part(run, model, options.part or "test")


def _per_class(model: Model, totals: Totals) -> list[Record]:
    """A row for each class, of tasks that have such a table."""
    if not isinstance(model.task, Tabulates):
        return []
    table = model.task.per_class(totals, model.classes)
    return [dict(zip(table, map(_plain, row), strict=True)) for row in zip(*table.values(), strict=True)]


def _plain(value: Any) -> Any:
    """A number or a word for JSON; None for NaN."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and math.isnan(value) else value


def _tell(found: Record, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(found))
        return
    if found["classes"]:
        show("", COLUMNS, [_cells(row) for row in found["classes"]])
    if rows := found.get("per_class"):
        show("", tuple(rows[0]), [[_shown(value) for value in row.values()] for row in rows])
    metrics, best = found["metrics"], found["metric"]
    hidden = ("examples", best, *significance.ends(best))
    others = [f"{name} {number(value)}" for name, value in metrics.items() if name not in hidden]
    ends = [words.value(end, best) for end in found["interval"] or ()]
    between = f", 95 % interval {' to '.join(ends)}" if ends else ""
    print(printable(", ".join(others)))
    print(f"{best} {number(found['value'])} of {metrics['examples']:,} examples{between}")


def _cells(row: Record) -> list[str]:
    recall = f"{100 * row['recall']:.2f} ({_range(row['interval'])})" if row["interval"] else "-"
    others = ["-" if row[name] is None else f"{100 * row[name]:.2f}" for name in ("precision", "f1")]
    return [row["class"], f"{row['examples']:,}", recall, *others]


def _shown(value: object) -> str:
    return "-" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)


def _range(ends: tuple[float, float]) -> str:
    return f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tljax evaluate", description=__doc__)
    chosen_run.argument(parser)
    parser.add_argument(
        "data", type=copies.local, nargs="?", help="folder or table with labels; default: the run's own part"
    )
    parser.add_argument("--split", default="", help="of a folder of splits, the one to read; default: all")
    parser.add_argument("--part", default="", help="of the run's own data: test, validation, train; default test")
    parser.add_argument("--text", default="", help="of a table: the column of the text; default: as in training")
    parser.add_argument("--pair", default="", help="of a table: that of the second text")
    parser.add_argument("--image", default="", help="of a table: that of the picture's path")
    parser.add_argument("--label", default="", help="of a table: that of the label")
    parser.add_argument(
        "--masks", default="", help="of a folder of pictures: that of their masks; default: found in it"
    )
    parser.add_argument("--out", type=Path, help="folder for evaluation.json, predictions, confusion matrix")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    return parser
