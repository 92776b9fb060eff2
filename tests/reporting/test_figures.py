"""Tables and pictures of a run: the numbers by hand, and class names that matplotlib could trip over."""

import csv
import json

import numpy as np
import pytest

from tljax.reporting import figures

pytestmark = pytest.mark.renders

COUNTS = np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
NAMES = ("ant", "$bee_$x^", "cat, large")  # "cat" has no example


def rows(file):
    return list(csv.reader(file.read_text().splitlines()))


def test_per_class_by_hand(tmp_path):
    figures.per_class(COUNTS.sum(1), COUNTS.sum(0), np.diag(COUNTS), classes=NAMES, file=tmp_path / "a.csv")
    assert rows(tmp_path / "a.csv") == [
        ["class", "precision", "recall", "f1", "examples"],
        ["ant", "1.0000", "0.7500", "0.8571", "4"],
        ["$bee_$x^", "0.8000", "1.0000", "0.8889", "4"],
        ["cat, large", "0.0000", "0.0000", "0.0000", "0"],
    ]


def test_confusion(tmp_path):
    figures.confusion(COUNTS, NAMES, tmp_path / "c")
    assert rows(tmp_path / "c.csv")[1:] == [
        ["ant", "3", "1", "0"],
        ["$bee_$x^", "0", "4", "0"],
        ["cat, large"] + ["0"] * 3,
    ]
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_confusion_of_many_classes(tmp_path):
    figures.confusion(np.eye(100, dtype=int), [str(i) for i in range(100)], tmp_path / "many")
    assert (tmp_path / "many.png").exists() and len(rows(tmp_path / "many.csv")) == 101


def test_curves(tmp_path, monkeypatch):
    log, drawn = tmp_path / "metrics.jsonl", {}
    figures.curves(log, tmp_path / "none.png", ("loss",))
    assert not (tmp_path / "none.png").exists()
    lines = [
        {"step": s, "part": p, "loss": 1 / s, "accuracy": s / 9} for s in (1, 2, 3) for p in ("train", "validation")
    ]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    save = figures._save
    monkeypatch.setattr(figures, "_save", lambda figure, file: (drawn.update(axes=figure.axes), save(figure, file)))
    figures.curves(log, tmp_path / "report" / "curves.png", ("loss", "accuracy"))
    assert (tmp_path / "report" / "curves.png").exists()
    assert [axis.get_ylabel() for axis in drawn["axes"]] == ["loss", "accuracy"]
    assert [line.get_label() for line in drawn["axes"][0].lines] == ["train", "validation"]
    assert drawn["axes"][0].lines[0].get_xydata().tolist() == [[1, 1], [2, 0.5], [3, pytest.approx(1 / 3)]]


def test_comparison_shows_every_seed(tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(figures, "_save", lambda figure, file: drawn.update(axis=figure.axes[0]))
    table = [{"name": "a_$b", "mean": 0.5, "values": [0.4, 0.6]}, {"name": "c", "mean": 0.05, "values": [0.05]}]
    table = [row | {"metric": "f1"} for row in table]
    figures.comparison(table, tmp_path / "x.png")
    axis = drawn["axis"]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["c", "a_$b"]  # the first row on top
    assert [list(line.get_xdata()) for line in axis.lines] == [[0.05], [0.4, 0.6]]
    assert axis.get_xlim() == (0.0, 1.0) and axis.get_xlabel() == "test f1"


@pytest.fixture
def drawn(monkeypatch):
    found = {}
    monkeypatch.setattr(figures, "_save", lambda figure, file: found.update(axis=figure.axes[0]))
    return found


def test_intervals_show_seeds_and_both_uncertainties(drawn, tmp_path):
    one = {
        "metric": "f1",
        "test_size": (0.4, 0.7),
        "mean": 0.5,
        "values": [0.4, 0.6],
        "interval": (0.3, 0.7),
        "best": True,
    }
    other = one | {"name": "b", "mean": 0.2, "values": [0.2], "interval": None, "test_size": (0.1, 0.3), "best": False}
    figures.intervals([one | {"name": "a_$b"}, other], tmp_path / "x.png")
    axis = drawn["axis"]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["b", "a_$b"]  # the first row on top
    assert [list(line.get_xdata()) for line in axis.lines] == [[0.2], [0.2], [0.4, 0.6], [0.3, 0.7], [0.5]]
    assert [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axis.patches] == [
        (0.1, pytest.approx(0.3)),
        (0.4, pytest.approx(0.7)),
    ]
    assert axis.get_xlabel().startswith("test f1")


def test_learning_curves(drawn, tmp_path):
    def point(size, mean, interval):
        return {"examples_per_class": size, "metric": "f1", "mean": mean, "interval": interval}

    lines = {"a": [point(1, 0.3, None), point(10, 0.8, (0.7, 0.9))], "b": [point(10, 0.5, (0.1, 0.9))]}
    figures.learning_curves(lines, tmp_path / "x.png")
    axis = drawn["axis"]
    assert axis.get_xscale() == "log" and [label.get_text() for label in axis.get_xticklabels()] == ["1", "10"]
    [a, b] = axis.containers
    assert list(a.lines[0].get_ydata()) == [0.3, 0.8] and [text.get_text() for text in axis.get_legend().texts] == [
        "a",
        "b",
    ]
    bars = [segment[:, 1].tolist() for segment in a.lines[2][0].get_segments()]
    assert bars == [[0.3, 0.3], [pytest.approx(0.7), pytest.approx(0.9)]]
    assert a.lines[0].get_xdata()[1] < 10 < b.lines[0].get_xdata()[0]  # beside each other


def test_an_interval_of_two_seeds_leaves_no_room_for_what_cannot_be(drawn, tmp_path):
    one = {"name": "a", "metric": "f1", "test_size": None, "mean": 0.9, "values": [0.9], "interval": (-0.3, 2.1)}
    figures.intervals([one | {"best": True}], tmp_path / "x.png")
    assert drawn["axis"].get_xlim() == (0.0, 1.02)
    figures.learning_curves({"a": [one | {"examples_per_class": 1}]}, tmp_path / "x.png")
    assert drawn["axis"].get_ylim() == (0.0, 1.02)


def test_sweeps(drawn, tmp_path):
    one = {"rates": [0.1, 1.0], "losses": [2.0, 50.0], "smoothed": [2.0, 9.0], "suggestion": 0.01}
    figures.sweeps(
        {"all": one, "none": {"rates": [], "losses": [], "smoothed": [], "suggestion": None}}, tmp_path / "x"
    )
    axis = drawn["axis"]
    assert list(axis.lines[0].get_ydata()) == [2.0, 9.0] and list(axis.lines[1].get_ydata()) == [2.0, 50.0]
    assert axis.lines[2].get_xdata()[0] == 0.01 and len(axis.lines) == 5  # no line where nothing is suggested
    assert axis.get_xscale() == "log" and axis.get_ylim() == (0, 3.0)


def test_a_metric_that_only_validation_has_and_a_row_without_a_test_size(drawn, tmp_path):
    log = tmp_path / "metrics.jsonl"
    rows = [{"step": 1, "part": "train", "loss": 2.0}, {"step": 1, "part": "validation", "loss": 3.0, "map": 0.5}]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    figures.curves(log, tmp_path / "x.png", ("map", "loss"))
    assert [line.get_label() for line in drawn["axis"].lines] == ["validation"]
    one = {
        "name": "a",
        "metric": "r2",
        "test_size": None,
        "mean": -0.5,
        "values": [-0.5],
        "interval": None,
        "best": True,
    }
    figures.intervals([one], tmp_path / "x.png")
    assert len(drawn["axis"].patches) == 0
    figures.comparison([one], tmp_path / "x.png")
    assert drawn["axis"].get_xlim() == (-0.5, 1.0)


def test_scatter_has_axes_a_target_and_the_line_of_equals(drawn, tmp_path):
    labels, found = np.array([[1.0, 5.0], [2.0, 6.0]]), np.array([[1.5, 5.0], [1.0, 7.0]])
    figures.scatter(labels, found, ("a", "$b$"), tmp_path / "x.png")
    points, line = drawn["axis"].lines
    np.testing.assert_array_equal(points.get_xydata(), [[1.0, 1.5], [2.0, 1.0]])
    assert line.get_slope() == 1.0 and line.get_xy1()[0] == line.get_xy1()[1]
    assert drawn["axis"].get_xlabel() == "a" and drawn["axis"].get_ylabel() == "a, predicted"
