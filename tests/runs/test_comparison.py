"""Rows against each other: which is best, which test their runs allow, and what stands in the files."""

import json

import numpy as np
import pytest

from tests import run_folders
from tljax.core.errors import DataError
from tljax.reporting import significance
from tljax.runs import comparison

N = 40
RNG = np.random.default_rng(1)


def write(folder, wrong, *, seed, part="same", **more):
    """A finished run that gets the examples `wrong` wrong, with its predictions."""
    labels = np.array(["a", "b"])[np.arange(N) % 2]
    predictions = np.where(np.isin(np.arange(N), wrong), "c", labels)
    result = run_folders.result(1 - len(wrong) / N, seed=seed, **more)
    run_folders.write(folder / f"seed{seed}", {"seed": seed}, result)
    (folder / f"seed{seed}" / "inputs.json").write_text(json.dumps({"test": part}))
    (folder / f"seed{seed}" / "report").mkdir()
    lines = [f"{i},{label},{said}" for i, (label, said) in enumerate(zip(labels, predictions, strict=True))]
    (folder / f"seed{seed}" / "report" / "test_predictions.csv").write_text(
        "\n".join(["example,label,prediction", *lines])
    )
    return result


@pytest.fixture
def two(tmp_path):
    """Rows "good" and "bad" over three seeds of one test part."""
    wrong = {"good": [(0, 1), (0, 2), (0, 1)], "bad": [(0, 1, 2, 3, 4, 5), (0, 1, 2, 3, 4), (0, 2, 3, 4, 5, 6, 7)]}
    found = {
        name: [write(tmp_path / name, some, seed=seed) for seed, some in enumerate(members)]
        for name, members in wrong.items()
    }
    return found, {name: tmp_path / name for name in wrong}, wrong


def test_predictions_are_compared_example_by_example(two):
    found, folders, wrong = two
    good, bad = comparison.rows(found, folders)
    hits = {name: np.array([[i not in some for i in range(N)] for some in members]) for name, members in wrong.items()}
    expected = significance.over_seeds_and_examples(hits["bad"].astype(int) - hits["good"])
    assert (good["best"], good["difference"], good["p"], good["resolved"]) == (True, None, None, None)
    assert bad["difference"]["value"] == expected.value == pytest.approx((6 - 18) / N / 3)
    assert (bad["difference"]["low"], bad["difference"]["high"]) == (expected.low, expected.high)
    assert bad["difference"]["test"] == "seeds and examples" and bad["p"] == expected.p
    assert not bad["best"] and bad["resolved"] is (expected.p < 0.05)


def test_the_numbers_of_a_row(two):
    found, folders, _ = two
    good, _ = comparison.rows(found, folders)
    assert good["mean"] == pytest.approx(0.95) and good["sd"] == pytest.approx(0) and good["seeds"] == [0, 1, 2]
    assert good["test_size"] == significance.wilson(good["mean"], 1000)
    assert good["interval"] == significance.interval(good["values"])
    assert (good["trainable"], good["optimizer_bytes"], good["step_bytes"], good["seconds"]) == (34, 0, 0, 2.0)


def test_what_auto_chose_stands_beside_its_row(two, monkeypatch, tmp_path):
    found, folders, _ = two
    found["bad"] = [one | {"strategy": "auto", "chosen_strategy": "lora"} for one in found["bad"]]
    drawn = []
    monkeypatch.setattr(
        "tljax.reporting.figures.intervals", lambda rows, file: drawn.extend(row["name"] for row in rows)
    )
    table = comparison.rows(found, folders)
    comparison.save({0: table}, [], tmp_path)
    assert [row["name"] for row in table] == ["good", "bad"] and drawn == ["good", "bad (lora)"]
    assert [comparison.cells(row)[0] for row in table] == ["good", "bad (lora)"]


def test_one_seed_is_mcnemar(two):
    found, folders, _ = two
    _, bad = comparison.rows({name: members[:1] for name, members in found.items()}, folders)
    assert bad["difference"]["test"] == "McNemar" and bad["p"] == 0.125  # 0 won, 4 lost: 2 / 2^4
    assert bad["sd"] is None and bad["interval"] is None


@pytest.mark.parametrize("break_it", ["other parts", "no predictions", "another metric"])
def test_without_examples_in_common_seeds_alone_are_compared(two, break_it):
    found, folders, _ = two
    if break_it == "other parts":
        for folder in folders.values():
            (folder / "seed2" / "inputs.json").write_text(json.dumps({"test": "another"}))
    elif break_it == "no predictions":
        (folders["bad"] / "seed1" / "report" / "test_predictions.csv").unlink()
    else:  # then the share of what is right is not the metric
        found["bad"][1]["metrics"]["test"]["accuracy"] += 0.01
    good, bad = comparison.rows(found, folders)
    expected = significance.over_seeds(np.array(bad["values"]) - np.array(good["values"]))
    assert bad["difference"]["test"] == "t over seeds" and bad["p"] == expected.p
    [left] = comparison.rows({"good": found["good"]}, folders)
    assert left["best"] and left["difference"] is None


def test_only_seeds_that_both_have_are_paired(two):
    found, folders, _ = two
    found["bad"] = found["bad"][1:]
    _, bad = comparison.rows(found, folders)
    assert bad["difference"]["value"] == pytest.approx((4 - 12) / N / 2)
    found["bad"], found["good"] = found["bad"][:1], found["good"][:1]  # seeds 1 and 0
    assert comparison.rows(found, folders)[1]["difference"] is None


def test_a_row_with_fewer_seeds_is_not_the_best(two):
    found, folders, _ = two
    found["good"] = found["good"][:2]
    assert [row["best"] for row in comparison.rows(found, folders)] == [False, True]


def test_p_is_corrected_for_the_number_of_rows(two, tmp_path):
    found, folders, _ = two
    [_, alone] = comparison.rows(found, folders)
    found |= {"same": found["good"]}
    found["same"] = [write(tmp_path / "same", (0, 1), seed=seed) for seed in range(3)]
    rows = {row["name"]: row for row in comparison.rows(found, folders | {"same": tmp_path / "same"})}
    assert rows["bad"]["p"] == 2 * alone["p"] and rows["same"]["p"] == 1.0


def test_validation_chooses_without_the_test_part(two):
    found, folders, _ = two
    for name, value in (("good", 0.8), ("bad", 0.9)):
        for member in found[name]:
            member["metrics"]["validation"] = {"accuracy": value, "examples": 10}
    good, bad = comparison.rows(found, folders)
    assert (good["best"], good["chosen"], bad["best"], bad["chosen"]) == (True, False, False, True)
    assert comparison.cells(bad)[0] == "bad *" and comparison.cells(bad)[5] == "90.00"
    found["bad"] = found["bad"][:1]  # the others failed
    good, bad = comparison.rows(found, folders)
    assert good["chosen"] and not bad["chosen"]


def test_cells_are_what_people_read(two):
    found, folders, _ = two
    found["good"][0] |= {"step_bytes": 3 * 2**20, "optimizer_bytes": 2048}
    good, bad = (comparison.cells(row) for row in comparison.rows(found, folders))
    assert good == ["good", "95.00", "0.00", "95.0 to 95.0", "93.5 to 96.2", "-", "best", "-", "-", "3", "2.0", "3.0",
                    "34", "2.0"]  # fmt: skip
    assert bad[6].startswith("-10.00 (-") and len(bad) == len(comparison.COLUMNS)


@pytest.mark.renders
def test_a_row_that_failed_stands_in_the_table(two, tmp_path):
    found, folders, _ = two
    table = comparison.rows(found | {"broken": []}, folders | {"broken": tmp_path})
    failed = [("broken", 0, DataError("no such picture\nand more")), ("first", 1, RuntimeError("RESOURCE_EXHAUSTED"))]
    comparison.save({0: table}, failed, tmp_path / "out")
    lines = (tmp_path / "out" / "comparison.md").read_text().splitlines()
    assert lines[4].startswith("| broken | failed | - |") and {line.count("|") for line in lines[:5]} == {15}
    assert "- failed: broken, seed 0: no such picture" in lines
    assert any("'seeds and examples': runs and test examples" in line for line in lines)
    saved = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert saved["failures"][0] == {"row": "broken", "seed": 0, "error": "no such picture\nand more"}
    assert saved["tables"][0]["rows"][1] == json.loads(json.dumps(table[1]))
    assert (tmp_path / "out" / "comparison.png").read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "out" / "learning_curves.png").exists()
    comparison.save({0: comparison.rows({"broken": []}, {})}, failed, tmp_path / "none")
    assert sorted(file.name for file in (tmp_path / "none").iterdir()) == [
        f"comparison.{kind}" for kind in ("csv", "json", "md", "tex")
    ]


def test_learning_curves(two, tmp_path):
    found, folders, _ = two
    table = comparison.rows(found, folders)
    one = comparison.rows({"good": found["good"][:1], "bad": []}, folders)
    lines = comparison.curves({1: one, 10: table})
    assert [point["examples_per_class"] for point in lines["good"]] == [1, 10]
    assert [point["interval"] for point in lines["good"]] == [None, table[0]["interval"]]
    assert [point["examples_per_class"] for point in lines["bad"]] == [10]
    comparison.save({1: one, 10: table}, [], tmp_path / "out")
    assert json.loads((tmp_path / "out" / "learning_curves.json").read_text()) == json.loads(json.dumps(lines))
    names = {f"comparison.{kind}" for kind in ("csv", "json", "md", "tex")}
    names |= {"comparison_1.png", "comparison_10.png"}
    assert {file.name for file in (tmp_path / "out").iterdir()} == names | {
        "learning_curves.json",
        "learning_curves.png",
    }
    assert "10 training examples a class:" in (tmp_path / "out" / "comparison.md").read_text()


def test_the_interval_that_a_task_gives_is_that_of_a_row(tmp_path):
    """Mean IoU is no share of examples: its runs have the bootstrap's ends, and a row the means of these."""
    runs = [
        run_folders.result(0.5, seed=seed)
        | {
            "metric": "mean_iou",
            "metrics": {"test": {"mean_iou": 0.5 + x, "mean_iou_low": 0.4 + x, "mean_iou_high": 0.7, "examples": 9}},
        }
        for seed, x in enumerate((0.0, 0.1))
    ]
    (row,) = comparison.rows({"full": runs}, {"full": tmp_path})
    assert row["test_size"] == pytest.approx((0.45, 0.7))
    assert comparison.cells(row)[comparison.COLUMNS.index("95 % test size")] == "45.0 to 70.0"
    assert any("that the task gives" in note and "9 examples" in note for note in comparison.notes({0: [row]}, []))
