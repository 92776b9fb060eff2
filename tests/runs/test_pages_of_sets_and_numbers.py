"""Pages, explanations and answers where labels are sets or numbers: what classes have, they have too."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score, r2_score

import tljax
from tests import browser, small
from tljax.__main__ import main
from tljax.core import overrides
from tljax.runs.run import run

LOW = 0.2  # the threshold of sets, so low that a network that has learned little names several labels
pytestmark = [pytest.mark.page, pytest.mark.renders]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs on one table of pictures, red, green or both: by their labels, and by a number."""
    root = tmp_path_factory.mktemp("kinds")
    rng, rows = np.random.default_rng(0), ["picture,colours,bright"]
    for i in range(36):
        pixels, kind = rng.integers(0, 90, (18, 18, 3), np.uint8), i % 3
        pixels[..., 0] += 120 * (kind != 1)
        pixels[..., 1] += 120 * (kind != 0)
        Image.fromarray(pixels).save(root / f"{i}.png")
        rows.append(f'{i}.png,"{("red", "green", "red;green")[kind]}",{1000 + pixels.mean():.1f}')
    (root / "table.csv").write_text("\n".join(rows) + "\n")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("TLJAX_CACHE", str(root / "cache"))
        for task, label, kind in (("multilabel", "colours", "sets"), ("regression", "bright", "numbers")):
            config = small.resnet_config(monkeypatch, data__source="picture_table", data__dir=str(root / "table.csv"))
            said = (f"data.labels={kind}", f"data.columns.label={label}", "data.columns.image=picture")
            said += (f"task.name={task}", "report=full", "data.separator=;", "train.epochs=1.0")
            config = overrides.apply(config, said + ((f"task.threshold={LOW}",) if kind == "sets" else ()))
            config.data.update(channels=3, fractions=(0.5, 0.2, 0.3), classes=(), examples_per_class=0, crop=0, size=16)
            config.model.card.update(mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2))
            run(config, root / kind)
        yield root


def test_the_page_of_sets_says_how_sure_and_why(runs, tmp_path):
    page = runs / "sets" / "report" / "index.html"
    assert not page.with_name("page-error.txt").exists()
    found = browser.open_page(page, tmp_path)
    assert found.console == [] and found.requests == [] and found.silent_pictures == []
    for said in ("By label", "Grad-CAM for red", "Grad-CAM for green", "speak for the label", "by the bootstrap",
                 "a logistic regression for every label on 16 x 16 pixels"):  # fmt: skip
        assert said in found.dom, said
    with (page.parent / "map.csv").open(newline="") as lines:
        assert {row["label"] for row in csv.DictReader(lines)} <= {"red", "green", "green, red"}


def test_the_page_of_numbers_says_how_far_off_and_why(runs, tmp_path):
    page = runs / "numbers" / "report" / "index.html"
    assert not page.with_name("page-error.txt").exists()
    found = browser.open_page(page, tmp_path, anchor="#map", milliseconds=15_000)
    assert found.console == [] and found.requests == [] and found.silent_pictures == []
    for said in (
        "R² on ",
        "off on average",
        "Grad-CAM for bright",
        "raise the number",
        "<canvas",
        "ridge regression on 16",
    ):
        assert said in found.dom, said
    assert "<title>table.csv: regression by resnet tiny, scratch</title>" in found.dom


def test_a_label_and_a_number_are_explained(runs, tmp_path, capsys):
    out = tmp_path / "why.png"
    assert main(["explain", str(runs / "sets"), str(runs / "2.png"), "-o", str(out), "--class", "green"]) == 0
    assert "2.png  green 0." in capsys.readouterr().out and out.stat().st_size > 10_000
    out.unlink()
    assert main(["explain", str(runs / "numbers"), str(runs / "2.png"), "-o", str(out)]) == 0
    assert "2.png  bright 1" in capsys.readouterr().out and out.stat().st_size > 10_000


def answers(run, table, out):
    """The rows of the table, and what predict writes for each."""
    assert main(["predict", str(run), str(table), "--out", str(out)]) == 0
    with out.open(newline="") as lines, table.open(newline="") as truth:
        return list(csv.DictReader(truth)), list(csv.DictReader(lines))


@pytest.mark.parametrize(("kind", "metric"), [("sets", "mean_average_precision"), ("numbers", "r2")])
def test_what_predict_writes_has_the_metric_of_the_evaluation(runs, tmp_path, capsys, kind, metric):
    truth, said = answers(runs / kind, runs / "table.csv", tmp_path / "answers.csv")
    if kind == "numbers":
        labels, found = (np.array([float(row[name]) for row in rows])
                         for rows, name in ((truth, "bright"), (said, "bright predicted")))  # fmt: skip
        expected = r2_score(labels, found)
    else:
        expected = np.mean([
            average_precision_score([name in row["colours"].split(";") for row in truth],
                                    [float(row[f"p({name})"]) for row in said])
            for name in ("green", "red")
        ])  # fmt: skip
    capsys.readouterr()
    assert main(["evaluate", str(runs / kind), str(runs / "table.csv"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"][metric] == pytest.approx(expected, abs=1e-6)


def test_a_set_stands_in_the_report_as_in_the_table(runs):
    with (runs / "sets" / "report" / "test_predictions.csv").open(newline="") as lines:
        found = {row[column] for row in csv.DictReader(lines) for column in ("label", "prediction")}
    assert "green;red" in found and found <= {"", "green", "red", "green;red"}


def test_answers_have_the_form_of_the_training_s_labels(runs, tmp_path):
    out = tmp_path / "answers.csv"
    assert main(["predict", str(runs / "sets"), str(runs / "table.csv"), "--out", str(out)]) == 0
    with out.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    for row in rows:
        names = {name for name in ("green", "red") if float(row[f"p({name})"]) >= LOW}
        assert set(filter(None, row["prediction"].split(";"))) == names
    assert any(";" in row["prediction"] for row in rows)
    assert [one["prediction"] for one in tljax.load(runs / "sets").predict(runs / "table.csv")] == [
        row["prediction"] for row in rows
    ]
