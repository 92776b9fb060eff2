"""More readers of what others wrote, for `fuzzers.fuzz`: annotations, masks, tables, tokenizers, notes of a run."""

import functools
import importlib.util
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from configs import default
from tests import small
from tests.faults.fuzzers import Reader, saved
from tests.faults.making import ROWS, arrays
from tljax.core import config_tables, plugins, settings, untrusted
from tljax.core.errors import TljaxError
from tljax.data import tables
from tljax.data.tokenizer import Tokenizer
from tljax.reporting.run_folder import inputs as run_inputs
from tljax.reporting.run_folder import ownership
from tljax.runs import decision, results
from tljax.serving import model_json, stored_config
from tljax.transfer.transferability import Facts
from tljax.weights import tensors

SIZE = (12, 10)  # of the pictures, width and height
IN_A_PICTURE = (TljaxError, ValueError)  # a picture that cannot be read is named by whoever asked for it
COCO = {
    "images": [{"id": i, "file_name": f"{name}.png", "width": 12, "height": 10} for i, name in enumerate("ab")],
    "categories": [{"id": 3, "name": "dog"}, {"id": 1, "name": "cat"}],
    "annotations": [{"id": i, "image_id": i, "category_id": 3 - 2 * i, "bbox": [1, 2, 4, 5.5]} for i in range(2)],
}
VOC = (
    '<?xml version="1.0" encoding="utf-8"?><annotation><filename>a.png</filename><size><width>12</width><height>10'
    "</height></size><object><name>cat</name><bndbox><xmin>2</xmin><ymin>3</ymin><xmax>9</xmax><ymax>10</ymax></bndbox>"
    "</object></annotation>"
)


def readers(root: Path) -> dict[str, Reader]:
    """Name -> reader; `root` is the folder in which files are written."""
    return {**of_boxes(root), **of_masks(root), **of_tables(), **of_tokenizers(root), **of_runs(root), **of_weights()}


def of_weights() -> dict[str, Reader]:
    """Files of torch, where torch is."""
    if not importlib.util.find_spec("torch"):
        return {}
    import torch  # pyright: ignore[reportMissingImports]

    few = {name: torch.from_numpy(np.array(x)) for name, x in arrays("small").items() if name.startswith("fc.")}
    files = []
    for name, zipped in (("new.pth", True), ("old.pth", False)):
        buffer = io.BytesIO()
        torch.save(few, buffer, _use_new_zipfile_serialization=zipped)
        files.append((name, buffer.getvalue()))
    return {"torch checkpoints": Reader(files, lambda file: [np.asarray(x) for x in tensors.read(file).values()])}


def loaded(source: str, place: Path, **keys: Any) -> None:
    """Load a source, and its first example."""
    config = config_tables.copied(keys_of(source))
    config.update(dir=str(place), **keys)
    dataset = plugins.find("sources", source).load(config)
    for split in dataset.splits.values():
        split[0]


@functools.cache
def keys_of(source: str) -> Any:
    config = default.get_config()
    config.data.update(source=source, dir="data", fractions=(0.5, 0.0, 0.5))
    return settings.resolve(config)[0].data


def photographs(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in "ab":
        Image.new("RGB", SIZE).save(folder / f"{name}.png")


def of_boxes(root: Path) -> dict[str, Reader]:
    for place in ("coco", "voc", "yolo/images"):
        photographs(root / place)
    (root / "yolo/labels").mkdir()
    names = yaml.safe_dump({"train": "images", "names": {0: "cat", 1: "dog"}}).encode()
    lines = b"0 0.5 0.5 0.25 0.5\n1 0.25 0.25 0.25 0.125\n"

    def of_yolo(file: Path) -> None:
        (root / "yolo/data.yaml").write_bytes(file.read_bytes() if file.suffix == ".yaml" else names)
        (root / "yolo/labels/a.txt").write_bytes(file.read_bytes() if file.suffix == ".txt" else lines)
        loaded("yolo", root / "yolo")

    return {
        "boxes of COCO": Reader(
            [("coco/boxes.json", json.dumps(COCO).encode())], lambda file: loaded("coco", file), IN_A_PICTURE
        ),
        "boxes of VOC": Reader([("voc/a.xml", VOC.encode())], lambda file: loaded("voc", file.parent), IN_A_PICTURE),
        "boxes of YOLO": Reader([("x.txt", lines), ("x.yaml", names)], of_yolo, IN_A_PICTURE),
    }


def of_masks(root: Path) -> dict[str, Reader]:
    photographs(root / "masked/images")
    codes = np.arange(SIZE[0] * SIZE[1], dtype=np.uint8).reshape(SIZE[::-1]) // 48
    grey, palette = Image.fromarray(codes), Image.fromarray(codes, "P")
    palette.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    kinds = [saved(one, "PNG") for one in (grey, palette, palette.convert("RGB"))]
    classes = b"0 0 0 ground\n128 0 0 cat\n0 128 0 dog\n"

    def put(file: Path) -> None:
        (root / "masked/masks").mkdir(exist_ok=True)
        (root / "masked/masks/a.png").write_bytes(file.read_bytes() if file.suffix == ".png" else kinds[1])
        (root / "masked/masks/b.png").write_bytes(kinds[2 if file.name == "2.png" else 1])

    def of_values(file: Path) -> None:
        put(file)
        loaded("image_masks", root / "masked")

    def of_classes(file: Path) -> None:
        put(file)
        loaded("image_masks", root / "masked", class_file=str(file))

    def of_objects(file: Path) -> None:
        put(file)
        loaded("instance_masks", root / "masked")

    files = [(f"{i}.png", content) for i, content in enumerate(kinds)]
    return {
        "masks": Reader(files, of_values, IN_A_PICTURE),
        "masks of objects": Reader(files[:2], of_objects, IN_A_PICTURE),
        "files of classes": Reader([("classes.txt", classes)], of_classes, IN_A_PICTURE),
    }


def of_tables() -> dict[str, Reader]:
    import pyarrow
    from pyarrow import parquet

    rows = [line.split(",") for line in ROWS.splitlines()[1:]]
    table = pyarrow.table({"text": [row[0] for row in rows], "label": [row[1] for row in rows]})
    files = []
    for packed in ("snappy", "zstd", "none"):
        buffer = io.BytesIO()
        parquet.write_table(table, buffer, compression=packed)
        files.append((f"{packed}.parquet", buffer.getvalue()))
    config = default.get_config().data
    config.update(source="text_csv")
    return {"parquet": Reader(files, lambda file: tables.read(file, config, ["text", "label"]))}


def of_tokenizers(root: Path) -> dict[str, Reader]:
    folder = small.word_tokenizer(root / "tokenizer")
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    words = "\n".join(small.WORDS).encode()

    def read(file: Path) -> None:
        shutil.rmtree(folder)
        folder.mkdir()
        if file.name != "vocab.txt":
            for name, content in kept.items():
                (folder / name).write_bytes(content)
        else:
            (folder / "config.json").write_text('{"model_type": "bert"}')
        (folder / file.name).write_bytes(file.read_bytes())
        Tokenizer(folder)(["very good", "a bad book"], (), 8)

    return {"tokenizers": Reader([*kept.items(), ("vocab.txt", words)], read)}


def of_runs(root: Path) -> dict[str, Reader]:
    """What a run keeps and reads again: its config, what it decided, its result."""
    config, _ = settings.resolve(small.config())
    facts = {field: 3 if kind is int else 0.5 for field, kind in Facts.__annotations__.items()}
    costs = [{"rule": "one", "when": "x", "strategy": "full", "trainable": 1, "optimizer_bytes": 2,
              "operations": 3}]  # fmt: skip
    decided = {"facts": facts, "thresholds": {"much": 1.0, "very_much": 2.0, "similar": 0.1}, "rule": "one",
               "strategy": "full", "costs": costs}  # fmt: skip
    part = {"accuracy": 0.5, "examples": 4}
    result = {"metric": "accuracy", "metrics": {"test": part, "train": part}, "seconds": {"total": 1.0}, "seed": 0,
              "parameters": {"trainable": 1, "total": 2}}  # fmt: skip
    model = {"family": "lenet", "variant": "small", "dtype": "float32", "task": "classification", "classes": ["a", "b"],
             "input": {"resize": 8, "crop": 0, "size": 8, "channels": 1}}  # fmt: skip
    inputs = {"train": "0" * 64, "test": "1" * 64, "examples": {"train": 4, "test": 2}, "classes": ["a", "b"]}
    said = config.to_json_best_effort()

    def decided_before(file: Path) -> None:
        try:
            found = untrusted.parse(file.read_text(encoding="utf-8"))
        except ValueError:
            return  # `Report.stored` names the file
        decision.check(found, ("full", "lora"))

    def at(name: str, read: Callable[[Path], Any]) -> Callable[[Path], Any]:
        """A reader of the folder in which the file has its name."""

        def place(file: Path) -> None:
            folder = root / "a_run"
            folder.mkdir(exist_ok=True)
            (folder / name).write_bytes(file.read_bytes())
            read(folder)

        return place

    return {
        "configs of runs": Reader(
            [("c.json", said.encode())],
            at("config.json", lambda run: stored_config.read(run / "config.json", "lenet")),
        ),
        "configs to resume": Reader([("c.json", said.encode())], at("config.json", lambda r: ownership.check(r, said))),
        "inputs of runs": Reader(
            [("i.json", json.dumps(inputs).encode())],
            at("inputs.json", lambda run: run_inputs.check(run, inputs)),
        ),
        "decisions of runs": Reader([("d.json", json.dumps(decided).encode())], decided_before),
        "results of runs": Reader([("r.json", json.dumps(result).encode())], at("result.json", results.read)),
        "model.json": Reader([("m.json", json.dumps(model).encode())], at("model.json", model_json.read)),
    }
