"""`tljax table`: runs that differ in their seed alone are one row."""

import json
import re

import pytest

from tests import run_folders
from tljax.__main__ import main
from tljax.commands import table
from tljax.core.errors import DataError

LOW, HIGH = {"optimizer": {"lr": 0.1}}, {"optimizer": {"lr": 0.2}}


def write(root, path, config, accuracy=0.5, seed=0):
    found = run_folders.result(accuracy, seed=seed) if accuracy else None
    return run_folders.write(root / path, config | {"seed": seed}, found)


def suite(root):
    """Two rows over two seeds, in folders as a suite makes them."""
    for seed, (low, high) in enumerate([(0.5, 0.9), (0.7, 0.8)]):
        write(root, f"low/seed{seed}", LOW, low, seed)
        write(root, f"high/seed{seed}", HIGH, high, seed)
    return root


def test_a_row_is_what_differs_in_the_seed_alone(tmp_path, capsys):
    assert main(["table", str(suite(tmp_path / "runs")), "--out", str(tmp_path / "out")]) == 0
    rows = json.loads((tmp_path / "out" / "table.json").read_text())
    assert [(row["name"], row["values"], row["seeds"]) for row in rows] == [
        ("high", [0.9, 0.8], [0, 1]),
        ("low", [0.5, 0.7], [0, 1]),
    ]
    assert rows[1]["mean"] == pytest.approx(0.6) and rows[1]["spread"] == pytest.approx(0.2 / 2**0.5)
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["table.json", "table.md", "table.png"]
    printed = capsys.readouterr().out
    assert re.search(r"low\s.*60\.00.*14\.14", printed) and printed.index("high") < printed.index("low")


def test_a_table_is_one_file_for_papers(tmp_path):
    suite(tmp_path / "runs_1")
    for name in ("x.tex", "x.csv", "x.pdf", "x.svg", "x.png"):
        assert main(["table", str(tmp_path / "runs_1"), "--out", str(tmp_path / name)]) == 0
        assert (tmp_path / name).exists()
    assert (tmp_path / "x.csv").read_text().startswith("row,test %,spread,train %,seeds,test n,seconds,")
    lines = (tmp_path / "x.tex").read_text().splitlines()
    assert lines[1] == r"\begin{tabular}{lrrrrrrrr}" and lines[3].startswith(r"row & test \% & spread & ")
    assert lines[5].startswith("high & 85.00 & 7.07 &") and lines[-2:] == [r"\bottomrule", r"\end{tabular}"]
    assert main(["table", str(tmp_path / "runs_1"), "--out", str(tmp_path / "v1.2")]) == 0  # a folder
    assert (tmp_path / "v1.2" / "table.md").exists()


def test_seeds_come_in_the_order_of_numbers(tmp_path):
    folders = [write(tmp_path, f"low/seed{seed}", LOW, seed / 100, seed) for seed in (10, 2)]
    assert [result["seed"] for result in table.by_row(folders)["low"]] == [2, 10]


def test_rows_come_in_the_order_of_the_arguments(tmp_path, capsys):
    suite(tmp_path)
    assert main(["table", str(tmp_path / "low"), str(tmp_path / "high")]) == 0
    printed = capsys.readouterr().out
    assert printed.index("low") < printed.index("high")
    assert not list(tmp_path.glob("table.*"))  # nothing is written unless asked for


def test_names_come_from_the_folders(tmp_path):
    one, two = write(tmp_path, "a/run", LOW), write(tmp_path, "b/run", HIGH)
    assert list(table.by_row([one])) == ["run"]
    assert list(table.by_row([one, two])) == [str(one), str(two)]  # they share their name


def test_a_folder_given_twice_counts_once(tmp_path, capsys):
    root = suite(tmp_path / "runs")
    assert main(["table", str(root), str(root / "low"), str(root / "low" / "seed0"), "--out", str(tmp_path)]) == 0
    assert [len(row["values"]) for row in json.loads((tmp_path / "table.json").read_text())] == [2, 2]


def test_runs_of_other_data_metrics_and_versions_are_told_apart(tmp_path, capsys):
    for name, jax, size in (("a", "0.10", 5), ("b", "0.11", 6)):
        folder = write(tmp_path, f"{name}/run", LOW | {"data": {"source": "image_folder", "dir": "pets"}, "name": name})
        stamp = {"place": "pets", "files": size, "bytes": 9, "sha256": name * 64}
        (folder / "inputs.json").write_text(json.dumps({"files": {"data.dir": [stamp]}, "classes": "cat, dog"}))
        (folder / "env.json").write_text(json.dumps({"packages": {"jax": jax, "numpy": "2"}, "devices": "1 x cpu"}))
    assert main(["table", str(tmp_path)]) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("these runs differ in")]
    a, b = (str(tmp_path / name / "run") for name in "ab")
    assert told == [
        f"these runs differ in data: image_folder pets (5 files of 9 bytes, state {'a' * 8}) in {a}; "
        f"image_folder pets (6 files of 9 bytes, state {'b' * 8}) in {b}",
        f"these runs differ in the version of jax: 0.10 in {a}; 0.11 in {b}",
    ]
    (tmp_path / "b/run/env.json").write_text("[]")
    assert main(["table", str(tmp_path)]) == 0 and "differ" not in capsys.readouterr().out


def test_a_seed_twice_is_an_error(tmp_path):
    one, two = write(tmp_path, "a/seed0", LOW), write(tmp_path, "b/seed0", LOW)
    with pytest.raises(DataError, match=rf"differ in their seeds; got \[0, 0\] in {one}, {two}"):
        table.by_row([one, two])


def test_unfinished_runs_are_named(tmp_path, capsys):
    root = suite(tmp_path)
    half = write(root, "low/seed2", LOW, accuracy=0, seed=2)
    assert main(["table", str(root)]) == 0
    assert f"left out: begun but not finished: {half}; start their commands again" in capsys.readouterr().err
    assert main(["table", str(half)]) == 3
    error = capsys.readouterr().err
    assert error.startswith(f"error: '{half}' must be or hold a finished run") and "begun but not finished" in error


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"metric": "accuracy", "metrics": {"test": []}}', "[" * 99999])
def test_a_damaged_run_is_left_out_and_named(content, tmp_path, capsys):
    root = suite(tmp_path)
    (root / "low" / "seed0" / "result.json").write_text(content)
    assert main(["table", str(root), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().err
    assert "left out: A" in said and f"'{root / 'low' / 'seed0'}'" in said and "run it again" in said
    rows = json.loads((tmp_path / "out" / "table.json").read_text())
    assert [(row["name"], row["seeds"]) for row in rows] == [("high", [0, 1]), ("low", [1])]
    assert main(["table", str(root / "low" / "seed0")]) == 3


def test_errors(tmp_path, capsys):
    assert main(["table", str(tmp_path / "nowhere")]) == 3
    assert "must be or hold a finished run (a result.json); it has none." in capsys.readouterr().err
    folder = write(tmp_path, "run", LOW)
    (folder / "config.json").unlink()
    assert main(["table", str(folder)]) == 3
    assert f"must hold a readable config.json; '{folder}' does not" in capsys.readouterr().err


def test_verbs(capsys):
    assert main(["tabel"]) == 2
    assert "'tabel' must be one of the files in tljax/commands/: " in (error := capsys.readouterr().err)
    assert "Did you mean 'table'?" in error
    assert main([]) == main(["--help"]) == 0
    assert re.search(r"  table +Rebuild the table", capsys.readouterr().out)
