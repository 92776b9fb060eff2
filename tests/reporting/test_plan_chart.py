"""The chart of a plan: rates at the middle of every column, what is frozen, and its picture and text."""

import json

import numpy as np
import pytest

from configs import default
from tests import small
from tljax.core.types import Phase
from tljax.reporting import figures, plan_chart, report
from tljax.training import plan_rates

pytestmark = pytest.mark.renders

PHASES = (Phase("probe", 0.25, {"low": 0.0, "head": 1.0}), Phase("tune", 1.0, {"low": 0.01, "head": 0.1}))


def config(**changes):
    one = default.get_config().optimizer
    one.update({"lr": 0.1} | changes)
    return one


def test_a_short_plan_is_shown_step_by_step():
    chart = plan_rates.chart(PHASES, 4, 2.0, config())
    assert chart["edges"] == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert chart["rates"]["low"] == [None, *[pytest.approx(0.001)] * 3]
    assert chart["rates"]["head"] == [0.1, *[pytest.approx(0.01)] * 3]
    assert chart["phases"] == [
        {"name": "probe", "from": 0.0, "until": 0.5},
        {"name": "tune", "from": 0.5, "until": 2.0},
    ]
    assert json.loads(json.dumps(chart)) == chart


def test_a_long_plan_is_cut_at_its_phases():
    """1,001 steps in 120 columns: the phase ends inside one, which is cut in two there."""
    phases = (Phase("probe", 0.31, PHASES[0].scales), PHASES[1])
    chart = plan_rates.chart(phases, 1001, 10.0, config(schedule="cosine"))
    end = round(0.31 * 1001)
    assert end / 1001 * 10 in chart["edges"] and len(chart["edges"]) == 122
    steps = np.round(np.array(chart["edges"]) / 10 * 1001).astype(int)
    for column in (0, 40, 120):
        middle = (steps[column] + steps[column + 1] - 1) // 2
        wanted = plan_rates.rate_at(phases, 1001, config(schedule="cosine"), int(middle))
        assert chart["rates"]["head"][column] == wanted["head"]
        assert chart["rates"]["low"][column] == (wanted["low"] or None)
    frozen = [rate is None for rate in chart["rates"]["low"]]
    assert frozen == [edge <= end for edge in steps[1:]]


def test_shades_are_for_rates_that_matter():
    """A cosine ends near 0: shades end a tenth below the slowest group's peak; a rate of 0 is no rate."""
    table = {"rates": {"low": [None, 0.01, 0.002, 1e-9], "head": [0.0, 1.0, 0.5, 1e-7]}}
    assert plan_chart.limits(table) == (0.001, 1.0)
    assert plan_chart.limits({"rates": {"a": [0.05, 0.02]}}) == (0.02, 0.05)
    assert plan_chart.limits({"rates": {"a": [0.0]}}) == (1.0, 1.0)


def test_the_text():
    title, low, head = plan_chart.lines(plan_rates.chart(PHASES, 4, 2.0, config()))
    assert title == "plan over 2 epochs (4 steps): learning rate █ 0.1 down to ░ 0.001, · frozen"
    assert low == "  low  " + "·" * 15 + "░" * 45
    assert head == "  head " + "█" * 15 + "▓" * 45
    [title, line] = plan_chart.lines(plan_rates.chart((Phase("full", 1.0, {"all": 1.0}),), 1, 0.5, config()))
    assert title == "plan over 0.5 epochs (1 steps): learning rate █ 0.1, · frozen" and line == "  all " + "█" * 60


def test_neighbours_that_learn_alike_are_one_row():
    rates = {"stem": [None], "stage1": [None], "stage2": [0.1], "stage3": [None], "head": [0.1]}
    shown = plan_chart.folded({"rates": rates, "epochs": 1.0})
    assert shown["epochs"] == 1.0 and list(shown["rates"]) == ["stem to stage1", "stage2", "stage3", "head"]
    assert list(shown["rates"].values()) == [[None], [0.1], [None], [0.1]]


def test_the_picture(tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(figures, "_save", lambda figure, file: drawn.update(axes=figure.axes))
    chart = plan_rates.chart(PHASES, 4, 2.0, config())
    figures.plan(chart, plan_chart.limits(chart), tmp_path / "x.png")
    axis = drawn["axes"][0]
    [mesh] = axis.collections
    shown = np.ma.filled(mesh.get_array().reshape(2, 4), np.nan)
    np.testing.assert_allclose(shown, [[np.nan, 0.001, 0.001, 0.001], [0.1, 0.01, 0.01, 0.01]])
    assert [label.get_text() for label in axis.get_yticklabels()] == ["low", "head"] and axis.get_ylim() == (2, 0)
    assert axis.patch.get_hatch() and [line.get_xdata()[0] for line in axis.lines] == [0.5]
    assert mesh.norm.vmin == 0.001 and mesh.norm.vmax == 0.1


def test_it_is_written_before_training_and_once(tmp_path, capsys):
    one = report.Report(tmp_path / "run", small.config(), best="accuracy")
    chart = plan_rates.chart(PHASES, 4, 2.0, config())
    with one.opened({}):
        pass
    chart["rates"] = {"lowest": chart["rates"]["low"], **chart["rates"]}
    one.plan([("phase 'probe'", ("group", "lr"), [["low", "frozen"]])], chart)
    folder = tmp_path / "run" / "report"
    assert json.loads((folder / "plan.json").read_text()) == chart
    picture = (folder / "plan.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert printed.index("phase 'probe'") < printed.index("plan over 2 epochs") < printed.index("·" * 15 + "░" * 45)
    assert "  lowest to low " in printed and printed.count("░" * 45) == 1
    (folder / "plan.png").write_bytes(b"as it was")
    one.plan([], chart)
    assert (folder / "plan.png").read_bytes() == b"as it was"


def test_the_rates_beside_the_picture_are_numbers(tmp_path, monkeypatch):
    """Within one decade matplotlib labels what lies between, as formulas; nothing parses those here."""
    drawn = {}
    monkeypatch.setattr(figures, "_save", lambda figure, file: drawn.update(axes=figure.axes))
    chart = plan_rates.chart((Phase("full", 1.0, {"all": 1.0}),), 1, 0.5, config())
    figures.plan(chart, plan_chart.limits(chart), tmp_path / "x.png")
    bar = drawn["axes"][1]
    bar.figure.canvas.draw()
    texts = [label.get_text() for label in bar.get_yticklabels(which="both")]
    assert texts and not any("$" in text for text in texts)
