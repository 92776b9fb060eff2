"""Running means: the formula, who has one, what is evaluated, and that they come through phases and resume."""

import dataclasses

import jax
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
import safetensors.numpy
from ml_collections import ConfigDict

from tests import small
from tests.training import test_train_loop
from tests.training.test_train_loop import cut_at  # noqa: F401, a fixture
from tests.training.test_train_step import FROZEN, bits, make_job, train
from tljax.core.errors import ConfigError
from tljax.core.trees import flatten
from tljax.core.types import Phase
from tljax.runs import experiment
from tljax.runs.run import run
from tljax.serving import saved_model
from tljax.training import averaging, norm_statistics
from tljax.training.checkpoints.checkpoint import opened

THREE = (
    Phase("head", 0.3, {"features": 0.0, "head": 1.0}),
    Phase("all", 0.7, {"features": 0.1, "head": 0.5}),
    Phase("again", 1.0, {"features": 0.0, "head": 0.1}),
)


def test_the_mean_by_hand():
    """x falls by 1 a step from 10; d = 1/10, 2/11, then 0.25 = 3/12, and never above the decay, 0.3."""
    tx = averaging.after(optax.sgd(1.0), 0.3)
    x = np.float32(10)
    state, expected = tx.init({"x": x}), x
    for d in (0.1, 2 / 11, 0.25, 0.3, 0.3):
        updates, state = tx.update({"x": np.float32(1)}, state, {"x": x})
        assert float(updates["x"]) == -1.0
        x = x - np.float32(1)
        expected = d * expected + (1 - d) * x
        found = averaging.averaged({"x": x, "y": x}, state)
        assert float(found["x"]) == pytest.approx(float(expected), rel=1e-6) and found["y"] is x


@pytest.mark.parametrize(
    ("ends", "taken"),
    [
        (averaging.Ends(0, (6, 9, 10)), (6, 9, 10)),
        (averaging.Ends(4, (3, 6, 9)), (6, 9)),  # a group that began to learn after step 4
        (averaging.Ends(6, (3, 6, 9)), (9,)),
        (averaging.Ends(0, (8,)), (8,)),
    ],
)
def test_the_equal_mean_by_hand(ends, taken):
    """x is 100 before the group's first update and falls by its square root: the mean of those at `taken`, exactly."""
    tx = averaging.at_ends(optax.sgd(1.0), ends)
    x, kept = np.float32(100), []
    state = tx.init({"x": x})
    for step in range(ends.begin + 1, max(ends.steps) + 1):
        grad = np.sqrt(x)
        _, state = tx.update({"x": grad}, state, {"x": x})
        x = x - grad
        kept += [x] if step in taken else []
        found = float(averaging.averaged({"x": x}, state)["x"])
        assert found == (pytest.approx(np.mean(kept), rel=1e-6) if len(kept) > 1 else float(kept[0] if kept else x))
    assert len(kept) == len(taken)


@pytest.mark.parametrize(
    ("epochs", "steps", "last", "taken"),
    [
        (10.0, 100, 3, (80, 90, 100)),
        (10.0, 100, 9, tuple(range(20, 101, 10))),
        (4.0, 24, 1, (24,)),
        (10.0, 65, 2, (58, 65)),  # of 6.5 steps each
        (2.5, 10, 1, (8, 10)),  # half an epoch is one more
        (3.0, 2, 2, (1, 2)),  # shorter than a step
    ],
)
def test_the_last_epochs_are_so_many(epochs, steps, last, taken):
    job, _ = make_job(FROZEN, swa=1 - last / epochs)
    job.config.train.epochs, job = epochs, dataclasses.replace(job, steps=steps)
    assert job.averaged_steps == taken


def test_the_mean_is_of_networks_of_the_last_phase():
    """Of which the same groups learn. 10 epochs of 10 steps: the last seven are asked for, the last phase has five."""
    job, _ = make_job(FROZEN, swa=0.3)
    job.config.train.epochs = 10.0
    phases = tuple(Phase(name, until, job.phases[0].scales) for name, until in (("one", 0.5), ("two", 1.0)))
    assert dataclasses.replace(job, steps=100).averaged_steps == (40, 50, 60, 70, 80, 90, 100)
    assert dataclasses.replace(job, steps=100, phases=phases).averaged_steps == (60, 70, 80, 90, 100)


@pytest.mark.parametrize(
    ("epochs", "every", "steps", "due"),
    [(4.0, 1.0, 10, [2, 5, 8, 10]), (4.0, 2.0, 10, [5, 10]), (5.0, 0.1, 5, [1, 2, 3, 4, 5]), (2.0, 3.0, 8, [])],
)
def test_what_is_due_every_so_many_epochs(epochs, every, steps, due):
    job, _ = make_job(FROZEN)
    job.config.train.epochs, job = epochs, dataclasses.replace(job, steps=steps)
    assert [step for step in range(1, steps + 1) if job.due(step, every)] == due


@pytest.mark.parametrize("mean", [{"ema": 0.9}, {"swa": 0.3}], ids=str)
def test_frozen_leaves_have_no_mean_and_what_learns_goes_its_way(mean):
    """The parameters of a run with a mean are bit for bit those of one without."""
    job, start = make_job(FROZEN, **mean, kwargs={"momentum": 0.9})
    job.config.train.epochs = 5.0  # of one step
    plain, plain_start = make_job(FROZEN, kwargs={"momentum": 0.9})
    state, _ = train(job, start)
    assert bits(state.params) == bits(train(plain, plain_start)[0].params)
    learning = sum(x.size for path, x in flatten(start.params).items() if path.startswith(("backbone/stage2", "head")))
    means = [node for node in jax.tree.leaves(state.opt_state, is_leaf=_is_mean) if _is_mean(node)]
    assert sum(leaf.size for node in means for leaf in jax.tree.leaves(node.mean)) == learning
    before, seen, last = (flatten(tree) for tree in (start.params, job.variables(state)["params"], state.params))
    for path, leaf in seen.items():
        if path.startswith(("backbone/stem", "backbone/stage1")):
            assert np.array_equal(leaf, before[path])
        elif path.endswith("kernel"):  # between where it was and where it is
            assert 0 < np.linalg.norm(leaf - last[path]) < np.linalg.norm(before[path] - last[path])


def test_a_group_that_stops_stays_as_its_mean():
    job, start = make_job({"stem": 1.0, "stage1": 0.0, "stage2": 0.0, "head": 1.0}, ema=0.9)
    both = (job.phases[0], Phase("then", 1.0, {"stem": 0.0, "stage1": 0.0, "stage2": 0.0, "head": 1.0}))
    both = (Phase("first", 0.5, both[0].scales), both[1])
    job = job.__class__(**{**vars(job), "phases": both})
    state, _ = train(job, start, steps=2)
    after = job.enter(1, jax.device_get(state))
    seen = job.variables(state)["params"]
    assert bits(after.params["backbone"]["stem"]) == bits(seen["backbone"]["stem"])
    assert bits(after.params["head"]) == bits(state.params["head"]) != bits(seen["head"])  # goes on with both
    assert bits(job.variables(after)["params"]) == bits(seen)


@pytest.mark.parametrize("mean", [{"ema": 0.8}, {"swa": 0.3}], ids=str)
def test_a_run_cut_off_ends_the_same_and_leaves_its_mean(tmp_path, monkeypatch, cut_at, mean):  # noqa: F811
    monkeypatch.setattr("tljax.transfer.strategies.scratch.plan", lambda groups, config: THREE)
    config = test_train_loop.make_config()
    config.optimizer.update(mean)
    cut_at(0)
    run(config, tmp_path / "whole")
    cut_at(13)  # in the second phase, between two checkpoints
    with pytest.raises(test_train_loop.CutError):
        run(config, tmp_path / "cut")
    cut_at(0)
    run(config, tmp_path / "cut")
    assert test_train_loop.everything(tmp_path / "cut") == test_train_loop.everything(tmp_path / "whole")
    assert test_train_loop.last_state(tmp_path / "cut") == test_train_loop.last_state(tmp_path / "whole")


@pytest.mark.parametrize("mode", ["jit", "pmap"])
def test_evaluation_and_the_model_take_the_mean(tmp_path, mode):
    """A mean that hardly moves stays at the start; without one the same run ends elsewhere."""
    accuracies, heads = {}, {}
    for ema in (0.0, 0.999):
        config = small.config(optimizer__ema=ema, optimizer__lr=0.1, train__epochs=2.0, parallel=mode)
        accuracies[ema] = run(config, tmp_path / f"{ema}")["metrics"]["train"]["loss"]
        heads[ema] = safetensors.numpy.load_file(tmp_path / f"{ema}" / "model" / "model.safetensors")
    assert accuracies[0.0] != accuracies[0.999]
    assert any((heads[0.0][name] != heads[0.999][name]).any() for name in heads[0.0])
    losses = [small.losses(tmp_path / f"{ema}").tolist() for ema in (0.0, 0.999)]
    assert len(losses[0]) and losses[0] == losses[1]  # training itself goes the same way


@pytest.mark.parametrize("mode", ["jit", "pmap"])
def test_the_model_is_the_mean_of_its_checkpoints(tmp_path, monkeypatch, mode):
    """The last three of five epochs, to 1e-6, and BatchNorm statistics that are not those of training."""
    config = small.resnet_config(monkeypatch, optimizer__swa=0.5, train__epochs=5.0, parallel=mode, data__pad=1)
    config.train.update(batch_size=12, keep_checkpoints=9)  # 50 pictures: 4.2 steps an epoch
    assert run(config, tmp_path / "swa")["step"] == 21
    kept = {}
    with opened(tmp_path / "swa" / "checkpoints", keep=9) as checkpoints:
        manager = checkpoints._managers["latest"]
        for step in manager.all_steps():
            args = ocp.args.Composite(state=ocp.args.PyTreeRestore())
            kept[step] = manager.restore(step, args=args)["state"]
    assert sorted(kept) == [4, 8, 13, 17, 21]
    model = safetensors.numpy.load_file(tmp_path / "swa" / "model" / "model.safetensors")
    mean = np.mean([kept[step]["params.head.bias"] for step in (13, 17, 21)], axis=0)
    np.testing.assert_allclose(model["fc.bias"], mean, rtol=1e-5, atol=1e-7)
    stored = kept[21]["model_state.batch_stats.backbone.stem.bn.mean"]
    assert not np.allclose(model["bn1.running_mean"], stored, rtol=1e-3)


@pytest.mark.parametrize("mean", [{"ema": 0.9}, {"swa": 0.5}], ids=str)
def test_statistics_are_those_of_the_mean(tmp_path, monkeypatch, mean):
    """One batch holds all: those of the first BatchNorm are of what the exported kernel makes of all pictures."""
    config = small.resnet_config(monkeypatch, train__epochs=6.0, train__batch_size=100)
    config.optimizer.update(mean)
    run(config, tmp_path)
    model = safetensors.numpy.load_file(tmp_path / "model" / "model.safetensors")
    made = experiment.load(config, axis=None, pretrained_wanted=False)
    assert len(made.parts["train"]) == 50  # twice in a batch
    batch = made.parts["train"].take(np.arange(50)) | {"position": np.arange(50)}
    pictures = made.prepare(batch, jax.random.key(0), False)["inputs"]
    kernel = model["conv1.weight"].transpose(2, 3, 1, 0)
    form = ("NHWC", "HWIO", "NHWC")
    maps = np.array(jax.lax.conv_general_dilated(pictures, kernel, (2, 2), [(3, 3)] * 2, dimension_numbers=form))
    np.testing.assert_allclose(model["bn1.running_mean"], maps.mean((0, 1, 2)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model["bn1.running_var"], maps.var((0, 1, 2)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("mean", [{"ema": 0.9}, {"swa": 0.5}], ids=str)
def test_nothing_is_measured_where_no_statistics_move(tmp_path, monkeypatch, mean):
    monkeypatch.setattr(norm_statistics, "measured", lambda *_: pytest.fail("a pass over the training part"))
    config = small.resnet_config(monkeypatch, strategy__name="linear_probe")
    config.optimizer.update(mean)
    made = experiment.load(config, axis=None, pretrained_wanted=False)
    saved_model.save(tmp_path / "model", made.variables, made, config)
    config.model.weights = str(tmp_path / "model")
    config.groups = ConfigDict()
    assert run(config, tmp_path / "run")["step"]


def test_two_means_are_one_too_many(tmp_path):
    config = small.config(optimizer__ema=0.9, optimizer__swa=0.5)
    with pytest.raises(ConfigError, match="are two means of the same weights: set one to 0"):
        run(config, tmp_path)


def _is_mean(node):
    return isinstance(node, averaging.Average)
