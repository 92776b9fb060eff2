"""Every writer is given every number; one that fails ends no run; a package that is missing is said first."""

import csv
import json
import math
import sys
import types

import pytest

from tests import small
from tljax.core.errors import ConfigError
from tljax.core.plugins import available
from tljax.reporting.report import Report
from tljax.reporting.writer import About, Writers
from tljax.runs.run import run

RESULT = {"step": 3, "metrics": {"test": {"accuracy": 0.75, "examples": 8}}}


def about(folder, *, step=0, say=print):
    return About(folder, {"seed": 0, "train": {"epochs": 2.0}}, step, say)


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


class Package(types.ModuleType):
    """Stands for a package: every call of it, and of what it returns, is kept under its name."""

    def __init__(self, name):
        super().__init__(name)
        self.calls, self.run = [], types.SimpleNamespace(id="7", info=types.SimpleNamespace(run_id="7"))
        self.run.summary = types.SimpleNamespace(update=lambda values: self.calls.append(("summary", values)))
        self.run.log = lambda values, step: self.calls.append(("log", step, values))
        self.run.finish = lambda exit_code: self.calls.append(("finish", exit_code))

    def set_experiment(self, name):
        self.calls.append(("experiment", name))

    def start_run(self, run_id, run_name):
        self.calls.append(("start", run_id))
        return self.run

    def log_params(self, params):
        self.calls.append(("params", params))

    def log_metrics(self, metrics, step):
        self.calls.append(("log", step, metrics))

    def end_run(self, status):
        self.calls.append(("finish", status))

    def init(self, **arguments):
        self.calls.append(("init", arguments))
        return self.run

    def log(self, metrics, step):
        self.calls.append(("log", step, metrics))

    def finish(self):
        self.calls.append(("finish",))


@pytest.fixture
def packages(monkeypatch):
    found = {name: Package(name) for name in ("mlflow", "wandb", "trackio")}
    for name, package in found.items():
        monkeypatch.setitem(sys.modules, name, package)
    return found


def test_every_writer_sees_every_number(tmp_path, packages):
    writers = Writers(available("writers"))
    writers.start(about(tmp_path))
    writers.scalars(1, "train", {"loss": 0.5, "lr/head=1": math.inf})
    writers.scalars(2, "validation", {"accuracy": 0.5})
    writers.finish(RESULT)
    writers.close()
    assert rows(tmp_path) == [
        {"step": 1, "part": "train", "loss": 0.5, "lr/head=1": None},
        {"step": 2, "part": "validation", "accuracy": 0.5},
        {"step": 3, "part": "final test", "accuracy": 0.75, "examples": 8},
    ]
    with (tmp_path / "metrics.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["step", "part", "name", "value"],
            ["1", "train", "loss", "0.5"],
            ["1", "train", "lr/head=1", "inf"],
            ["2", "validation", "accuracy", "0.5"],
            ["3", "final test", "accuracy", "0.75"],
            ["3", "final test", "examples", "8"],
        ]
    last = {"final test/accuracy": 0.75, "final test/examples": 8}
    first = ("log", 1, {"train/loss": 0.5, "train/lr/head=1": math.inf})
    assert packages["mlflow"].calls[3:] == [
        ("log", 1, {"train/loss": 0.5, "train/lr/head_1": math.inf}),  # "=" is no sign of a name there
        ("log", 2, {"validation/accuracy": 0.5}),
        ("log", 3, last),
        ("finish", "FINISHED"),
    ]
    assert packages["mlflow"].calls[2] == ("params", {"seed": "0", "train.epochs": "2.0"})
    second = ("log", 2, {"validation/accuracy": 0.5})
    assert packages["wandb"].calls[1:] == [first, second, ("summary", last), ("finish", 0)]
    assert packages["trackio"].calls[1:] == [first, second, ("log", 3, last), ("finish",)]
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 1


def test_a_run_that_goes_on_does_so_in_every_writer(tmp_path, packages):
    for step in (0, 2):
        writers = Writers(available("writers"))
        writers.start(about(tmp_path, step=step))
        for number in range(step + 1, 5):
            writers.scalars(number, "train", {"loss": float(number)})
        writers.close()  # without `finish`: it was cut off
    assert [row["step"] for row in rows(tmp_path)] == [1, 2, 3, 4]
    assert [line.split(",")[0] for line in (tmp_path / "metrics.csv").read_text().splitlines()[1:]] == list("1234")
    assert [call[1] for call in packages["mlflow"].calls if call[0] == "start"] == [None, "7"]
    assert len([call for call in packages["mlflow"].calls if call[0] == "params"]) == 1
    assert ("finish", "FAILED") in packages["mlflow"].calls
    asked = [call[1] for call in packages["wandb"].calls if call[0] == "init"]
    assert [(one["id"], one["resume"]) for one in asked] == [(None, None), ("7", "allow")]
    assert ("finish", 1) in packages["wandb"].calls
    assert [call[1]["resume"] for call in packages["trackio"].calls if call[0] == "init"] == ["never", "allow"]


LINES = (
    b"{",
    b"[]",
    b"3",
    b"\xff\xfe",
    b"\0" * 40,
    b"[" * 10**5,
    b'{"part": "train"}',
    b'{"step": "1", "part": "train"}',
)
LINES += tuple(b'{"step": 1, "part": %b}' % rest for rest in (b"2", b'"train", "loss": "0.5"', b'"train", "loss": [1]'))


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_a_damaged_log_is_cut_and_that_is_said(tmp_path, line):
    whole = b'{"step": 1, "part": "train", "loss": 0.5}\n'
    (tmp_path / "metrics.jsonl").write_bytes(whole + line + b"\n" + whole + b'{"step": 2, "pa')
    said = []
    Writers(()).start(about(tmp_path, step=2, say=said.append))
    assert [row["step"] for row in rows(tmp_path)] == [1, 1]
    assert said == ["metrics.jsonl: 2 of 4 lines are damaged and left out; the first is 2"]


def test_the_last_line_that_a_kill_cut_is_nothing_to_speak_of(tmp_path):
    (tmp_path / "metrics.jsonl").write_bytes(b'{"step": 1, "part": "train", "loss": 0.5}\n{"step": 2, "pa')
    said = []
    Writers(()).start(about(tmp_path, step=2, say=said.append))
    assert len(rows(tmp_path)) == 1 and said == []


def test_a_writer_that_fails_is_told_of_and_ends_no_run(tmp_path, packages):
    def fail(*_, **__):
        raise ConnectionError("no answer")

    packages["wandb"].run.log = fail
    said = []
    writers = Writers(("wandb",))
    writers.start(about(tmp_path, say=said.append))
    for step in (1, 2):
        writers.scalars(step, "train", {"loss": 0.5})
    assert said == [
        "the writer 'wandb' fails and gets no more numbers (ConnectionError: no answer); all are in metrics.jsonl"
    ]
    assert len(rows(tmp_path)) == 2


def test_a_writer_that_cannot_start_ends_the_run_before_a_step(tmp_path, packages):
    packages["wandb"].init = None
    with pytest.raises(ConfigError, match="'wandb' must start, but fails: TypeError: .*config.writers"):
        Writers(("wandb",)).start(about(tmp_path))


def test_a_missing_package_and_a_name_that_is_none_are_said_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)  # as if it were not installed
    with pytest.raises(ConfigError, match=r"config.writers names 'wandb'.*pip install 'tljax\[wandb\]'"):
        Report(tmp_path, small.config(writers=("wandb",)), best="accuracy")
    with pytest.raises(ConfigError, match="'wandbb' must be one of .*Did you mean 'wandb'"):
        Report(tmp_path, small.config(writers=("wandbb",)), best="accuracy")
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_writers_has_its_log(tmp_path):
    result = run(small.config(writers=()), tmp_path)
    assert not list(tmp_path.glob("events*"))
    final = {row["part"]: row for row in rows(tmp_path) if row["part"].startswith("final ")}
    assert {part: values["accuracy"] for part, values in final.items()} == {
        f"final {part}": values["accuracy"] for part, values in result["metrics"].items()
    }
