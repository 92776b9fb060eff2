"""The experiments of the slides run: each on a small drawn folder of its layout, with a small network."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from configs import default, plates
from tests import small
from tljax.runs import suite
from tljax.runs.run import run

DOMAINS = {"pacs": ("photo", "art_painting", "cartoon", "sketch"), "office31": ("amazon", "webcam", "dslr")}


def draw(folder: Path, number: int, colour: int, *, names: str = "{}.png") -> Path:
    """Pictures of one hue, with noise."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(colour)
    for i in range(number):
        pixels = rng.integers(0, 120, (16, 16, 3), np.uint8)
        pixels[..., colour % 3] += 130
        Image.fromarray(pixels).save(folder / names.format(i))
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder of each layout."""
    root = tmp_path_factory.mktemp("drawn")
    for i, name in enumerate(("ant", "bee", "fly")):
        draw(root / "caltech101" / name, 100 if name == "fly" else 60, i)
        for folder, splits in {"landscapes": ("seg_train", "seg_test"), "accessories": ("train", "test")}.items():
            for split in splits:
                draw(root / folder / split / name, 12, i)
        for split in ("train", "val"):
            draw(root / "ants_bees" / split / name, 12, i)
        for split in ("train", "test"):
            draw(root / "cifar10" / split / name, 12, i)
        for folder, domains in DOMAINS.items():
            for domain in domains:
                draw(root / folder / domain / name, 12, i)
    lines = []
    for i, name in enumerate(("normal", "pneumonia", "COVID-19")):
        draw(root / "xrays" / "pictures", 20, i, names=name + " {}.png")
        lines += [f"{name[0]}{j // 2} {name} {j}.png {name} nih" for j in range(20)]
    (root / "xrays" / "list.txt").write_text("\n".join(lines))
    for place, classes in {
        "mnist": plates.LOW + plates.HIGH,
        "mnist_test": plates.LOW + plates.HIGH,
        "characters": plates.LOW + plates.LETTERS,
        "low": plates.LOW,
    }.items():
        for i, name in enumerate(classes):
            draw(root / "plates" / place / name, 14 if place == "mnist" else 10, i)
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The folder model/ of a small network that has seen digits in three channels."""
    place = tmp_path_factory.mktemp("digits")
    changes = {"data__channels": 3, "data__size": 16, "data__examples_per_class": 2, "train__epochs": 1.0}
    run(small.config(**changes, model__card__mean=(0.5,) * 3, model__card__std=(0.5,) * 3), place)
    return str(place / "model")


# config, its row, the folder, and the row of the suite that runs here; the others differ in the strategy alone.
EXPERIMENTS = [
    ("caltech101", "", "caltech101", "logistic"),
    ("xrays", "resnet18", "xrays", "patient_transfer"),
    ("xrays", "leak", "xrays", "nih_neighbour"),
    ("pacs", "all", "pacs", "cartoon"),
    ("pacs", "sketch", "pacs", "mcc"),
    ("office31", "webcam", "office31", "dann_by_entropy"),
    ("plates", "digits", "plates", "mmd"),
    ("plates", "others", "plates", "linear_probe"),
    ("plates", "letters", "plates", "fine_tune"),
    ("advice", "sketch", "pacs", "auto_5"),
    ("landscapes", "", "landscapes", "last_stage"),
    ("accessories", "", "accessories", "imagenet_probe"),
    ("ants_bees", "vit", "ants_bees", "ridge_slide"),
    ("cifar10_4000", "best", "cifar10", "last_2_blocks"),
]
MORE = (("xrays", "vgg19"), ("office31", "all"), ("advice", "photo"), ("advice", "plates"), ("advice", "cifar"))


@pytest.mark.parametrize(("name", "row", "folder", "only"), EXPERIMENTS, ids=[f"{n}:{r}" for n, r, *_ in EXPERIMENTS])
def test_it_runs_on_a_small_folder_of_its_layout(name, row, folder, only, root, weights, tmp_path, monkeypatch):
    monkeypatch.setenv("TLJAX_CACHE", str(tmp_path / "cache"))
    one = importlib.import_module(f"configs.{name}").get_config(*([row] if row else []))
    known = one.data.channels == 3  # plates are grey, and their source network learns in the suite
    one.data.update(source="covidx" if name == "xrays" else "image_folder", dir=str(root / folder))
    one.data.update(resize=16, crop=0, size=16, train_examples=0, examples_per_class=0)
    one.model.update(family="lenet", variant="small", weights=weights if known else "")
    one.model.card = default.get_config().model.card
    one.model.card.update(mean=(0.5,) * one.data.channels, std=(0.5,) * one.data.channels)
    one.train.update(epochs=1.0, min_steps=0, batch_size=8, eval_batch_size=32, checkpoint_epochs=1.0, eval_epochs=1.0)
    one.report, one.suite.seeds = "none", (0,)
    rows = {only: _small(one.suite.rows[only], known)}
    one.suite.rows, one.suite.first = ConfigDict(rows, sort_keys=False), _small(one.suite.first, known)
    suite.run(run, one, tmp_path / "suite")
    result = json.loads((tmp_path / "suite" / only / "seed0" / "result.json").read_text())
    assert result["counts"]["test"] > 0 and 0 <= result["metrics"]["test"]["accuracy"] <= 1
    if one.train.oracle:
        assert set(result["oracle"]) == set(one.data.targets)
    assert (tmp_path / "suite" / "transfer.md").exists() == bool(one.data.targets)


def _small(changes: tuple[str, ...], known: bool) -> tuple[str, ...]:
    """A row's overrides with the test's own weights, and with fewer examples and epochs where it names them."""
    fewer = {"data.examples_per_class": "=2", "train.epochs": "=1.0"}
    pairs = [change.partition("=") for change in changes if not (known and change.startswith("model."))]
    return tuple(key + fewer.get(key, f"={value}") for key, _, value in pairs)


@pytest.mark.parametrize(("name", "row"), [one[:2] for one in EXPERIMENTS] + [*MORE])
def test_every_row_of_a_suite_fits(name, row):
    """Their keys go together; nothing is read."""
    assert suite.expand(importlib.import_module(f"configs.{name}").get_config(*([row] if row else [])), Path("x"))


@pytest.mark.parametrize("name", ["xrays", "pacs", "plates", "advice", "office31", "ants_bees"])
def test_an_unknown_row_lists_the_rows(name):
    with pytest.raises(ValueError, match="must be .*; got 'none'"):
        importlib.import_module(f"configs.{name}").get_config("none")


def test_the_splits_of_caltech(root):
    """A class has one picture to learn from at least, and 98 % are tested on."""
    from tljax.data.parts import splits
    from tljax.data.sources import image_folder

    config = importlib.import_module("configs.caltech101").get_config()
    config.data.dir = str(root / "caltech101")
    parts, *_ = splits.choose(image_folder.load(config.data), config.data, 0)
    assert {name: len(part) for name, part in parts.items()} == {"train": 3, "validation": 1, "test": 216}
    assert sorted(parts["train"].labels) == [0, 1, 2]
