"""Source x target: means, spreads and drops by hand, the oracle apart, and nothing where there is no target."""

import json
import math

import pytest

from tests import run_folders
from tljax.__main__ import main
from tljax.runs import domain_transfer


def found(source, test, seed=0, oracle=None, **targets):
    metrics = {"train": {"accuracy": 1.0, "examples": 10}, "test": {"accuracy": test, "examples": 100}}
    metrics |= {name: {"accuracy": accuracy, "examples": 1000} for name, accuracy in targets.items()}
    more = {"oracle": {name: {"accuracy": best, "step": 3} for name, best in oracle.items()}} if oracle else {}
    return run_folders.result(test, seed=seed, source=source, metrics=metrics, **more)


ROWS = {
    "books": [found("books", 0.9, dvd=0.7), found("books", 0.8, seed=1, dvd=0.8)],
    "dvd": [found("dvd", 0.75, books=0.8)],
}


def test_by_hand():
    books, dvd = domain_transfer.summarize(ROWS)
    assert domain_transfer.columns([books, dvd]) == ("row", "source", "own test %", "books", "dvd", "mean change")
    spread = f"{100 * math.sqrt(2 * 0.05**2):.2f}"
    assert domain_transfer.cells(books, ["books", "dvd"]) == [
        "books", "books", f"85.00 ± {spread}", "own", f"75.00 ± {spread} (-10.00)", "-10.00",
    ]  # fmt: skip
    assert domain_transfer.cells(dvd, ["books", "dvd"]) == ["dvd", "dvd", "75.00", "80.00 (+5.00)", "own", "+5.00"]
    assert domain_transfer.cells(dvd, ["kitchen"])[3] == "-"


def test_the_oracle_has_a_row_of_its_own():
    rows = {"coral": [found("books", 0.9, oracle={"dvd": 0.75}, dvd=0.7)], **ROWS}
    summaries = domain_transfer.summarize(rows)
    assert [row["name"] for row in summaries] == ["coral", "coral (oracle)", "books", "dvd"]
    assert [row["targets"]["dvd"]["mean"] for row in summaries[:2]] == [0.7, 0.75]


def test_what_auto_chose_stands_beside_its_row():
    [row] = domain_transfer.summarize({"mine": [found("books", 0.9, dvd=0.7) | {"chosen_strategy": "lora"}]})
    assert row["name"] == "mine (lora)"


def test_runs_without_targets_have_no_table(tmp_path, capsys):
    plain = domain_transfer.summarize({"plain": [run_folders.result(0.5)]})
    domain_transfer.save(plain, tmp_path)
    domain_transfer.tell(plain)
    assert plain == [] and not list(tmp_path.iterdir()) and capsys.readouterr().out == ""


@pytest.mark.renders
def test_the_verb_writes_and_prints_it(tmp_path, capsys):
    for row, results in ROWS.items():
        for result in results:
            config = {"data": {"divide": [row]}, "seed": result["seed"]}
            run_folders.write(tmp_path / "runs" / row / f"seed{result['seed']}", config, result)
    assert main(["table", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]) == 0
    lines = (tmp_path / "out" / "transfer.md").read_text().splitlines()
    assert lines[0] == "| row | source | own test % | books | dvd | mean change |" and len(lines) == 4
    assert json.loads((tmp_path / "out" / "transfer.json").read_text()) == domain_transfer.summarize(ROWS)
    assert (tmp_path / "out" / "transfer.png").read_bytes().startswith(b"\x89PNG")
    assert "80.00 (+5.00)" in capsys.readouterr().out
    assert (tmp_path / "out" / "table.md").exists()
