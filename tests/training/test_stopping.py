"""A signal in any loop of a run: the state is saved, the exit code says it, and the same command ends bit-equal."""

import json
import os
import signal

import pytest

from tests import small
from tests.training.test_features import load, part
from tests.training.test_train_loop import everything, last_state, make_config, step_of, three_phases
from tljax import cli
from tljax.core import signals
from tljax.reporting.report import Report
from tljax.runs import suite
from tljax.runs.run import run
from tljax.training import evaluate, norm_statistics
from tljax.training.checkpoints.checkpoint import Checkpoints
from tljax.training.features import Cached
from tljax.training.parallel import Program


def stop_at(monkeypatch, owner, name, number, signal_number=signal.SIGTERM):
    """Send a signal before the n-th call of a method."""
    method, left = getattr(owner, name), [number]

    def sending(*args, **kwargs):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal_number)
        return method(*args, **kwargs)

    monkeypatch.setattr(owner, name, sending)


WHERE = {
    "a step": (Report, "advance", 8),
    "the first step": (Report, "advance", 1),
    "an evaluation": (evaluate.Evaluator, "__call__", 2),
    "what evaluation adds up": (evaluate.Evaluator, "_read", 5),
    "a phase compiles": (Program, "compiled", 1),
    "the second phase compiles": (Program, "compiled", 12),
    "a save": (Checkpoints, "save", 3),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tljax.transfer.strategies.scratch.plan", three_phases)
        run(make_config(), folder)
    return folder


@pytest.mark.parametrize("where", WHERE)
def test_a_stopped_run_saves_its_step_and_ends_the_same(tmp_path, monkeypatch, whole, where, capsys):
    monkeypatch.setattr("tljax.transfer.strategies.scratch.plan", three_phases)
    with monkeypatch.context() as patched:
        stop_at(patched, *WHERE[where])
        assert cli.guarded(lambda: run(make_config(), tmp_path)) == 143
    assert "error" not in capsys.readouterr().err
    steps = [int(path.name) for path in (tmp_path / "checkpoints" / "latest").iterdir() if path.name.isdigit()]
    assert max(steps) == step_of(tmp_path), "every step that was logged is saved"
    assert cli.guarded(lambda: run(make_config(), tmp_path)) == 0
    assert everything(tmp_path) == everything(whole)
    assert last_state(tmp_path) == last_state(whole)


def test_a_run_is_stopped_while_batchnorm_is_measured(tmp_path, monkeypatch):
    """For the running mean of the weights, before an evaluation."""
    config = small.resnet_config(monkeypatch, optimizer__ema=0.5, data__validation=0.2)
    with monkeypatch.context() as patched:
        stop_at(patched, norm_statistics, "moving", 1)
        assert cli.guarded(lambda: run(config, tmp_path)) == 143
    assert cli.guarded(lambda: run(config, tmp_path)) == 0
    validated = [row["step"] for row in log(tmp_path) if row["part"] == "validation"]
    assert len(validated) == len(set(validated)) == 2, "the evaluation that was stopped is made up for, once"


def test_features_stop_between_batches(tmp_path, monkeypatch):
    monkeypatch.setenv("TLJAX_CACHE", str(tmp_path / "cache"))
    stop_at(monkeypatch, Cached, "_counted", 1)
    cached = part(load(), where="process")
    with signals.watched(), pytest.raises(signals.Stopped), signals.held():
        cached.fill()


def saved_steps(monkeypatch):
    """The steps at which something is saved, in order."""
    saved, save = [], Checkpoints.save

    def noting(self, kind, state, progress):
        saved.append(int(state.step))
        save(self, kind, state, progress)

    monkeypatch.setattr(Checkpoints, "save", noting)
    return saved


def log(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_signal_to_save_saves_and_the_run_goes_on(tmp_path, monkeypatch, whole):
    monkeypatch.setattr("tljax.transfer.strategies.scratch.plan", three_phases)
    saved = saved_steps(monkeypatch)
    stop_at(monkeypatch, Report, "advance", 7, signal.SIGUSR1)
    assert cli.guarded(lambda: run(make_config(train__checkpoint_epochs=8.0, train__eval_epochs=8.0), tmp_path)) == 0
    assert saved[:3] == [6, 6, 7]  # the end of the first phase, latest and best; then what was asked for


def test_checkpoints_are_written_by_time_too(tmp_path, monkeypatch):
    config = make_config(train__checkpoint_epochs=8.0, train__eval_epochs=8.0, train__checkpoint_minutes=1e-9)
    saved = saved_steps(monkeypatch)
    run(config, tmp_path)
    assert sorted(set(saved)) == list(range(1, 21))


def test_a_suite_ends_with_the_run_that_was_stopped(tmp_path, monkeypatch):
    config = make_config()
    config.suite.rows = {"a": (), "b": ()}
    begun = []

    def one(config, place):
        begun.append(place.parent.name)
        os.kill(os.getpid(), signal.SIGTERM)
        signals.poll()
        return {}

    assert cli.guarded(lambda: suite.run(one, config, tmp_path)) == 143
    assert begun == ["a"]
