"""Runs on pictures as people have them: deeper than 8 bits, copied between parts, of sizes that no key names."""

import json

import numpy as np
import pytest
from PIL import Image

from tests import small
from tljax.runs.run import run
from tljax.serving import saved_model
from tljax.serving.predictor import Predictor


def folder(root, values) -> None:
    """<root>/<split>/<class>/<i>.png, each of `values(number of the class, i)`; test pictures have i from 100 on."""
    for split, first, number in (("train", 0, 6), ("test", 100, 3)):
        for label, name in enumerate(("dark", "light")):
            (root / split / name).mkdir(parents=True)
            for i in range(first, first + number):
                Image.fromarray(values(label, i)).save(root / split / name / f"{i}.png")


def config(root, **changes):
    keys = {"data__source": "image_folder", "data__dir": str(root), "data__fractions": (), "data__classes": ()}
    keys |= {"data__examples_per_class": 0, "train__batch_size": 4, "train__eval_batch_size": 4, "train__epochs": 1.0}
    return small.config(**keys | {"data__size": 8} | changes)


def twelve_bits(label: int, i: int) -> np.ndarray:
    noise = np.random.default_rng([label, i]).integers(0, 1000, (8, 8))
    return (noise + 3000 * label + 50).astype(np.uint16)


def test_predict_reads_deep_pictures_as_the_run_did(tmp_path, capsys):
    folder(tmp_path / "data", twelve_bits)
    run(config(tmp_path / "data"), tmp_path / "run")
    assert "18 pictures of 16 bits hold values" in capsys.readouterr().out
    said = json.loads((tmp_path / "run" / "model" / "model.json").read_text())["input"]
    assert (said["window"], said["window_given"]) == ([0, 4095], False)
    model = saved_model.load(tmp_path / "run")
    file = tmp_path / "data" / "test" / "light" / "100.png"
    expected = (twelve_bits(1, 100) / 4095 * 255).round()
    np.testing.assert_array_equal(model.asked.read(file)[..., 0], expected)
    Image.fromarray(np.full((8, 8), 60_000, np.uint16)).save(tmp_path / "other.png")
    (tmp_path / "odd.png").write_bytes(b"no picture")
    asked = [tmp_path / "other.png", file, tmp_path / "odd.png"]
    answers = dict(Predictor(model, batch_size=2).answers(asked))
    assert "lie outside the 0 to 4095 of the run's pictures" in str(answers[asked[0]])
    assert "in no known format" in str(answers[asked[2]])
    assert not isinstance(answers[file], ValueError)  # the others' faults are not its own


def test_a_window_that_is_named_is_the_runs_and_predicts(tmp_path):
    folder(tmp_path / "data", twelve_bits)
    run(config(tmp_path / "data", data__window=(1000.0, 2000.0)), tmp_path / "run")
    found = saved_model.load(tmp_path / "run").asked.read(tmp_path / "data" / "test" / "light" / "100.png")
    assert (found == 255).all()  # values from 3050 on


@pytest.mark.parametrize("duplicates", ["keep", "remove"])
def test_copies_are_said_and_listed_in_every_run(tmp_path, capsys, duplicates):
    """The test pictures are those of the training part."""
    folder(tmp_path / "data", lambda label, i: (twelve_bits(label, i % 100) // 16).astype(np.uint8))
    result = run(config(tmp_path / "data", data__duplicates=duplicates), tmp_path / "run")
    said = capsys.readouterr().out
    assert "copies: 6 of 6 test pictures are also in train" in said
    assert len((tmp_path / "run" / "copies.txt").read_text().splitlines()) == 6
    assert result["metrics"]["train"]["examples"] == (12 if duplicates == "keep" else 6)
    assert result["metrics"]["test"]["examples"] == 6


def test_sizes_come_from_the_card_of_the_weights(tmp_path, capsys):
    """A run's own model/ says what it saw; a run from it that names no size sees the same."""
    folder(tmp_path / "data", lambda label, i: np.full((30, 20), 10 + 80 * label + i, np.uint8))
    run(config(tmp_path / "data", data__resize=16, data__crop=12, data__size=12), tmp_path / "first")
    keys = {"model__weights": str(tmp_path / "first" / "model"), "strategy__name": "full"}
    run(config(tmp_path / "data", data__size=0, **keys), tmp_path / "second")
    assert "pictures 12 px, the central 12 of 16: as the weights' card says" in capsys.readouterr().out
    sizes = [
        json.loads((tmp_path / name / "model" / "model.json").read_text())["input"] for name in ("first", "second")
    ]
    assert sizes[0] == sizes[1]
    run(config(tmp_path / "data", data__resize=16, data__size=12, **keys), tmp_path / "third")
    assert (
        "pictures 12 px (100% of the side); the weights were trained with 12 px (75% of the side)"
        in capsys.readouterr().out
    )
