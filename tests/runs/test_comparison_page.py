"""The page of a comparison: who won and how sure, a plan a row, links to the pages of its runs."""

import json

import pytest

from tests import browser, run_folders, small
from tljax.runs import comparison, suite, verdict
from tljax.runs.pages import comparison_page
from tljax.runs.run import run

pytestmark = [pytest.mark.page, pytest.mark.renders]


def test_a_suite_has_a_page_that_leads_to_its_runs(tmp_path, capsys):
    config = small.config(report="short")
    config.train.epochs = 1.0
    config.suite.seeds = (0, 1)
    config.suite.rows.update({"a, b": (), "<b>": ("optimizer.lr=0.001",)})
    suite.run(run, config, tmp_path)
    file = tmp_path / "report" / "index.html"
    assert f"page: {file}" in capsys.readouterr().out.replace("\n", "")
    found = browser.open_page(file, tmp_path)
    assert found.console == [] and found.requests == [] and found.silent_pictures == []
    assert found.pictures == 3  # the table, and a plan a row
    assert 'href="../a%2C%20b/seed1/report/index.html"' in found.dom and "&lt;b&gt;" in found.dom
    assert (file.parent / "../a, b/seed1/report/index.html").exists()


def table(tmp_path, **means):
    members = {name: [run_folders.result(mean + 0.01 * seed, seed=seed) for seed in range(3)]
               for name, mean in means.items()}  # fmt: skip
    return comparison.rows(members, {name: tmp_path / name for name in members})


def test_the_page_says_who_won_as_the_command_does(tmp_path):
    rows = table(tmp_path, good=0.9, bad=0.5)
    places = {(0, name): tmp_path / name for name in ("good", "bad")}
    (section,) = comparison_page.gather({0: rows}, places, [], tmp_path)["sections"]
    assert section["verdict"] == verdict.sentence(rows)
    assert "without a validation part nothing may be chosen" in section["verdict"] and "'good'" in section["verdict"]


def test_a_fault_loses_the_page_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(verdict, "sentence", lambda rows: json.loads("{"))
    said = []
    rows = table(tmp_path, good=0.9)
    assert (
        comparison_page.write({0: rows}, {(0, "good"): tmp_path}, [], tmp_path, asked="full", say=said.append) is None
    )
    assert "the page could not be drawn (JSONDecodeError" in said[0]
