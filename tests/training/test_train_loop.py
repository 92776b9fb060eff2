"""A run cut off anywhere, in any phase, ends bit-equal to one that never was; and the timing rules.

Killed processes are in tests/faults/test_kills.py.
"""

import json
import re
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
import safetensors.numpy

from tests import small
from tljax.core.errors import DataError, TljaxError, WeightsError
from tljax.core.types import Phase
from tljax.data.sources import digits
from tljax.reporting import report
from tljax.runs import experiment
from tljax.runs.run import run
from tljax.training import train_step
from tljax.training.checkpoints import checkpoint, checksums
from tljax.training.checkpoints.checkpoint import opened
from tljax.weights import placement


class CutError(Exception):
    """Stands for a kill, inside the process."""


@pytest.fixture
def cut_at(monkeypatch):
    """Let a run end with `CutError` when it has done so many steps; 0 lets it be."""
    where = {"step": 0}
    advance = report.Report.advance

    def cutting(self, step):
        if step == where["step"]:
            raise CutError
        advance(self, step)

    monkeypatch.setattr(report.Report, "advance", cutting)
    return lambda step: where.update(step=step)


def three_phases(groups, config):
    """Head, then two groups, then the head again: state is carried, begun and dropped."""
    return (
        Phase("head", 0.3, {"features": 0.0, "head": 1.0}),
        Phase("all", 0.7, {"features": 0.1, "head": 0.5}),
        Phase("again", 1.0, {"features": 0.0, "head": 0.1}),
    )


def make_config(**changes):
    """20 steps of 5 an epoch and 10 classes' worth of chance: shuffling, augmentation, momentum, a schedule."""
    one = small.config(train__epochs=8.0, data__pad=1, data__validation=0.2, data__examples_per_class=10)
    one.train.update(batch_size=20, checkpoint_epochs=0.8, eval_epochs=1.2, log_steps=1)
    one.optimizer.update(name="adamw", lr=0.01, schedule="cosine", warmup=0.1)
    del one.optimizer.kwargs.momentum
    for key, value in changes.items():
        section, _, name = key.partition("__")
        one[section][name] = value
    return one


def everything(folder: Path) -> dict:
    """All that must not depend on whether the run was cut: the model's bits, the log, the metrics."""
    arrays = safetensors.numpy.load_file(folder / "model" / "model.safetensors")
    result = json.loads((folder / "result.json").read_text())
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {"arrays": {k: v.tobytes() for k, v in arrays.items()}, "metrics": result["metrics"], "log": rows}


def last_state(folder: Path) -> dict[str, bytes]:
    """The bits of every leaf of the last checkpoint, optimizer state and all."""
    with opened(folder / "checkpoints") as checkpoints:
        manager = checkpoints._managers["latest"]
        leaves = manager.restore(None, args=ocp.args.Composite(state=ocp.args.PyTreeRestore()))["state"]
    assert any(name.startswith("opt_state") for name in leaves)
    return small.bits(leaves)


@pytest.mark.parametrize(("phases", "validation"), [(1, 0.0), (3, 0.2)])
def test_a_run_cut_off_anywhere_ends_the_same(tmp_path, monkeypatch, cut_at, phases, validation):
    monkeypatch.setattr("tljax.transfer.strategies.scratch.plan", three_phases) if phases == 3 else None
    config = make_config(data__validation=validation)
    cut_at(0)
    run(config, tmp_path / "whole")
    steps = step_of(tmp_path / "whole")
    for step in (1, 6, 13, steps):  # before a checkpoint, at the end of a phase, inside another, at the end
        cut_at(step)
        with pytest.raises(CutError):
            run(config, tmp_path / "cut")
    cut_at(0)
    run(config, tmp_path / "cut")
    assert everything(tmp_path / "cut") == everything(tmp_path / "whole")
    assert last_state(tmp_path / "cut") == last_state(tmp_path / "whole")


def step_of(folder: Path) -> int:
    """The last step that the run has logged, 0 before the first."""
    log = folder / "metrics.jsonl"
    whole = log.read_text().splitlines(keepends=True) if log.exists() else []
    return max((json.loads(line)["step"] for line in whole if line.endswith("\n")), default=0)


class CutSaves:
    """Ends the process's run right before the n-th write of a checkpoint of one kind, or right before its checksums."""

    def __init__(self, monkeypatch, kind, number, *, before_checksums):
        self.left = number
        save, sums = checkpoint.Checkpoints.save, checksums.of

        def cutting_save(checkpoints, of_kind, state, progress):
            self.now = of_kind == kind
            self.left -= self.now
            if self.now and not self.left and not before_checksums:
                raise CutError
            save(checkpoints, of_kind, state, progress)

        def cutting_sums(folder):
            if self.now and not self.left and before_checksums:
                raise CutError
            return sums(folder)

        monkeypatch.setattr(checkpoint.Checkpoints, "save", cutting_save)
        monkeypatch.setattr(checksums, "of", cutting_sums)


@pytest.mark.filterwarnings("ignore:The .* checkpoint at step .* is incomplete")
def test_a_run_cut_off_while_it_saves_ends_the_same(tmp_path, monkeypatch):
    """In every window of the first three saves of either kind: before the write, and before its checksums."""
    config = make_config(train__epochs=6.0)
    run(config, tmp_path / "whole")
    for kind in ("latest", "best"):
        for number in (1, 2):
            for before_checksums in (False, True):
                folder = tmp_path / f"{kind}{number}{before_checksums}"
                with monkeypatch.context() as patched:
                    CutSaves(patched, kind, number, before_checksums=before_checksums)
                    with pytest.raises(CutError):
                        run(config, folder)
                run(config, folder)
                assert everything(folder) == everything(tmp_path / "whole"), folder


def test_latest_is_written_before_best(tmp_path, monkeypatch):
    """So that a resumed run knows which best belongs to it, also where bits do not repeat."""
    saved, save = [], checkpoint.Checkpoints.save

    def recording(checkpoints, kind, state, progress):
        saved.append((kind, int(state.step)))
        save(checkpoints, kind, state, progress)

    monkeypatch.setattr(checkpoint.Checkpoints, "save", recording)
    run(make_config(train__epochs=4.0), tmp_path)
    bests = [i for i, (kind, _) in enumerate(saved) if kind == "best"]
    assert bests and all(saved[i - 1] == ("latest", saved[i][1]) for i in bests)


def test_patience_does_not_end_a_phase_before_the_last(tmp_path, monkeypatch):
    monkeypatch.setattr("tljax.transfer.strategies.scratch.plan", three_phases)
    config = make_config(train__epochs=20.0, train__patience=1, optimizer__lr=1e-7, train__eval_epochs=0.5)
    run(config, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert 0.7 * 40 < max(row["step"] for row in rows) < 40  # it ended in the last phase, and did end there


def test_the_best_epoch_on_validation_is_what_is_tested(tmp_path, capsys):
    config = make_config(train__epochs=30.0, train__patience=3, optimizer__lr=0.02)
    config.optimizer.schedule, config.optimizer.warmup = "constant", 0.0
    result = run(config, tmp_path)
    ended = rf"training ends at step {step_of(tmp_path)} of \d+: no better validation result in 3 evaluations"
    assert re.search(ended, capsys.readouterr().out)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    validation = [(row["accuracy"], row["step"]) for row in rows if row["part"] == "validation"]
    best = max(accuracy for accuracy, _ in validation)
    first = next(step for accuracy, step in validation if accuracy == best)
    assert result["step"] == first
    assert result["metrics"]["validation"]["accuracy"] == best
    assert len([step for _, step in validation if step > first]) == 3  # patience
    assert step_of(tmp_path) < 30 * 2
    assert not any(row["part"] == "test" for row in rows)


@pytest.mark.renders
def test_without_validation_the_last_state_is_tested(tmp_path):
    result = run(make_config(data__validation=0.0, train__epochs=2.0), tmp_path)
    assert result["step"] == 5 and set(result["metrics"]) == {"train", "test"}
    pictures = list(tmp_path.rglob("*.png"))
    assert {file.name for file in pictures} >= {"curves.png", "test_confusion.png"}
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in pictures)


def poisoned(monkeypatch, at, *, high=1000):
    """At step `at` the loss of a training batch is NaN, and so are its gradients; from step `high` on it is high."""
    loss = train_step.Objective.loss

    def spoiled(self, params, model_state, batch, moment):
        value, (state, logged) = loss(self, params, model_state, batch, moment)
        value += jnp.where(moment.step + 1 >= high, 1000.0, 0.0)
        value += jnp.where(moment.step + 1 == at, jnp.nan, 0.0) * sum(x.sum() for x in jax.tree.leaves(params))
        return value, (state, logged | {"loss": value})

    monkeypatch.setattr(train_step.Objective, "loss", spoiled)


@pytest.mark.parametrize("at", [1, 7, 13])
def test_no_state_that_is_not_finite_is_ever_saved(tmp_path, monkeypatch, capsys, at):
    """Logged every 50 steps, saved at 4, 8, ...: what is kept is of the last save before, and a lower rate goes on."""
    config = make_config(train__log_steps=50, train__eval_epochs=1.0, data__validation=0.2)
    with monkeypatch.context() as patched:
        poisoned(patched, at)
        for _ in range(2):  # the same command meets it again
            with pytest.raises(TljaxError) as error:
                run(config, tmp_path)
            said = str(error.value)
            assert f"at step {at} it is nan, the norm of the gradients nan" in said
            assert "NaN or infinity is now in: " in said and "head" in said
            assert "Lower config.optimizer.lr" in said and "--workdir" in said
    assert not (tmp_path / "result.json").exists()
    with opened(tmp_path / "checkpoints") as checkpoints:
        for kind in ("latest", "best"):
            for step in checkpoints.steps(kind):
                asked = ocp.args.Composite(state=ocp.args.PyTreeRestore())
                leaves = checkpoints._managers[kind].restore(step, args=asked)["state"]
                assert step < at and all(np.isfinite(x).all() for x in leaves.values())
        kept = checkpoints.steps("latest")
    config.optimizer.lr = 0.001
    capsys.readouterr()
    result = run(config, tmp_path)
    assert [row["step"] for row in result["diverged"]] == [at, at]
    assert (f"resuming at step {kept[-1]} of" if kept else "result: ") in capsys.readouterr().out
    assert json.loads((tmp_path / "config.json").read_text())["optimizer"]["lr"] == 0.001


def test_a_run_whose_loss_ran_away_goes_on_from_before_it_did(tmp_path, monkeypatch, capsys):
    """Finite and hopeless states are saved too; the last one from before stays, and a lower rate begins there."""
    config = small.config(train__epochs=16.0, train__checkpoint_epochs=4.0)
    with monkeypatch.context() as patched:
        poisoned(patched, 33, high=25)  # told at 25, of ten steps: 15 is the last one that counts as sound
        with pytest.raises(TljaxError, match="or from the last one before the loss ran away"):
            run(config, tmp_path)
    assert "the training loss runs away" in capsys.readouterr().out
    with opened(tmp_path / "checkpoints") as checkpoints:
        assert checkpoints.steps("latest") == [10, 20, 30]
    config.optimizer.lr = 0.001
    run(config, tmp_path)
    assert "goes on from the checkpoint of step 10" in capsys.readouterr().out
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if row["part"] == "train"] == list(range(1, 41))
    assert max(small.losses(tmp_path)) < 100


def test_weights_that_are_not_finite_end_the_run_where_the_loss_is_still(tmp_path, monkeypatch):
    """An update that overflows: the loss before it is finite, and so is the norm."""
    apply = optax.apply_updates
    overflow = lambda *trees: jax.tree.map(lambda x: x * jnp.inf, apply(*trees))  # noqa: E731
    monkeypatch.setattr(optax, "apply_updates", overflow)
    config = make_config(train__log_steps=50, train__eval_epochs=0.1, data__validation=0.2)
    with pytest.raises(TljaxError, match=r"must be finite; after step 1 .* in: .*head.*ower config.optimizer.lr"):
        run(config, tmp_path)
    with opened(tmp_path / "checkpoints") as checkpoints:
        assert checkpoints.steps("latest") == []


def slow_down(monkeypatch, seconds):
    """Every step takes so long on the devices, and the host does not wait for it."""
    apply = optax.apply_updates

    def wait(x):
        time.sleep(seconds)
        return x

    def slow(params, updates):
        leaves, structure = jax.tree.flatten(apply(params, updates))
        shape = jax.ShapeDtypeStruct(leaves[0].shape, leaves[0].dtype)
        return jax.tree.unflatten(structure, [jax.pure_callback(wait, shape, leaves[0]), *leaves[1:]])

    monkeypatch.setattr(optax, "apply_updates", slow)


@pytest.mark.parametrize("log_steps", [1, 50])
def test_speed_counts_the_steps_in_flight(tmp_path, monkeypatch, log_steps):
    """However seldom steps are logged, the time until the devices have computed them is time of training."""
    slow_down(monkeypatch, 0.02)
    result = run(make_config(train__log_steps=log_steps, data__validation=0.0), tmp_path)
    assert result["seconds"]["train"] > result["step"] * 0.02
    examples = result["step"] * 20
    assert result["throughput"]["examples_s"] == pytest.approx(examples / result["seconds"]["train"], rel=0.01)


def test_a_finished_run_prints_its_result_and_stops(tmp_path, monkeypatch, capsys):
    config = make_config(train__epochs=1.0)
    result = run(config, tmp_path)
    monkeypatch.setattr("tljax.data.sources.digits.load", None)  # would fail if it were called
    assert run(config, tmp_path) == result
    assert "already finished, result: train accuracy" in capsys.readouterr().out


def test_a_resumed_run_must_learn_from_the_same_examples(tmp_path, monkeypatch, cut_at):
    config = make_config()
    cut_at(13)
    with pytest.raises(CutError):
        run(config, tmp_path)
    cut_at(0)
    changed = digits.Digits(1)
    changed.images = changed.images[:, ::-1].copy()
    monkeypatch.setattr(digits, "Digits", lambda *_: changed)
    with pytest.raises(DataError, match="must be those that it began with(.|\n)*train: (.|\n)*test: "):
        run(config, tmp_path)


def test_a_resumed_run_must_start_from_the_same_weights(tmp_path, cut_at):
    """Features of a frozen prefix are computed anew: of other weights they would not fit the head."""
    place = tmp_path / "model.safetensors"
    made = experiment.load(make_config(), axis=None, pretrained_wanted=False)
    arrays = placement.publish(made.variables, made.names)
    safetensors.numpy.save_file(arrays, place)
    config = make_config(strategy__name="linear_probe", model__weights=str(place))
    cut_at(13)
    with pytest.raises(CutError):
        run(config, tmp_path / "run")
    cut_at(0)
    safetensors.numpy.save_file(arrays | {"conv1.weight": -arrays["conv1.weight"]}, place)
    with pytest.raises(
        WeightsError, match="began with; of (.|\n)*weights: the pretrained weights are others(.|\n)*back"
    ):
        run(config, tmp_path / "run")
    safetensors.numpy.save_file(arrays | {"fc.bias": arrays["fc.bias"] + 1}, place)  # which a new head replaces
    run(config, tmp_path / "run")


def test_the_epoch_is_kept_that_has_the_lowest_loss(tmp_path):
    """At a rate this steep it is not the epoch with the best accuracy."""
    config = make_config(train__epochs=12.0, train__best="loss", optimizer__lr=0.2)
    run(config, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    seen = {row["step"]: row for row in rows if row["part"] == "validation" and "loss" in row}
    kept = json.loads((tmp_path / "result.json").read_text())["step"]
    assert seen[kept]["loss"] == min(row["loss"] for row in seen.values())
