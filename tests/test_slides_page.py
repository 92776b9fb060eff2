"""scripts/slides.py: a page's blocks from run folders, by hand; what has not been run says so."""

import json
from pathlib import Path

import pytest

from tests import run_folders
from tljax.core import modules

ROOT = Path(__file__).parents[1]
slides = modules.load_file(ROOT / "scripts" / "slides.py", "a test")
CONFIG = {"data": {"size": 96}, "train": {"epochs": 30.0}}


def finished(runs: Path, row: str, accuracies: dict[int, float], **more) -> None:
    for seed, accuracy in accuracies.items():
        place = run_folders.write(runs / row / f"seed{seed}", CONFIG, run_folders.result(accuracy, seed=seed, **more))
        command = ["main.py", "--config", "configs/x.py", "--config.data.dir=/my/data/x", "--workdir", "/my/runs"]
        (place / "env.json").write_text(json.dumps({"command": [*command, "--config.seeds=(0,1)"]}))
        points = [{"step": step, "part": "validation", "accuracy": step / 10} for step in (2, 4)]
        (place / "metrics.jsonl").write_text("\n".join(map(json.dumps, points)))


@pytest.fixture
def runs(tmp_path):
    finished(tmp_path, "suite/scratch", {0: 0.5, 1: 0.6})
    finished(tmp_path, "suite/transfer", {0: 0.7, 1: 0.9})
    finished(tmp_path, "suite/one", {10: 0.8})
    return tmp_path


def filled(runs: Path, block: str) -> str:
    text = slides.filled(f"| a | <!--{block}-->9.99 typed<!--/--> | b |", runs, {"/my/data": "$DATA"})
    assert text.startswith(f"| a | <!--{block}-->") and text.endswith("<!--/--> | b |") and "typed" not in text
    assert slides.filled(text, runs, {"/my/data": "$DATA"}) == text
    return text.partition("-->")[2].rpartition("<!--/-->")[0]


def test_a_figure(runs):
    assert filled(runs, "figure suite/scratch") == "55.0 (0.0 to 100.0; 2 seeds, n 1,000)"
    assert filled(runs, "figure suite/one") == "80.0 (77.4 to 82.4; 1 seed, n 1,000)"  # Wilson's interval
    assert filled(runs, "figure suite/absent") == filled(runs, "table absent").strip() == "not run"


def test_seeds_that_agree_are_no_surer_than_their_test_part(tmp_path):
    finished(tmp_path, "suite/same", {0: 0.8, 1: 0.8})
    assert filled(tmp_path, "figure suite/same") == "80.0 (77.4 to 82.4; 2 seeds, n 1,000)"


def test_a_gain_is_paired_by_seed(runs):
    assert filled(runs, "gain suite/transfer suite/scratch") == "+25.0 (95 % -38.5 to +88.5), 2 seeds"
    assert filled(runs, "gain suite/one suite/scratch") == "not run"


def test_a_table_with_its_command(runs):
    text = filled(runs, "table suite")
    assert "python main.py --config configs/x.py --config.data.dir=$DATA/x '--config.seeds=(0,1)'\n" in text
    assert "| transfer | 80.00 | 0.0 to 100.0 | 2 | 1,000 | 10 | 96 | 30 | 2 |" in text
    assert [line.split(" | ")[0] for line in text.splitlines()[-3:]] == ["| scratch", "| transfer", "| one"]


def test_what_auto_chose_and_what_it_cost(tmp_path):
    finished(tmp_path, "advice/full_5", {0: 0.5})
    finished(tmp_path, "advice/linear_probe_5", {0: 0.8})
    finished(tmp_path, "advice/auto_5", {0: 0.5})
    decision = {"strategy": "full", "similarity": 0.25}
    (tmp_path / "advice" / "auto_5" / "seed0" / "decision.json").write_text(json.dumps(decision))
    assert "| 5 | 50.0 | 80.0 * | 0.25, full | +30.0 |" in filled(tmp_path, "advice advice")


def test_accuracy_over_seconds_is_drawn(runs, tmp_path):
    slides.plot(runs, tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").stat().st_size > 5000
    assert filled(runs, "plot plot.svg").strip().endswith("(plot.svg)")
    (runs / "empty").mkdir()
    assert filled(runs / "empty", "plot plot.svg").strip() == "not run"
    assert slides._curve(slides.rows(runs, "suite")["one"][0]) == ([0.5, 1.0], [0.2, 0.4])


def test_every_block_of_the_page_is_known():
    text = (ROOT / "docs" / "slides.md").read_text()
    opened = [line for line in text.split("<!--")[1:] if not line.startswith("/-->")]
    assert opened and len(opened) == len(slides.BLOCK.findall(text))
