"""`tljax report RUN`: the page of a finished run, suite or comparison, made again from its folder alone."""

import json
import shutil

import pytest
from ml_collections import ConfigDict

from tests import run_folders, small
from tljax.__main__ import main
from tljax.runs import comparison_folder, suite
from tljax.runs.run import run

pytestmark = [pytest.mark.page, pytest.mark.renders]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A finished run on photographs, and a copy of its short page."""
    root = tmp_path_factory.mktemp("again")
    with pytest.MonkeyPatch.context() as monkeypatch:
        config = small.photographs(root / "pictures", monkeypatch)
        config.data.validation, config.report = 0.25, "short"
        run(config, root / "run")
        shutil.copytree(root / "run", root / "kept")
        yield root


def test_the_page_that_is_made_again_is_the_page(root, capsys):
    page = root / "run" / "report" / "index.html"
    page.unlink()
    assert main(["report", str(root / "run"), "--short"]) == 0
    assert f"page: {page}" in capsys.readouterr().out
    assert page.read_bytes() == (root / "kept" / "report" / "index.html").read_bytes()


def test_nothing_else_in_the_folder_changes(root):
    files = [file for file in (root / "kept").rglob("*") if file.is_file() and file.name != "index.html"]
    assert main(["report", str(root / "run"), "--short"]) == 0
    for file in files:
        again = root / "run" / file.relative_to(root / "kept")
        assert again.read_bytes() == file.read_bytes(), file


def test_other_data_are_refused_in_words(root, capsys):
    moved = root / "pictures" / "test" / "ant" / "0.png"
    content = moved.read_bytes()
    moved.unlink()
    try:
        assert main(["report", str(root / "run"), "--short"]) == 3
    finally:
        moved.write_bytes(content)
    assert "test: 15 examples then, 14 now" in capsys.readouterr().err


def test_a_fitted_classifier_has_its_page_again(root, tmp_path, monkeypatch):
    config = small.photographs(tmp_path / "pictures", monkeypatch)
    config.strategy.name, config.model.weights, config.report = "classic", str(root / "run" / "model"), "short"
    config.strategy.classifier = "knn"
    run(config, tmp_path / "run")
    page = tmp_path / "run" / "report" / "index.html"
    first = page.read_bytes()
    page.unlink()
    assert main(["report", str(tmp_path / "run"), "--short"]) == 0
    assert page.read_bytes() == first


def test_a_suite_has_its_page_again_with_its_rows_in_order(tmp_path):
    config = small.config(report="none")
    config.train.epochs = 1.0
    config.suite.seeds = (0,)
    config.suite.rows = ConfigDict({"b": (), "a": ("optimizer.lr=0.001",)}, sort_keys=False)
    suite.run(run, config, tmp_path)
    page = tmp_path / "report" / "index.html"
    assert not page.exists()
    assert main(["report", str(tmp_path)]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.index("<td>b") < text.index("<td>a")


def test_a_comparison_is_read_again_with_its_failures_and_sizes(tmp_path):
    for name, accuracy in (("full", 0.9), ("linear_probe-optimizer.lr=1", 0.8)):
        for seed in (0, 1):
            found = run_folders.result(accuracy + 0.01 * seed, seed=seed)
            run_folders.write(tmp_path / "5_per_class" / name / f"seed{seed}", {}, found)
    rows = [{"name": name} for name in ("linear_probe:optimizer.lr=1", "full", "last_k")]
    said = {"tables": [{"examples_per_class": 5, "rows": rows}],
            "failures": [{"row": "last_k (5 a class)", "seed": 0, "error": "no memory"}]}  # fmt: skip
    (tmp_path / "comparison.json").write_text(json.dumps(said))
    tables, places, failed = comparison_folder.read(tmp_path)
    assert [row["name"] for row in tables[5]] == [row["name"] for row in rows]
    assert [len(row["values"]) for row in tables[5]] == [2, 2, 0]
    assert places[5, "linear_probe:optimizer.lr=1"].name == "linear_probe-optimizer.lr=1"
    assert [(row, seed, str(why)) for row, seed, why in failed] == [("last_k (5 a class)", 0, "no memory")]


@pytest.mark.parametrize(
    "content", ["{}", '{"tables": [{"rows": [{}]}], "failures": []}', '{"tables": 1, "failures": []}']
)
def test_a_damaged_comparison_and_an_empty_folder_are_refused(tmp_path, capsys, content):
    assert main(["report", str(tmp_path)]) == 3
    assert "is neither" in capsys.readouterr().err
    (tmp_path / "comparison.json").write_text(content)
    assert main(["report", str(tmp_path)]) == 3
    assert "comparison.json" in capsys.readouterr().err
