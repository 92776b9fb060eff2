"""Answers that are maps, in each picture's own size: as PNG with a palette, laid over the picture, and counted."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np
from PIL import Image

from tljax.core.atomic import make_folder, whole
from tljax.core.types import IGNORED, Batch, Json, Prepare, Totals, Tree, Variables
from tljax.core.untrusted import printable
from tljax.data import pictures
from tljax.data.batches import Evaluation
from tljax.data.labels import cut
from tljax.data.parts.subsets import Subset
from tljax.networks.network import Network
from tljax.reporting import overlays
from tljax.serving.maps import tiles
from tljax.serving.predictor import Predictor
from tljax.serving.questions import Questions
from tljax.serving.saved_model import Model
from tljax.training.evaluate import Evaluator, added
from tljax.training.parallel import Parallel
from tljax.training.train_step import make_eval_step

MASKS, OVERLAYS = "masks", "overlays"  # folders below --out
VALUES = "classes.csv"  # the class of each value, beside them


def save(out: Path, found: Questions, predictor: Predictor) -> int:
    """Write <out>/masks/<name>.png and <out>/overlays/<name>.png for every picture; returns their number.

    A mask holds the `values` of the classes, and 255 where the network saw nothing of the picture.
    """
    model, number = predictor.model, 0
    held = values(model.classes)
    table = np.full(IGNORED + 1, IGNORED, np.uint8)
    table[: len(held)] = held
    colours = overlays.palette(model.classes)
    shades = np.full((IGNORED + 1, 3), 255, np.uint8)
    shades[held] = colours
    stems = found.stems()
    for folder in (MASKS, OVERLAYS):
        make_folder(out / folder)
    with whole(out / VALUES) as part, part.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("value", "class"), *zip(held, model.classes, strict=True)])
    for (asked, answer), name, stem in zip(predictor.answers(found.asked), found.names, stems, strict=True):
        if isinstance(answer, ValueError):
            found.faults.append(f"{name}: {answer}")
            continue
        image = _picture(asked, model)
        in_tiles = tiles.asked(model.input)
        label = tiles.said(predictor, image) if in_tiles else full_size(answer, image.shape[:2], model.input)
        mask = Image.fromarray(table[label])
        mask.putpalette(shades.reshape(-1).tolist())
        drawn = Image.fromarray(overlays.overlaid(image, label, colours))
        for folder, picture in ((MASKS, mask), (OVERLAYS, drawn)):
            with whole(out / folder / f"{stem}.png") as part:
                picture.save(part, format="PNG")
        number += 1
    print(f"{out}: {number:,} masks in {MASKS}/, the same over their pictures in {OVERLAYS}/")
    meant = [f"{value} {name}" for value, name in zip(held, model.classes, strict=True) if str(value) != name]
    if meant:
        print(printable(f"values of the masks: {cut(meant)} (all in {VALUES})"))
    return number


def values(classes: Sequence[str]) -> list[int]:
    """The value of each class in masks that are written: its name, where all have numbers for names, as of masks
    without a file of classes; else its place among the classes.
    """
    named = [int(name) for name in classes if name.isascii() and name.isdecimal() and int(name) < IGNORED]
    return named if len(set(named)) == len(classes) else list(range(len(classes)))


def full_size(probabilities: np.ndarray, shape: tuple[int, ...], sizes: Json) -> np.ndarray:
    """Probabilities (h, w, K) of what the network saw -> the class of every pixel of a picture of `shape`, uint8."""
    top, left, height, width, box = _seen(shape, sizes)
    rows, columns = probabilities.shape[:2]
    corner = (0, 0, columns * box[1], rows * box[0])
    planes = [
        np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR, corner))
        for plane in np.ascontiguousarray(np.moveaxis(probabilities.astype(np.float32), -1, 0))
    ]
    label = np.full(shape, IGNORED, np.uint8)
    label[top : top + height, left : left + width] = np.argmax(planes, axis=0)
    return label


class _Logits:
    """A task whose values of each example are its logits."""

    def __init__(self, task: Any) -> None:
        self.totals = task.totals

    def per_example(self, logits: Tree, batch: Batch) -> dict[str, jax.Array]:
        del batch
        return {"logits": logits}


def step(network: Network, task: Any, prepare: Prepare, *, axis: str | None = None) -> Any:
    """The step of evaluation for `judged`."""
    return make_eval_step(network, _Logits(task), prepare, axis=axis)  # pyright: ignore[reportArgumentType]


def judged(
    step: Any, task: Any, variables: Variables, examples: Evaluation, *, subset: Subset, sizes: Json, devices: Parallel
) -> Totals:
    """The totals of a part with its pixels counted in each picture's own size. Every picture runs once.

    Pixels that the network does not see, outside of a square of the middle, count for nothing.

    Args:
      step: from `step`.
      task: it `JudgesInOwnSize`.
      subset: the pictures of `examples`, in the size of their files.
      sizes: the settings by which pictures are read, see `inputs.image.sizes`.
    """
    sums: Totals = {}

    def maps() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        nonlocal sums
        done = 0
        with ThreadPoolExecutor(pictures.THREADS) as pool:
            for some, values in Evaluator(step, devices).batches(variables, examples):
                sums, answers = added(sums, some), task.outputs(values["logits"])
                positions = examples.order[done : done + len(answers)]
                done += len(answers)
                for one, answer in zip(pool.map(subset.__getitem__, positions), answers, strict=True):
                    label = np.asarray(one["label"])
                    yield label, full_size(answer, label.shape, sizes)

    counted = task.in_own_size(maps(), len(subset.info.classes))
    return {**sums, **counted}


def of_model(model: Model, prepare: Prepare, examples: Evaluation, subset: Subset, devices: Parallel) -> Totals:
    """The totals of a part by a finished run, in each picture's own size; the arguments are those of `judged`."""
    task, variables = cast("Any", model.task), devices.put_state(jax.tree.map(np.asarray, model.variables))
    if not tiles.asked(model.input):
        made = step(model.network, task, prepare)
        return judged(made, task, variables, examples, subset=subset, sizes=model.input, devices=devices)
    totals = Evaluator(cast("Any", make_eval_step(model.network, task, prepare)), devices)(variables, examples)
    maps = tiles.maps(Predictor(model, batch_size=examples.batch_size), subset)
    return {**totals, **task.in_own_size(maps, len(model.classes))}


def _seen(shape: tuple[int, ...], sizes: Json) -> tuple[int, int, int, int, tuple[float, float]]:
    """Top, left, height and width of what the network saw of a picture; and the share of its input that this is."""
    if into := sizes.get("shape"):
        height, width = pictures.inside(shape, tuple(into))
        return 0, 0, shape[0], shape[1], (height / into[0], width / into[1])
    side = round(min(shape) * (sizes["crop"] or sizes["resize"]) / sizes["resize"])
    return (shape[0] - side) // 2, (shape[1] - side) // 2, side, side, (1.0, 1.0)


def _picture(asked: Any, model: Model) -> np.ndarray:
    """The picture (H, W, C) uint8 in its own size."""
    asked = asked() if callable(asked) else asked
    image = asked["image"] if isinstance(asked, Mapping) else pictures.read(asked, channels=model.input["channels"])
    return image if image.dtype == np.uint8 else model.asked.read(asked)
