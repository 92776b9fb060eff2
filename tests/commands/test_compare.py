"""`tljax compare`: which runs it makes of a command line, and what one that fails leaves of the others."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import run_folders, small
from tljax.__main__ import main
from tljax.commands import compare
from tljax.core import overrides
from tljax.core.errors import DataError
from tljax.given import config as given
from tljax.runs import comparison, suite

ROOT = Path(__file__).parents[2]
CONFIG = """
from configs import default

def get_config(row="plain"):
    config = default.get_config()
    config.optimizer.lr = 0.5 if row == "other" else 0.1
    config.suite.rows.update(mine=("strategy.name=last_k", "strategy.last_k=2"))
    config.suite.seeds = (7,)
    return config
"""


class Fake:
    """Stands for `run.run`: notes the configs it was given; the accuracy is the learning rate; some runs fail."""

    def __init__(self) -> None:
        self.seen, self.failures = {}, {}

    def __call__(self, config, folder: Path):
        self.seen["/".join(folder.parts[-3:])] = config
        if folder.parent.name in self.failures:
            raise self.failures[folder.parent.name]
        return run_folders.result(config.optimizer.lr, seed=config.seed)


@pytest.fixture
def fake(monkeypatch):
    one = Fake()
    monkeypatch.setattr(compare, "run", one)
    return one


@pytest.fixture
def start(tmp_path, fake):
    (tmp_path / "x.py").write_text(CONFIG)

    def run(*arguments, row=""):
        folder = str(tmp_path / "out")
        return main(["compare", "--config", f"{tmp_path / 'x.py'}{row}", "--workdir", folder, *arguments])

    return run


def test_rows_of_the_config_and_strategies_with_overrides(start, fake):
    words = "mine,mine:optimizer.lr=0.3,full:optimizer.name=optax:adam:data.flip=true,linear_probe"
    assert (
        start("--strategies", words, "--seeds", "2", "--config.train.epochs=3", "--config.model.weights={suite}/w") == 0
    )
    seen = fake.seen
    assert list(seen) == [
        f"out/{row}/seed{seed}"
        for seed in (0, 1)
        for row in ("mine", "mine-optimizer.lr=0.3", "full-optimizer.name=optax-adam-data.flip=true", "linear_probe")
    ]
    mine, faster, full, probe = list(seen.values())[4:]
    assert (mine.strategy.name, mine.strategy.last_k, mine.optimizer.lr) == ("last_k", 2, 0.1)
    assert (faster.strategy.last_k, faster.optimizer.lr) == (2, 0.3)
    assert (full.strategy.name, full.optimizer.name, full.data.flip) == ("full", "optax:adam", True)
    assert probe.strategy.name == "linear_probe" and not probe.data.flip
    assert {one.train.epochs for one in seen.values()} == {3.0} and {one.seed for one in seen.values()} == {0, 1}
    assert {Path(one.model.weights).parent.name for one in seen.values()} == {"out"}  # of rows only, and filled in


def test_an_override_may_hold_commas(start, fake):
    assert start("--strategies", "full:task.class_weights=(1.0,2.0),linear_probe", "--seeds", "1") == 0
    assert [one.task.class_weights for one in fake.seen.values()] == [(1.0, 2.0), ()]


def test_by_default_the_rows_and_seeds_of_the_config(start, fake, tmp_path):
    assert start(row=":other") == 0
    assert list(fake.seen) == ["out/mine/seed7"] and fake.seen["out/mine/seed7"].optimizer.lr == 0.5
    table = json.loads((tmp_path / "out" / "comparison.json").read_text())["tables"][0]
    assert table["examples_per_class"] == 0 and [row["values"] for row in table["rows"]] == [[0.5]]


def test_learning_curves_thin_the_training_part(start, fake, tmp_path, capsys):
    assert start("--strategies", "full,mine", "--seeds", "4,9", "--examples", "1,5") == 0
    assert list(fake.seen)[:4] == [f"{n}_per_class/{row}/seed4" for n in (1, 5) for row in ("full", "mine")]
    assert [one.data.examples_per_class for one in fake.seen.values()] == [1, 1, 5, 5] * 2
    lines = json.loads((tmp_path / "out" / "learning_curves.json").read_text())
    assert {name: [p["examples_per_class"] for p in points] for name, points in lines.items()} == {
        "full": [1, 5],
        "mine": [1, 5],
    }
    assert "5 training examples a class" in capsys.readouterr().out


def test_a_failing_row_is_told_and_does_not_lose_the_others(start, fake, tmp_path, capsys):
    fake.failures["mine"] = DataError("a bad picture")
    assert start("--strategies", "full,mine,linear_probe", "--seeds", "2") == 3
    rows = json.loads((tmp_path / "out" / "comparison.json").read_text())["tables"][0]["rows"]
    assert [(row["name"], len(row["values"])) for row in rows] == [("full", 2), ("mine", 0), ("linear_probe", 2)]
    printed = capsys.readouterr()
    assert "failed: mine, seed 0, 1: a bad picture" in printed.out and printed.err == "error: a bad picture\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--strategies", "fill"), "must be rows of the config (mine) or files in .*/strategies/ (.*full.*'fill'"),
        (("--strategies", "full:lr=1"), "config.lr is no key"),
        (("--strategies", "full:data.name=a/b,full:data.name=a:b"), "must differ in more than signs"),
        (("--seeds", "0"), "--seeds must be whole numbers from 1 on, such as 1,5,10; got '0'"),
        (("--seeds", "x"), "--seeds must be whole numbers"),
        (("--examples", "1,0"), "--examples must be whole numbers from 1 on"),
        (("--example", "1"), "unrecognized arguments: --example"),
        (("--strategies", "linear_probe", "--config.strategy.name=full"), "strategy.name='full' has no effect"),
    ],
)  # fmt: skip
def test_nothing_runs_when_the_command_line_does_not_fit(start, fake, capsys, arguments, text):
    assert start(*arguments) == 2
    error = capsys.readouterr().err
    assert all(part in error for part in text.split(".*")) and not fake.seen


def test_real_runs_on_digits(tmp_path, capsys):
    """One example a class: predictions add up to the accuracy, and a second start takes the runs as they are."""
    words = ["--strategies", "fine_tune,linear_probe", "--seeds", "2", "--examples", "1"]
    words += ["--config.suite.first=('data.classes=0,1', 'strategy.name=scratch', 'train.epochs=1')"]
    words += ["--config.train.epochs=2", "--config.train.min_steps=12"]
    words += ["--config.train.batch_size=20", "--config.train.eval_batch_size=64", "--workdir", str(tmp_path)]
    assert main(["compare", "--config", "configs/digits.py", *words]) == 0
    first = (tmp_path / "comparison.json").read_text()
    tune, probe = json.loads(first)["tables"][0]["rows"]
    assert tune["updates"] == [12, 12] and tune["trainable"] > probe["trainable"] > 0
    assert tune["step_bytes"] > probe["step_bytes"] > 0  # no activations kept, no gradient of what is frozen
    run = tmp_path / "1_per_class" / "fine_tune" / "seed1"
    found = json.loads((run / "result.json").read_text())
    part, right = comparison.read_hits(run, found)
    assert right.shape == (found["counts"]["test"],) and right.mean() == found["metrics"]["test"]["accuracy"]
    assert part == json.loads((run / "inputs.json").read_text())["test"]
    capsys.readouterr()
    assert main(["compare", "--config", "configs/digits.py", *words]) == 0
    assert (tmp_path / "comparison.json").read_text() == first
    assert "already finished" in run.with_name("seed1.log").read_text()


def tables(folder: Path) -> tuple:
    """What `compare` found, the seconds apart."""
    found, curves = (json.loads((folder / name).read_text()) for name in ("comparison.json", "learning_curves.json"))
    kept = [{key: x for key, x in row.items() if "seconds" not in key} for t in found["tables"] for row in t["rows"]]
    return kept, curves


def test_killed_in_the_middle_it_goes_on_to_the_same_table(tmp_path):
    """kill -9 inside the second run, after a checkpoint: the same command ends in the same table and curves."""
    words = ["compare", "--config", "configs/digits.py", "--strategies", "scratch,scratch:data.pad=1", "--seeds", "1"]
    words += ["--examples", "1", "--config.suite.first=()"]
    words += ["--config.train.epochs=4", "--config.train.min_steps=60", "--config.train.checkpoint_epochs=1"]
    words += ["--config.train.batch_size=20", "--config.train.eval_batch_size=64", "--config.train.log_steps=1"]
    cut = tmp_path / "cut"
    log = cut / "1_per_class" / "scratch-data.pad=1" / "seed0" / "metrics.jsonl"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tljax", *words, "--workdir", str(cut)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    while process.poll() is None and not (log.exists() and log.read_text().count("\n") >= 20):
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    first = cut / "1_per_class" / "scratch" / "seed0" / "result.json"
    before = first.read_bytes()
    assert not (log.parent / "result.json").exists()  # cut in the run that was meant
    assert len(list((log.parent / "checkpoints" / "latest").glob("[0-9]*"))) > 0

    for folder in (cut, tmp_path / "whole"):
        assert main([*words, "--workdir", str(folder)]) == 0
    assert first.read_bytes() == before
    assert "resuming at step" in log.parent.with_name("seed0.log").read_text()
    assert tables(cut) == tables(tmp_path / "whole")
    assert len(tables(cut)[0]) == 2 and [len(points) for points in tables(cut)[1].values()] == [1, 1]


def test_a_grid_goes_on_top_of_every_row(start, fake, capsys):
    assert start("--strategies", "full,lora", "--grid", "optimizer.lr=0.3,0.6", "data.channels=1,3") == 0
    assert len(fake.seen) == 8
    config = fake.seen["out/full-optimizer.lr=0.6-data.channels=1/seed7"]
    assert config.optimizer.lr == 0.6 and config.data.channels == 1 and config.strategy.name == "full"
    assert "Nobody won: without a validation part nothing may be chosen" in capsys.readouterr().out
    fake.seen.clear()
    assert start("--strategies", "lora", "--grid", "optimizer.lr=1e-3..1e-1", "--random", "3") == 0
    assert len(fake.seen) == 3 and len({config.optimizer.lr for config in fake.seen.values()}) == 3


def test_no_run_is_begun_when_the_minutes_are_up(start, fake, capsys, monkeypatch):
    clock = iter(range(0, 100_000, 20))  # every look takes 20 seconds
    monkeypatch.setattr(suite.time, "monotonic", lambda: next(clock))
    assert start("--grid", "optimizer.lr=0.1,0.2,0.3,0.4", "--minutes", "1.5") == 0
    out = capsys.readouterr().out
    assert len(fake.seen) == 2 and "not begun, for it might end after the 1.5 min of --minutes" in " ".join(out.split())
    assert "2 of 4 rows have runs that were not begun" in out
    for flags in (["--random", "3"], ["--minutes", "0"], ["--grid", "x"]):
        assert start(*flags) == 2


def test_the_table_is_written_for_papers_too(start, tmp_path):
    assert start("--strategies", "full,lora:optimizer.lr=0.9") == 0
    assert "lora:optimizer.lr=0.9 & 90.00" in (tmp_path / "out" / "comparison.tex").read_text()
    assert (tmp_path / "out" / "comparison.csv").read_text().startswith("examples a class,row,test %,")


def test_intervals_of_shares_stay_within_0_and_100(tmp_path):
    found = {"a": [run_folders.result(value, seed=i) for i, value in enumerate((1.0, 0.9, 1.0))]}
    (one,) = comparison.rows(found, {"a": tmp_path})
    assert one["interval"][1] == 1.0 and 0.8 < one["interval"][0] < 0.97


def test_a_folder_of_ones_own_is_compared_as_it_is_trained(tmp_path, monkeypatch, capsys):
    """The rows begin with the keys that are found out for it, and its notes are said."""
    found, asked = small.config(strategy__name="auto"), []
    steps = {"optimizer.clip": 1.0, "train.patience": 10, "optimizer.groups.head.lr": 0.003}
    found = overrides.apply(found, [*(f"{key}={value}" for key, value in steps.items()), "data.validation=0.2"])

    def read(place, changes, *, rows):
        asked.append((place, changes, rows))
        return given.Given(found, "My-pictures", steps, ("data: 3 classes",))

    monkeypatch.setattr(given, "read", read)
    monkeypatch.setattr(given, "is_data", lambda place: True)
    monkeypatch.chdir(tmp_path)
    plans = []
    monkeypatch.setattr(compare.suite, "each", lambda run, plan, folder, **_: plans.append((plan, folder)) or ({}, []))
    compare.main(["My pictures", "--strategies=scratch,classic", "--config.seed=3", "--size=64", "--lr", "0.5"])
    (plan, folder), *_ = plans
    assert asked == [("My pictures", ["seed=3", "optimizer.lr=0.5", "data.size=64"], True)]
    assert folder == Path("runs/compare-My-pictures")
    assert [planned.config.strategy.name for planned in plan] == ["scratch", "classic"]
    settings = [
        (one.config.optimizer.clip, one.config.train.patience, len(one.config.optimizer.groups)) for one in plan
    ]
    assert settings == [(1.0, 10, 1), (0, 0, 0)]  # a fit takes no steps
    assert "data: 3 classes" in capsys.readouterr().out


def test_a_folder_and_a_config_are_two_things_to_compare(capsys):
    assert main(["compare", "My pictures", "--config=digits", "--strategies=full"]) == 2
    assert "got 'My pictures' and --config=digits" in capsys.readouterr().err
