"""What a detector finds in pictures, in their own pixels: lines, tables, COCO's JSON, and pictures with boxes drawn."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tljax.core.atomic import make_folder, whole, write_json
from tljax.core.errors import ConfigError
from tljax.core.types import Record
from tljax.data import pictures
from tljax.data.boxes import placing
from tljax.reporting import box_figures
from tljax.serving import answers
from tljax.serving.predictor import Predictor
from tljax.serving.questions import Questions
from tljax.serving.saved_model import Model

COCO = ".json"
FILE, OVERLAYS = "boxes.json", "overlays"  # below --out, where it is a folder
LARGEST = 10_000  # more boxes than a picture has: ids of annotations differ


@dataclasses.dataclass(frozen=True)
class Found:
    """The boxes of one picture."""

    name: str
    stem: str  # of a file of its own
    image: np.ndarray  # (H, W, C), upright
    boxes: np.ndarray  # (n, 6) [top, left, bottom, right, class, score] in its pixels, best first


def each(predictor: Predictor, asked: Questions) -> Iterator[Found]:
    """What is found in every picture; `asked.faults` gets those that cannot be read."""
    model = predictor.model
    for (one, answer), name, stem in zip(predictor.answers(asked.asked), asked.names, asked.stems(), strict=True):
        if isinstance(answer, ValueError):
            asked.faults.append(f"{name}: {answer}")
            continue
        known: Any = one() if callable(one) else one
        image = known["image"] if isinstance(known, dict) else pictures.read(known, channels=model.input["channels"])
        window = placing.window(model.input, image.shape[:2])
        yield Found(name, stem, image, placing.in_picture(answer, window))


def shown(found: Found, model: Model) -> np.ndarray:
    """The boxes with a score from `config.task.shown` on."""
    return found.boxes[found.boxes[:, 5] >= model.task.shown]


def listed(found: Found, model: Model) -> list[tuple[str, float, list[float]]]:
    """Class, score and [left, top, right, bottom] of every box that is shown."""
    return [
        (model.classes[int(number)], float(score), [round(float(x), 1) for x in (left, top, right, bottom)])
        for top, left, bottom, right, number, score in shown(found, model)
    ]


def check(out: Path) -> None:
    """Raise ConfigError if `out` is neither a folder nor such a file."""
    if out.suffix.lower() not in ("", COCO, *answers.WRITERS):
        files = ", ".join((COCO, *answers.WRITERS))
        raise ConfigError(f"--out must be a folder, or a file that ends in {files}; got '{out}'.")


def save(every: Sequence[Found], model: Model, out: Path) -> int:
    """Write all boxes, those with small scores too: COCO's JSON, or a table with a row a box; returns their number."""
    number = sum(len(one.boxes) for one in every)
    if out.suffix.lower() == COCO:
        make_folder(out.parent)
        write_json(out, coco(every, model))
        return number
    rows = np.concatenate([one.boxes for one in every]).astype(np.float32)
    columns: Record = {"file": [one.name for one in every for _ in one.boxes]}
    columns |= {"class": [model.classes[int(number)] for number in rows[:, 4]]}
    for place, name in ((5, "score"), (1, "left"), (0, "top"), (3, "right"), (2, "bottom")):
        columns[name] = rows[:, place]
    answers.save(columns, out)
    return number


def coco(every: Sequence[Found], model: Model) -> Record:
    """COCO's JSON: images, categories, and annotations with bbox [x, y, width, height] and score."""
    return {
        "images": [
            {"id": i, "file_name": one.name, "height": one.image.shape[0], "width": one.image.shape[1]}
            for i, one in enumerate(every, start=1)
        ],
        "categories": categories(model),
        "annotations": [
            {
                "id": LARGEST * i + j,
                "image_id": i,
                "category_id": int(number) + 1,
                "bbox": [float(x) for x in (left, top, right - left, bottom - top)],
                "area": float((right - left) * (bottom - top)),
                "iscrowd": 0,
                "score": float(score),
            }
            for i, one in enumerate(every, start=1)
            for j, (top, left, bottom, right, number, score) in enumerate(one.boxes)
        ],
    }


def categories(model: Model) -> list[Record]:
    """The classes, numbered from 1: a run does not keep the ids of the file that it learned from."""
    return [{"id": k, "name": name} for k, name in enumerate(model.classes, start=1)]


def draw(found: Found, model: Model, out: Path) -> Path:
    """Write the picture with the boxes that are shown, as <out>/overlays/<name>.png."""
    make_folder(out / OVERLAYS)
    file = out / OVERLAYS / f"{found.stem}.png"
    image = found.image
    if image.dtype != np.uint8:
        raise ConfigError(
            f"Boxes are drawn on pictures of 8 bits; '{found.name}' has more. Give --out a file, which is not drawn."
        )
    with whole(file) as part:
        Image.fromarray(box_figures.drawn(image, shown(found, model), model.classes)).save(part, "PNG")
    return file
