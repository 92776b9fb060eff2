"""`tljax predict` and the program behind it: what the run's evaluation computed, bit for bit, about any picture."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests import small
from tljax.__main__ import main
from tljax.data import pictures
from tljax.data.batches import Evaluation
from tljax.runs import experiment
from tljax.runs.run import run
from tljax.serving import saved_model
from tljax.serving.predictor import Predictor
from tljax.tasks import classification
from tljax.training import parallel
from tljax.training.evaluate import Evaluator
from tljax.training.train_step import make_eval_step

DATA, CONFIG = 3, 2


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(the config, the run's folder, its pictures' folder)"""
    root = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as monkeypatch:
        config = small.photographs(root / "pictures", monkeypatch)
        run(config, root / "run")
        yield config, root / "run", root / "pictures"


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def evaluated(config, model):
    """The logits that the run's evaluation computes of its test part."""
    made, devices = experiment.load(config, axis=None, pretrained_wanted=False), parallel.make("jit")
    task = SimpleNamespace(totals=lambda logits, batch: {}, per_example=lambda logits, batch: {"logits": logits})
    evaluator = Evaluator(make_eval_step(made.network, task, made.prepare), devices)
    part = made.parts["test"]
    batches = Evaluation(part, batch_size=config.train.eval_batch_size)
    return part.images, evaluator(devices.put_state(model.variables), batches)["logits"]


def test_logits_are_those_of_the_evaluation(trained):
    config, folder, _ = trained
    model = saved_model.load(folder)
    images, logits = evaluated(config, model)
    found = Predictor(model, batch_size=config.train.eval_batch_size)(images)
    assert found.shape == (15, 3) and found.std() > 0.01
    np.testing.assert_array_equal(found, logits)


def test_predict_says_what_the_evaluation_wrote_to_the_last_digit(tmp_path, monkeypatch, capsys):
    """With a temperature that is none of 1: fitted on the validation part, kept in model/, applied by both."""
    config = small.photographs(tmp_path / "pictures", monkeypatch)
    config.data.validation, config.train.epochs = 0.25, 1.0
    result = run(config, tmp_path / "run")
    kept = json.loads((tmp_path / "run" / "model" / "model.json").read_text())["temperature"]
    assert kept == result["temperature"] and abs(kept - 1) > 0.01
    with (tmp_path / "run" / "report" / "test_predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    capsys.readouterr()
    assert main(["predict", str(tmp_path / "run"), *(row["name"] for row in rows), "--top", "3", "--json"]) == 0
    for said, row in zip(lines(capsys), rows, strict=True):
        assert said["picture"] == row["name"] and said["classes"][0][0] == row["prediction"]
        assert {f"p({name})": f"{p:.6f}" for name, p in said["classes"]} == {k: row[k] for k in row if "p(" in k}
    logits = Predictor(saved_model.load(tmp_path / "run"), batch_size=8)(
        [pictures.fit(pictures.read(Path(row["name"])), 20) for row in rows]
    )
    expected = classification.outputs(np.float64(logits) / kept)[:, 0]
    np.testing.assert_allclose([float(row["p(ant)"]) for row in rows], expected, atol=1e-6)


def test_files_are_read_as_the_runs_examples_were(trained):
    config, folder, root = trained
    model = saved_model.load(folder)
    files = sorted((root / "test").glob("*/*"))
    images, logits = evaluated(config, model)
    np.testing.assert_array_equal(np.stack([model.asked.read(file) for file in files]), images)
    answers = list(Predictor(model, batch_size=config.train.eval_batch_size).answers(files))
    assert [file for file, _ in answers] == files
    np.testing.assert_array_equal(np.stack([found for _, found in answers]), classification.outputs(logits))


def test_what_it_says_is_what_the_run_counted(trained, capsys):
    _, folder, root = trained
    assert main(["predict", str(folder), str(root / "test"), "--json"]) == 0
    said = lines(capsys)
    assert [row["picture"] for row in said] == [str(file) for file in sorted((root / "test").glob("*/*"))]
    right = sum(row["classes"][0][0] == row["picture"].split("/")[-2] for row in said)
    result = json.loads((folder / "result.json").read_text())
    assert right == round(15 * result["metrics"]["test"]["accuracy"])


@pytest.mark.parametrize("batch_size", [1, 4, 5, 64])
def test_the_batch_changes_at_most_the_last_digits(trained, batch_size):
    config, folder, _ = trained
    model = saved_model.load(folder)
    images, logits = evaluated(config, model)
    for number in (1, 7, 15):
        found = Predictor(model, batch_size=batch_size)(images[:number])
        np.testing.assert_allclose(found, logits[:number], rtol=0, atol=1e-6 * np.abs(logits).max())


def test_top_and_plain_lines(trained, capsys):
    _, folder, root = trained
    picture = root / "test" / "bee" / "0.png"
    assert main(["predict", str(folder / "model"), str(picture), "--top=3", "--json"]) == 0
    (said,) = lines(capsys)
    names, probabilities = zip(*said["classes"], strict=True)
    assert sorted(names) == ["ant", "bee", "fly"] and list(probabilities) == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1.0, abs=1e-6)
    assert main(["predict", str(folder), str(picture), "--top=2"]) == 0
    first, second = said["classes"][:2]
    assert capsys.readouterr().out == f"{picture}  {first[0]} {first[1]:.4f}  {second[0]} {second[1]:.4f}\n"


def test_unreadable_pictures_are_named_after_the_answers(trained, tmp_path, capsys):
    _, folder, root = trained
    good = root / "test" / "fly" / "0.png"
    (tmp_path / "a.png").write_bytes(good.read_bytes()[:100])
    (tmp_path / "b.png").write_bytes(good.read_bytes())
    (tmp_path / "c.jpg").write_text("no picture")
    (tmp_path / "notes.txt").write_text("not asked about")
    assert main(["predict", str(folder), str(tmp_path), str(good), "--json"]) == DATA
    out, error = capsys.readouterr()
    first, second = (json.loads(line) for line in out.splitlines())
    assert (first["picture"], second["picture"]) == (str(tmp_path / "b.png"), str(good))
    assert first["classes"] == second["classes"]
    assert "2 of 4 are not" in error and f"{tmp_path / 'a.png'}: " in error and f"{tmp_path / 'c.jpg'}: " in error


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("{run}", "{tmp}/nothing.png", "{tmp}"), DATA, "these are neither: {tmp}/nothing.png, {tmp}."),
        (("{tmp}", "{run}"), DATA, "A finished run must hold model/model.json; '{tmp}' has none that can be used"),
        (("{run}", "{run}", "--top=0"), CONFIG, "--top must be at least 1; got 0."),
    ],
    ids=["no pictures", "no run", "top"],
)
def test_mistakes(trained, tmp_path, capsys, arguments, code, said):
    words = {"run": trained[1], "tmp": tmp_path}
    assert main(["predict", *(word.format(**words) for word in arguments)]) == code
    assert said.format(**words) in capsys.readouterr().err


def test_probabilities_of_large_logits_are_finite():
    found = classification.outputs(np.array([[1e4, 1e4, 0.0], [-1e4, 0.0, 0.0]], np.float32))
    np.testing.assert_array_equal(found, np.array([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]], np.float32))
    assert classification.answer(found[1], "abc", 2) == [("b", 0.5), ("c", 0.5)]


def test_pictures_of_other_sizes_and_channels_are_fitted(trained):
    model = saved_model.load(trained[1])
    assert model.stored == (20, 20, 3)
    file = trained[2] / "test" / "ant" / "0.png"
    assert pictures.read(file).shape == (20, 33, 3) and model.asked.read(file).shape == (20, 20, 3)
