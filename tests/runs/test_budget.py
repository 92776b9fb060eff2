"""A run of so many minutes, and a dry run: what is measured, kept, and left."""

import json
import re
import time

import pytest

from tests import small
from tljax.core.errors import DeviceError
from tljax.core.processes.deadline import Deadline
from tljax.reporting.report import Report
from tljax.runs import budget, dry_run
from tljax.runs.run import run
from tljax.training.devices import memory
from tljax.training.train_loop import Loop


def test_as_many_steps_as_fit_are_taken_and_kept(tmp_path, monkeypatch, capsys):
    """Ten seconds a step: of 100 epochs the ones that fit into a minute, whatever is measured the next time."""
    price = budget.Price(step=10.0, evaluation=0.0, final=0.0, plan=memory.Plan())
    monkeypatch.setattr(budget, "measure", lambda *rest: price)
    monkeypatch.setattr(budget, "RESERVE", 0.0)
    monkeypatch.setattr(Report, "seconds", 20.0)
    config = small.config(train__epochs=100.0, train__minutes=1.0, data__examples_per_class=8)
    result = run(config, tmp_path / "run")
    kept = json.loads((tmp_path / "run" / "budget.json").read_text())
    assert result["step"] == kept["steps"] == 40 / 10
    assert "time: at most 1 min: a step takes 10 s" in capsys.readouterr().out
    (tmp_path / "run" / "result.json").unlink()
    monkeypatch.setattr(budget, "measure", lambda *rest: pytest.fail("a run keeps to what it has decided"))
    assert run(config, tmp_path / "run")["step"] == kept["steps"]
    assert "a step takes 10 s (as it was measured when this run began); 4 of" in capsys.readouterr().out


def test_evaluations_count_and_stay_an_epoch_apart(tmp_path, monkeypatch):
    """A step of 1 s and an evaluation of 4 s after every two: of 20 s six steps and three evaluations are the most."""
    monkeypatch.setattr(budget, "measure", lambda *rest: budget.Price(1.0, 4.0, 0.0, memory.Plan()))
    monkeypatch.setattr(budget, "RESERVE", 0.0)
    monkeypatch.setattr(Report, "seconds", 40.0)
    config = small.config(train__epochs=100.0, train__minutes=1.0, data__examples_per_class=8)
    config.data.fractions = (0.5, 0.1, 0.4)
    result = run(config, tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if row["part"] == "validation"] == [2, 4, 6] and result["step"] <= 6
    assert json.loads((tmp_path / "run" / "report" / "plan.json").read_text())["epochs"] == 3.0


def test_a_real_measurement_fits_a_short_run(tmp_path):
    config = small.config(train__epochs=2.0, train__minutes=60.0)
    run(config, tmp_path / "run")
    kept = json.loads((tmp_path / "run" / "budget.json").read_text())
    assert kept["steps"] == kept["wanted"] and 0 < kept["seconds a step"] < 10


def test_too_few_steps_are_warned_of(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(budget, "measure", lambda *rest: budget.Price(1000.0, 1000.0, 0.0, memory.Plan()))
    assert run(small.config(train__epochs=50.0, train__minutes=0.01), tmp_path / "run")["step"] == 1
    assert "warning: so few steps (1) teach little" in capsys.readouterr().out


def test_training_ends_when_the_time_is_over(tmp_path, monkeypatch, capsys):
    """Where steps take longer than measured; what is reached is evaluated and saved."""
    loop = Loop.__init__
    over = lambda self, *rest, **more: loop(self, *rest, **(more | {"deadline": Deadline(time.monotonic())}))  # noqa: E731
    monkeypatch.setattr(Loop, "__init__", over)
    result = run(small.config(train__epochs=3.0, data__validation=0.2), tmp_path / "run")
    assert re.search(r"ends at step 1 of \d+: the time of config.train.minutes is up", capsys.readouterr().out)
    assert result["step"] == 1 and result["metrics"]["test"]["examples"]


class Device:
    """One that says what memory it has."""

    def __init__(self, limit, in_use=0):
        self._stats = {"bytes_limit": limit, "bytes_in_use": in_use}

    def memory_stats(self):
        return self._stats


def test_what_does_not_fit_a_device_is_refused_before_the_first_step(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("jax.local_devices", lambda: [Device(2**34), Device(2**34, in_use=2**34 - 2**10)])
    with pytest.raises(DeviceError, match=r"does not: it needs \d+ MiB on each device.*0 of 16,384 MiB are free.*fsdp"):
        run(small.config(), tmp_path / "run")
    assert not (tmp_path / "run/metrics.jsonl").exists()
    monkeypatch.setattr("jax.local_devices", lambda: [Device(2**34), Device(2**33)])
    run(small.config(train__epochs=1.0), tmp_path / "other")
    assert re.search(r"memory: a step needs \d+ MiB on each device \(.*\), which has 8,192\n", capsys.readouterr().out)


@pytest.mark.parametrize("strategy", ["scratch", "auto", "linear_probe"])
def test_a_dry_run_checks_all_and_leaves_nothing(tmp_path, monkeypatch, capsys, strategy):
    monkeypatch.setenv("TLJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    changes = {"strategy__name": strategy}
    if strategy != "scratch":
        run(small.config(), tmp_path / "first")
        changes["model__weights"] = str(tmp_path / "first" / "model")
    before = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    found = dry_run.run(small.config(**changes))
    assert found["minutes"] > 0 and found["step MiB"] > 0
    out = capsys.readouterr().out
    assert "a checkpoint is saved and restored; model/ is saved, loaded, and answers" in out and "expected: " in out
    assert re.search(
        r"memory: a step needs [\d,]+ MiB on each device \(arguments \d+, outputs \d+, temporary \d+\)\n", out
    )
    assert ("the price of 'full'" in out) == (strategy == "auto")
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == before
