"""Every strategy on digits: what is frozen stays, the rest learns, under jit and pmap alike, and through a cut."""

import shutil
from typing import Any

import numpy as np
import pytest
from ml_collections import ConfigDict

from tests import small
from tests.training.test_train_loop import CutError, cut_at, everything, last_state  # noqa: F401, a fixture among them
from tljax.core import plugins, settings
from tljax.core.trees import flatten
from tljax.data.batches import Evaluation
from tljax.runs import experiment, teachers
from tljax.runs.run import run
from tljax.serving import saved_model
from tljax.training import parallel
from tljax.training.evaluate import Evaluator
from tljax.training.job import Job
from tljax.training.optimizers import group_table
from tljax.training.train_state import TrainState
from tljax.training.train_step import make_eval_step
from tljax.transfer.method import Method
from tljax.weights import placement, pretrained

# strategy -> (its keys, parameters that learn in a run). LeNet small with 5 classes has 160, 4,640 and 8,256
# parameters in its stages, 325 in its head; the tiny ResNet that stands in where there must be norms 5,357.
STRATEGIES = {
    "scratch": ({}, 13381),
    "full": ({}, 13381),
    "linear_probe": ({}, 325),
    "last_k": ({}, 8256 + 325),
    "layer_decay": ({}, 13381),
    "gradual_unfreeze": ({}, 13381),
    "lp_ft": ({}, 13381),
    "groups": ({"scales": {"conv1": 0.0, "conv2": 0.1, "fc1": 0.5, "head": 1.0}}, 4640 + 8256 + 325),
    "bitfit": ({}, 16 + 32 + 64 + 325),
    "norm_only": ({}, 16 + 128 + 85),
    "lora": (
        {"rank": 2, "dropout": 0.2, "b_ratio": 2.0},
        2 * (9 + 16) + 2 * (144 + 32) + 2 * (128 + 64) + 325,
    ),
    "adapter": ({}, 16 + 16 * 32 + 128 * 64 + 325),
    "ssf": ({}, 2 * (16 + 32 + 64) + 325),
    "l2_sp": ({"backbone_scale": 0.1}, 13381),
    "mixout": ({"mixout": 0.3}, 13381),
    "surgical": ({"batches": 2}, 160 + 325),
    "vpt": ({"prompts": 3}, 2 * 3 * 16 + 85),
    "setfit": ({"encoder_scale": 0.5}, 13381),
    "distill": ({"own": 0.5, "features": 1.0}, 13381),
}
NETWORKS = {"lenet": 13381, "resnet": 5357, "vit": 7141}  # parameters in all
BAR, STEPS = 1.0, 60  # nats, below which the loss must fall; as it starts, the network is above
# Others: (least loss at the start, most at the end of the last phases). A random ViT says little; setfit and distill
# have losses of their own, over pairs and against a teacher.
BARS = {"vpt": (1.8, 1.4), "setfit": (0.4, 0.1, 1.2), "distill": (0.75, 0.5)}
FEW = 5  # steps of a phase over which a rounding stays a rounding

# Those that take gradient steps by a plan of their own; what chooses another is in tests/runs/test_decision.py.
FOUND = {name: plugins.find("strategies", name) for name in plugins.available("strategies")}
NAMES = [name for name, one in FOUND.items() if not hasattr(one, "fit") and not hasattr(one, "choose")]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The model/ folders of a LeNet and a tiny ResNet; what they know does not matter here."""
    folder = tmp_path_factory.mktemp("weights")
    with pytest.MonkeyPatch.context() as patched:
        configs = {
            "lenet": small.config(),
            "resnet": small.resnet_config(patched),
            "vit": small.vit_config(patched),
        }
        for name, config in configs.items():
            config.seed = 1
            made = experiment.load(config, axis=None, pretrained_wanted=False)
            saved_model.save(folder / name, made.variables, made, config)
    shutil.copytree(folder / "lenet", folder / "teacher" / "model")
    return folder


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch):
    """They take longer than all else here."""
    monkeypatch.setattr("tljax.reporting.figures.curves", lambda *_: None)
    monkeypatch.setattr("tljax.tasks.classification.files", lambda *_, **__: None)


def family(name):
    return {"norm_only": "resnet", "vpt": "vit"}.get(name, "lenet")  # LeNet has no normalisation, and no tokens


def make_config(name, weights, monkeypatch, **changes) -> Any:
    """Strategy `name` from these weights: AdamW with weight decay, a schedule, one group a stage."""
    keys, _ = STRATEGIES[name]
    changes |= {"strategy__name": name, "model__weights": "" if name == "scratch" else str(weights / family(name))}
    if name == "distill":  # its teachers see each picture once
        changes["data__pad"] = 0
    network = family(name)
    if network == "lenet":
        config = small.config(**changes)
    else:
        config = (small.resnet_config if network == "resnet" else small.vit_config)(monkeypatch, **changes)
    config.strategy.scales = ConfigDict(keys.get("scales", {}))
    config.strategy.update({key: value for key, value in keys.items() if key != "scales"})
    if name == "distill":
        config.strategy.teachers = (str(weights / "teacher"),)
    config.groups = ConfigDict()
    config.optimizer.update(name="adamw", lr=0.03, weight_decay=0.01, schedule="cosine")
    del config.optimizer.kwargs.momentum
    return config


def bits(params) -> dict[str, bytes]:
    return {path: np.asarray(leaf).tobytes() for path, leaf in flatten(params).items()}


def make_job(config, devices) -> tuple[Job, TrainState, dict]:
    """The job, the state it starts from, and its only batch: the first 48 pictures, not augmented."""
    config, _ = settings.resolve(config)
    method = Method.of(plugins.find("strategies", config.strategy.name), config.strategy)
    loaded = experiment.load(config, axis=devices.axis, pretrained_wanted=method.pretrained, method=method)
    prepared = experiment.with_plan(teachers.beside(loaded, method, config), method, config)
    made, job = prepared.experiment, prepared.job(STEPS, config, devices.axis)
    beside = {name: rows[:48] for name, rows in made.beside.items()}
    batch = {**made.parts["train"].take(np.arange(48)), "position": np.arange(48, dtype=np.int32), **beside}
    return job, TrainState.create(made.variables, seed=config.seed), batch


def stepped(job, index, state, batch, devices, number) -> tuple[list[float], TrainState]:
    """The losses of the first `number` steps of phase `index`, and the state after them."""
    on_devices, current = devices.put_batch(batch), devices.put_state(state)
    step = devices.compile(job.step(index), current, on_devices, donate=True)
    losses = []
    for _ in range(number):
        current, metrics = step(current, on_devices)
        losses.append(float(devices.get(metrics)["loss"]))
    return losses, devices.get_state(current)


@pytest.mark.parametrize("name", NAMES)
def test_frozen_stays_the_rest_learns_and_every_phase_begins_alike_under_pmap(name, weights, monkeypatch):
    """Only begins: a steep run multiplies the last digit of a rounding, so that late losses tell processors apart."""
    modes = {mode: parallel.make(mode) for mode in parallel.MODES}
    jobs = {mode: make_job(make_config(name, weights, monkeypatch), devices) for mode, devices in modes.items()}
    job, start, batch = jobs["jit"]
    state, curve = start, []
    for index, (phase, end) in enumerate(zip(job.phases, job.ends, strict=True)):
        learning = {path for group in phase.learning for path in job.groups[group]}
        entered = job.enter(index, state)
        before = bits(entered.params)
        losses, state = stepped(job, index, entered, batch, modes["jit"], end - len(curve))
        few, other = stepped(jobs["pmap"][0], index, entered, batch, modes["pmap"], FEW)
        for after in (bits(state.params), bits(other.params)):
            assert {path for path in before if before[path] != after[path]} == learning
        np.testing.assert_allclose(few, losses[:FEW], rtol=0, atol=1e-5)
        curve += losses
    first, *bars = BARS.get(name, (1.2 * BAR, BAR))
    ends = [curve[end - 1] for end in job.ends][-len(bars) :]
    assert curve[0] > first and all(end < bar for end, bar in zip(ends, bars, strict=True)), curve
    sizes = {group: sum(flatten(start.params)[path].size for path in paths) for group, paths in job.groups.items()}
    rows = group_table.rows(job, start, len(job.phases) - 1)
    rows = [dict(zip(group_table.COLUMNS, row, strict=True)) for row in rows]
    assert {row["group"]: row["optimizer bytes"] for row in rows if row["lr"] != "frozen"} == {
        group: f"{8 * size + 8:,}"  # two moments, two counts
        for group, size in sizes.items()
        if group in job.phases[-1].learning
    }
    assert all(row["optimizer bytes"] == "0" for row in rows if row["lr"] == "frozen")


@pytest.mark.parametrize("name", NAMES)
def test_a_run_cut_off_midway_ends_the_same(name, weights, monkeypatch, tmp_path, cut_at):  # noqa: F811
    config = make_config(name, weights, monkeypatch, data__pad=1, data__validation=0.2, train__epochs=6.0)
    config.train.update(checkpoint_epochs=2.5, eval_epochs=3.0)
    result = run(config, tmp_path / "whole")
    cut_at(8)  # of 12, the last checkpoint being of step 5 or 6
    with pytest.raises(CutError):
        run(config, tmp_path / "cut")
    cut_at(0)
    run(config, tmp_path / "cut")
    assert everything(tmp_path / "cut") == everything(tmp_path / "whole")
    assert last_state(tmp_path / "cut") == last_state(tmp_path / "whole")
    assert result["parameters"] == {"total": NETWORKS[family(name)], "trainable": STRATEGIES[name][1]}


@pytest.mark.parametrize("name", [name for name in NAMES if hasattr(plugins.find("strategies", name), "effective")])
def test_what_is_exported_is_what_was_evaluated(name, weights, monkeypatch, tmp_path):
    """The model/ folder in a plain network, updates and all: its test loss to the last bit."""
    config = make_config(name, weights, monkeypatch, train__epochs=4.0)
    before = flatten(experiment.load(config, axis=None).variables["params"])
    result = run(config, tmp_path)
    config.model.weights = str(tmp_path / "model")
    made = experiment.load(config, axis=None)
    published = pretrained.read(config.model.weights, card=None, lock=tmp_path / "lock.json")
    variables, kept = placement.place(made.variables, published, made.names, head=True)
    after = flatten(variables["params"])
    assert kept == () and after.keys() == before.keys()
    assert all((after[path] != before[path]).any() for path in before if path.endswith("/kernel"))
    task, devices = plugins.find("tasks", "classification"), parallel.make("jit")
    evaluator = Evaluator(make_eval_step(made.network, task, made.prepare), devices)
    totals = evaluator(devices.put_state(variables), Evaluation(made.parts["test"], batch_size=64))
    assert task.summarize(totals) == result["metrics"]["test"]


def test_features_are_cached_up_to_the_first_kernel_with_an_update(weights, monkeypatch, tmp_path, capsys):
    results = {}
    for cache in ("off", "memory"):
        config = make_config("lora", weights, monkeypatch, strategy__kernels="fc1", data__cache=cache)
        results[cache] = run(config, tmp_path / cache)["metrics"]["test"]
    assert "this run only: after conv2 (2, 2, 32)" in capsys.readouterr().out
    assert results["memory"] == pytest.approx(results["off"], rel=1e-5)
