"""Predict with a finished run: classes and probabilities of pictures, texts or rows of a table."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ml_collections import ConfigDict

from tljax.cli import keep_compiled
from tljax.core.errors import ConfigError, DataError
from tljax.core.untrusted import printable
from tljax.data import texts
from tljax.data.labels import cut
from tljax.reporting.terminal import number
from tljax.runs import chosen_run
from tljax.serving import answers, found_boxes, questions, saved_model
from tljax.serving.maps import pixel_maps
from tljax.serving.predictor import Predictor
from tljax.serving.questions import Questions
from tljax.serving.saved_model import Model

# Kinds of labels whose answers are files in a folder.
FOLDERS = {"maps": pixel_maps.save}
BATCH = 32  # the most pictures or texts in a batch; smaller batches compile and run faster


def main(arguments: Sequence[str]) -> None:
    """`tljax predict RUN IMAGE... [--out FILE] [--top K] [--json]`: an IMAGE is a file, or a folder of them.
    `tljax predict RUN TEXT... [--file FILE [--encoding NAME]]`: a TEXT is an argument, a file or a folder of texts, or
    a line of FILE ("-" is standard input). For a run on pairs it is two texts with a tab between.
    `tljax predict RUN TABLE [--out FILE] [--text COLUMN] [--id COLUMN]`: the rows of a .csv, .tsv or .jsonl, whose
    columns are read as in training.

    RUN is the folder of a run; or the folder of a suite or a comparison, of which the best row by validation is used.
    Standard output has a line for each picture or text: its name or text, then the task's answer: classes with
    probabilities; numbers; or the predicted labels with probabilities, or "none". With --out there is a row for each in
    a .csv, .jsonl or .parquet, with the answer as labels stood in the training's table, and the probability of every
    class; of boxes a row for each, or COCO's .json. For maps and boxes --out may be a folder: it gets the masks (PNG
    with a palette) or boxes.json, and in overlays/ the pictures with the answer drawn on them.
    Weights, card, tokenizer, classes and sizes come from the run's model/ folder. Standard error shows how many texts
    were cut to the run's longest length.

    Raises:
      DataError: there is no such run or picture, or some are unreadable: all are named, after all other answers.
    """
    options = _parser().parse_intermixed_args(arguments)  # arguments may stand before and after the flags
    if options.top < 1:
        raise ConfigError(f"--top must be at least 1; got {options.top}.")
    keep_compiled()
    run, note = chosen_run.of(options.run)
    model = saved_model.load(run)
    in_folder, of_boxes = FOLDERS.get(model.task.LABEL_KIND), model.task.LABEL_KIND == "boxes"
    if options.out and not in_folder:
        (found_boxes.check if of_boxes else answers.writer_of)(options.out)
    found = _asked(options, run, model)
    for line in (note, *found.notes):
        print(printable(line), file=sys.stderr, end="\n" if line else "")
    predictor = Predictor(model, batch_size=min(BATCH, max(len(found.asked), 1)))
    if of_boxes:
        answered = _boxes(options, found, predictor)
    elif not options.out:
        answered = _printed(options, found, predictor)
    elif in_folder:
        answered = in_folder(options.out, found, predictor)
    else:
        name = "file" if questions.kind(model) == "picture" and not options.id else "id"
        answered = _saved(options.out, found, predictor, name, questions.reading(run, model))
    for line in predictor.notes(answered):
        print(line, file=sys.stderr)
    if found.faults:
        raise DataError(
            f"Every {questions.kind(model)} must be readable; {len(found.faults)} of "
            f"{answered + len(found.faults)} are not:\n  " + "\n  ".join(found.faults)
        )


def _asked(options: argparse.Namespace, run: Path, model: Model) -> Questions:
    """Everything that the command line asks about: its arguments first, then the content of --file."""
    text = questions.kind(model) == "text"
    if options.file and not text:
        raise ConfigError("--file holds texts, and this run is on pictures. Name the pictures, or their folders.")
    columns = {name: getattr(options, name) for name in ("text", "pair", "image", "id")}
    table = options.file and questions.is_table(options.file)  # its lines are rows, and its first line names columns
    found = questions.find(run, model, [*options.asked, *([options.file] if table else [])], columns)
    if options.file and not table:
        said = {"encoding": options.encoding, "key": "--encoding"}
        raw = sys.stdin.buffer.read() if options.file == "-" else None
        content = texts.read(Path(options.file), **said) if raw is None else texts.decode(raw, "-", **said)
        for number, line in enumerate(texts.lines(content), start=1):
            found.add(f"{options.file}:{number}", line)
    if not found.names and not found.faults:
        raise ConfigError(
            'Give a text: tljax predict RUN "a text" "another", or --file FILE with one a line.'
            if text
            else "Name a picture, or a folder of pictures: tljax predict RUN IMAGE..."
        )
    return found


def _printed(options: argparse.Namespace, found: Questions, predictor: Predictor) -> int:
    """Print a line for each answer; returns their number."""
    model, answered = predictor.model, 0
    kind = questions.kind(model)
    for (one, answer), name in zip(predictor.answers(found.asked), found.names, strict=True):
        if isinstance(answer, ValueError):
            found.faults.append(f"{name}: {answer}")
            continue
        answered += 1
        shown = one if isinstance(one, str) else name
        best = model.task.answer(answer, model.classes, options.top)
        say = number if model.task.LABEL_KIND == "numbers" else "{:.4f}".format
        line = "  ".join(f"{name} {say(value)}" for name, value in best) or "none"
        plain = printable(f"{shown}  {line}")
        print(json.dumps({kind: str(shown), model.task.LABEL_KIND: best}) if options.json else plain, flush=True)
    return answered


def _boxes(options: argparse.Namespace, found: Questions, predictor: Predictor) -> int:
    """Print, save and draw the boxes that are found; returns the number of pictures."""
    model, every, answered, out = predictor.model, [], 0, options.out
    folder = out if out and not out.suffix else None
    for one in found_boxes.each(predictor, found):
        answered += 1
        if folder:
            found_boxes.draw(one, model, folder)
        if out:
            every.append(dataclasses.replace(one, image=one.image[..., :0].copy()))  # its size without its pixels
            continue
        listed = found_boxes.listed(one, model)
        line = "  ".join(f"{name} {score:.4f} {box}" for name, score, box in listed) or "none"
        said = json.dumps({"picture": one.name, "boxes": listed}) if options.json else printable(f"{one.name}  {line}")
        print(said, flush=True)
    if out:
        file = folder / found_boxes.FILE if folder else out
        print(printable(f"{file}: {found_boxes.save(every, model, file):,} boxes of {answered:,} pictures"))
        if file.suffix.lower() == found_boxes.COCO:
            ids = cut([f"{one['id']} {one['name']}" for one in found_boxes.categories(model)])
            print(printable(f"its category ids: {ids}; those of other files, of the training's too, may be others"))
    if folder:
        print(printable(f"{folder / found_boxes.OVERLAYS}: the pictures, with the boxes that are shown drawn on them"))
    return answered


def _saved(out: Path, found: Questions, predictor: Predictor, name: str, data: ConfigDict | None) -> int:
    """Write the answers, and print their number; returns it.

    Args:
      name: the name of the first column.
      data: config.data of the training, if it is known.
    """
    model = predictor.model
    rows = answers.Answers(model, name, data)
    for (_, answer), asked in zip(predictor.answers(found.asked), found.names, strict=True):
        if isinstance(answer, ValueError):
            found.faults.append(f"{asked}: {answer}")
        else:
            rows.add(asked, answer)
    answers.save(rows.columns, out)
    counts = [f"{name} {count:,}" for name, count in rows.counts.items()]
    told = f": {', '.join(counts)}" if counts else ""
    print(printable(f"{out}: {len(rows):,} rows{told}"))
    return len(rows)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tljax predict", description=__doc__)
    chosen_run.argument(parser)
    parser.add_argument(
        "asked", nargs="*", metavar="IMAGE, TEXT or TABLE", help="pictures, or folders that hold them; texts; tables"
    )
    parser.add_argument(
        "--out",
        type=Path,
        help=f"write all answers here: {', '.join(answers.WRITERS)}; masks: a folder; boxes: a folder, or .json too",
    )
    parser.add_argument("--file", help="texts, one a line; - is standard input")
    parser.add_argument("--encoding", default="utf-8", help="of --file; default utf-8")
    parser.add_argument("--text", default="", help="of a table: the column of the text; default: as in training")
    parser.add_argument("--pair", default="", help="of a table: that of the second text")
    parser.add_argument("--image", default="", help="of a table: the column of the picture's path")
    parser.add_argument("--id", default="", help=questions.ID_HELP)
    parser.add_argument("--top", type=int, default=1, help="classes to show of each; default 1")
    parser.add_argument(
        "--json",
        action="store_true",
        help='lines {"picture" or "text": ..., "classes" (or "numbers", "sets"): [[name, number]]}',
    )
    return parser
