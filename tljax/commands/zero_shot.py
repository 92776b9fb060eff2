"""Classify pictures by the names of classes, without training: CLIP, SigLIP and TIPSv2."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tljax.cli import keep_compiled
from tljax.core.errors import ConfigError, DataError
from tljax.core.plugins import find
from tljax.core.untrusted import printable
from tljax.data import folders
from tljax.serving import evaluation, labelled, published_model, questions, stored_config
from tljax.serving.predictor import Predictor
from tljax.serving.saved_model import Model
from tljax.transfer import text_head

TEMPLATE = "a photo of a {}"
BATCH = 32  # the most pictures in a batch
NO_RUN = Path("no run")  # what is asked here is no run: no config says how to read


def main(arguments: Sequence[str]) -> None:
    """`tljax zero_shot MODEL DATA [--classes cat,dog] [--template "a photo of a {}"] [--json]`.

    MODEL holds both towers: a folder of transformers, or a hub repository (openai/clip-vit-base-patch32). DATA with
    folders of classes gives the accuracy, with those folders as classes; other pictures give a line each.

    Raises:
      TljaxError: the weights hold no tower for texts, there are no classes, or a picture is unreadable.
    """
    options = _parser().parse_args(arguments)
    inside = _known_classes(options.data)
    names = [name.strip() for name in options.classes.split(",") if name.strip()] or inside
    if len(names) < 2 or len({*names}) < len(names):
        raise ConfigError(
            f"There must be two classes or more, each once: --classes cat,dog, or DATA with a folder for each class; "
            f"got {', '.join(names) or 'none'}."
        )
    if tables := [str(place) for place in options.data if questions.is_table(str(place))]:
        raise DataError(
            f"DATA must be pictures or folders of them, and no table; got: {', '.join(tables)}. Name the folder of its "
            f"pictures, and --classes."
        )
    keep_compiled()
    lock = find("weight_sources", "hub").LOCK
    model, notes, published = published_model.load(options.model, family="vit", lock=lock)
    if not model.card.mean:
        raise ConfigError(f"The scaling of pixels must be known; put preprocessor_config.json into '{options.model}'.")
    tower = text_head.read(options.model, lock=lock, tokenizer=options.tokenizer)
    model = zero_shot(model, published.arrays, tower, names, options.template or [TEMPLATE])
    for note in notes:
        print(printable(note), file=sys.stderr)
    if inside:
        _evaluated(model, options)
    else:
        _answered(model, options)


def zero_shot(
    model: Model, arrays: Any, tower: text_head.TextTower, names: Sequence[str], templates: Sequence[str]
) -> Model:
    """The model of a tower for pictures whose logits are those of the classes' texts.

    Args:
      arrays: of the tower for pictures, under the names of its family.
    """
    classes, projection = tower.classes(names, templates), text_head.projection(arrays)

    def scores(features: np.ndarray) -> np.ndarray:
        return text_head.logits(features, projection, classes, tower)

    return dataclasses.replace(model, classes=tuple(names), classifier=scores)


def _known_classes(data: Sequence[Path]) -> tuple[str, ...]:
    """The classes of DATA if it is one folder that holds folders, which label its pictures; else ()."""
    if len(data) != 1 or not data[0].is_dir() or not any(one.is_dir() for one in folders.entries(data[0])):
        return ()
    settings = questions.everything(stored_config.of_source("image_folder", "vit"))
    settings.update(dir=str(data[0]))
    return tuple(find("sources", "image_folder").load(settings).info.classes)


def _evaluated(model: Model, options: argparse.Namespace) -> None:
    """Print the accuracy on pictures in folders of classes."""
    examples = labelled.of_data(NO_RUN, model, options.data[0], split=options.split)
    for note in examples.notes:
        print(printable(note), file=sys.stderr)
    predictor = Predictor(model, batch_size=BATCH)
    found = evaluation.summary(model, evaluation.totals(predictor, examples))
    if options.json:
        print(json.dumps(found))
        return
    low, high = (100 * end for end in found["interval"])
    for row in found["classes"]:
        recall = "-" if row["recall"] is None else f"{row['recall']:.4f}"
        print(printable(f"{row['class']}  {row['examples']:,} examples, recall {recall}"))
    of = f"of {found['metrics']['examples']:,} examples, 95 % interval {low:.1f} to {high:.1f} %"
    print(f"{found['metric']} {found['value']:.4f} {of}")


def _answered(model: Model, options: argparse.Namespace) -> None:
    """Print a line for each picture; DataError names those that cannot be read."""
    found = questions.find(NO_RUN, model, list(map(str, options.data)))
    predictor = Predictor(model, batch_size=min(BATCH, max(len(found.asked), 1)))
    for (_, answer), name in zip(predictor.answers(found.asked), found.names, strict=True):
        if isinstance(answer, ValueError):
            found.faults.append(f"{name}: {answer}")
            continue
        best = model.task.answer(answer, model.classes, options.top)
        plain = f"{name}  " + "  ".join(f"{one} {value:.4f}" for one, value in best)
        print(json.dumps({"picture": name, "classes": best}) if options.json else printable(plain), flush=True)
    if found.faults:
        raise DataError("Every picture must be readable; these are not:\n  " + "\n  ".join(found.faults))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tljax zero_shot", description=__doc__)
    parser.add_argument("model", help="both towers: a folder of transformers, or a hub repository")
    parser.add_argument("data", nargs="+", type=Path, help="a folder of class folders; or pictures, folders of them")
    parser.add_argument("--classes", default="", help="names with commas between; default: the class folders of DATA")
    parser.add_argument("--template", action="append", default=[], help=f"may be repeated; default '{TEMPLATE}'")
    parser.add_argument("--split", default="", help="of a folder of splits, the one to read; default: all")
    parser.add_argument("--tokenizer", default="", help="the tokenizer's folder; default: that of the weights")
    parser.add_argument("--top", type=int, default=1, help="classes to show of each picture; default 1")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each picture, or for the accuracy")
    return parser
