"""What the fault cases are made of: one line of the table, small pictures, tables of texts, weights, command lines."""

import dataclasses
import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from tests import small
from tljax.core.types import Card
from tljax.data import preprocess
from tljax.networks.families import lenet
from tljax.networks.network import Network
from tljax.tasks import classification
from tljax.weights import placement

CONFIG, DATA, WEIGHTS, DEVICE = 2, 3, 4, 5
# One short run on digits that fits the fake devices of the tests.
DIGITS = (
    "train", "digits", "--config.suite.rows={}", "--config.suite.first=()", "--config.strategy.name=scratch",
    "--config.train.batch_size=20", "--config.train.eval_batch_size=64", "--config.train.epochs=1",
    "--config.optimizer.lr=0.1", "--workdir=run", "--config.writers=()", "--config.train.log_steps=1",
)  # fmt: skip
PICTURES = (
    *DIGITS, "--config.data.source=image_folder", "--config.data.dir=pictures", "--config.data.fractions=()",
    "--config.data.classes=()", "--config.data.examples_per_class=0", "--config.train.batch_size=4",
    "--config.data.size=8", "--config.data.crop=0", "--config.data.resize=0",
)  # fmt: skip


@dataclasses.dataclass
class Scene:
    """Where a case plays: an empty folder, which is the working folder too."""

    root: Path
    patch: pytest.MonkeyPatch
    request: Any
    said: str = ""  # standard output and error so far
    err: str = ""  # standard error of the last command


Make = Callable[[Scene], Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Fault:
    """One line of the table."""

    command: Sequence[str] | Make  # of `tljax`, or what makes the inputs and returns it
    code: int
    words: Sequence[str] = ()  # each must be said
    then: Callable[[Scene], None] | None = None  # what must hold besides
    writes: bool = False  # whether the command may leave files although it fails: it had begun


def run(scene: Scene, arguments: Sequence[str], code: int = 0) -> None:
    """A command that goes before the one of the table."""
    from tljax import __main__

    assert __main__.main(list(arguments)) == code


def pictures(root: Path, folders: dict[str, int], *, mode: str = "L", size: int = 8, seed: int = 0) -> None:
    """`pictures/<folder>/<i>.png`, so many of each; no two alike."""
    rng = np.random.default_rng(seed)
    for folder, number in folders.items():
        place = root / "pictures" / folder
        place.mkdir(parents=True, exist_ok=True)
        for i in range(number):
            pixels = rng.integers(0, 256, (size, size, len(mode)), np.uint8)
            Image.fromarray(pixels[..., 0] if mode == "L" else pixels, mode=None).save(place / f"{i}.png")


TWO = {"train/ant": 6, "train/bee": 6, "test/ant": 2, "test/bee": 2}


def with_pictures(change: Callable[[Path], Any], *flags: str, folders: dict[str, int] | None = None) -> Make:
    """The run on a folder of pictures in which `change` has put something wrong."""

    def make(scene: Scene) -> Sequence[str]:
        pictures(scene.root, folders or TWO)
        change(scene.root / "pictures")
        return [*PICTURES, *flags]

    return make


@functools.cache
def arrays(variant: Any, family: Any = lenet) -> dict[str, np.ndarray]:
    """Published weights of a network of five classes, a LeNet if nothing else is said."""
    network = Network(family.build(variant), classification.head(5))
    variables = placement.init(network, preprocess.example(small.config().data, Card((), ())), seed=0)
    return placement.publish(variables, family.names(variant))


FULL = ("--config.strategy.name=full", "--config.model.weights=net.safetensors")


def with_weights(change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray] | bytes], *flags: str) -> Make:
    """The run from a file of weights that `change` has made of a whole one."""

    def make(scene: Scene) -> Sequence[str]:
        found = change(dict(arrays("small")))
        content = found if isinstance(found, bytes) else safetensors.numpy.save(found)
        (scene.root / "net.safetensors").write_bytes(content)
        return [*DIGITS, *FULL, *flags]

    return make


TEXTS = (
    "train", "digits", "--config.suite.rows={}", "--config.suite.first=()", "--config.strategy.name=scratch",
    "--config.groups={}", "--config.data.source=text_csv", "--config.data.dir=texts", "--config.model.family=bert",
    "--config.data.fractions=()", "--config.data.classes=()", "--config.data.examples_per_class=0",
    "--config.model.variant=test", "--config.model.tokenizer=bert", "--config.data.lengths=(8,)",
    "--config.train.batch_size=4", "--config.train.eval_batch_size=4", "--config.train.epochs=1", "--workdir=run",
    "--config.writers=()",
)  # fmt: skip
ROWS = "text,label\n" + "".join(f"{'very ' * i}good,pos\n{'very ' * i}bad,neg\n" for i in range(3))


def with_table(content: str | bytes, *flags: str, name: str = "train.csv", vocabulary: int = 8) -> Make:
    """The run on tables of texts, of which `name` holds `content`."""

    def make(scene: Scene) -> Sequence[str]:
        from tljax.networks.encoder import Variant
        from tljax.networks.families import bert

        tiny = Variant(8, 2, 1, 16, vocabulary=vocabulary, positions=32, pooling="mean")
        scene.patch.setitem(bert.VARIANTS, "test", tiny)
        small.word_tokenizer(scene.root / "bert")
        folder = scene.root / "texts"
        folder.mkdir()
        for table in ("train.csv", "test.csv"):
            (folder / table).write_text(ROWS)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return [*TEXTS, *flags]

    return make


def result(scene: Scene, folder: str = "run") -> dict[str, Any]:
    return json.loads((scene.root / folder / "result.json").read_text())


def classes_of(scene: Scene) -> list[str]:
    """Of a finished run, in the order of its answers."""
    return json.loads((scene.root / "run/model/model.json").read_text())["classes"]
