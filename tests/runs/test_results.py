"""What runs found, over seeds: mean, sample standard deviation, and the table as files."""

import json
import math

import pytest

from tests import run_folders
from tljax.core.errors import DataError
from tljax.runs import results

ROWS = {
    "low": [run_folders.result(accuracy, seed=seed) for seed, accuracy in enumerate((0.80, 0.84, 0.85))],
    "high": [run_folders.result(0.5, seed=7, seconds=61.25)],
}


def test_mean_spread_and_counts_by_hand():
    low, high = results.summarize(ROWS)
    assert low["name"] == "low" and low["values"] == [0.80, 0.84, 0.85] and low["seeds"] == [0, 1, 2]
    assert low["mean"] == pytest.approx(0.83)
    assert low["spread"] == pytest.approx(math.sqrt((0.03**2 + 0.01**2 + 0.02**2) / 2))  # N - 1
    assert high["spread"] is None and high["seconds"] == 61.25
    assert (low["examples"], low["trainable"], low["parameters"]) == (1000, 34, 1234)


def test_cells_are_what_people_read():
    low, high = (results.cells(summary) for summary in results.summarize(ROWS))
    assert low == ["low", "83.00", "2.65", "100.00", "3", "1,000", "2.0", "34", "1,234"]
    assert high[:3] == ["high", "50.00", "-"]
    assert len(low) == len(results.COLUMNS)


def test_a_part_without_training_metrics():
    one = run_folders.result(0.5, metrics={"test": {"accuracy": 0.5, "examples": 4}})
    [summary] = results.summarize({"row": [one]})
    assert summary["train"] is None and results.cells(summary)[3] == "-"


def test_what_auto_chose_stands_beside_its_row():
    chose = [
        run_folders.result(0.5, seed=i, strategy="auto", chosen_strategy=one)
        for i, one in enumerate(("full", "lora", "full"))
    ]
    mixed, plain = results.summarize({"auto": chose, "low": ROWS["low"]})
    assert (mixed["name"], plain["name"]) == ("auto (full, lora)", "low")


def test_rows_without_a_result_are_left_out():
    assert results.summarize({"none": [], "low": ROWS["low"]})[0]["name"] == "low"


@pytest.mark.renders
def test_the_table_as_files(tmp_path):
    summaries = results.summarize(ROWS)
    results.save(summaries, tmp_path / "new")
    lines = (tmp_path / "new" / "table.md").read_text().splitlines()
    assert lines[0].startswith("| row | test % | spread |") and lines[2].startswith("| low | 83.00 | 2.65 |")
    assert len(lines) == 4 and {line.count("|") for line in lines} == {len(results.COLUMNS) + 1}
    assert json.loads((tmp_path / "new" / "table.json").read_text()) == summaries
    assert (tmp_path / "new" / "table.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == ["table.json", "table.md", "table.png"]


def test_reading_a_run(tmp_path):
    folder = run_folders.write(tmp_path / "run", {"seed": 0}, run_folders.result(0.5))
    assert results.read(folder) == run_folders.result(0.5)
    assert results.read(folder, "config.json") == {"seed": 0}
    (folder / "result.json").write_text('{"metrics": {')
    for file in ("result.json", "absent.json"):
        with pytest.raises(DataError, match=f"must hold a readable {file}; '{folder}' does not"):
            results.read(folder, file)
