"""A run of `auto` is the run of what it chose; it decides once; and what its rules would cost is counted by hand."""

import contextlib
import dataclasses
import json
import re
import types

import numpy as np
import pytest
from ml_collections import ConfigDict

from tests import small
from tests.training.test_train_loop import CutError, cut_at, everything, last_state  # noqa: F401, a fixture among them
from tljax.commands import lr_find
from tljax.core import plugins
from tljax.core.errors import ConfigError, DataError
from tljax.runs import decision, experiment
from tljax.runs.run import run
from tljax.serving import saved_model
from tljax.training import parallel
from tljax.transfer import transferability
from tljax.transfer.method import Method

SIZES = {"conv1": 160, "conv2": 4640, "fc1": 8256, "head": 325}  # LeNet small with 5 classes


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A LeNet of other random numbers."""
    folder, config = tmp_path_factory.mktemp("weights"), small.config(seed=1)
    made = experiment.load(config, axis=None, pretrained_wanted=False)
    saved_model.save(folder / "model", made.variables, made, config)
    return str(folder / "model")


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    """Without figures, which take longer than all else here, and with a cache of its own."""
    monkeypatch.setattr("tljax.reporting.figures.curves", lambda *_: None)
    monkeypatch.setattr("tljax.tasks.classification.files", lambda *_, **__: None)
    monkeypatch.setenv("TLJAX_CACHE", str(tmp_path / "cache"))


def make_config(weights, cell="little_similar", **changes):
    """Thresholds so that the facts of 50 digits fall into `cell`."""
    amount, _, kind = cell.rpartition("_")
    config = small.config(strategy__name="auto", model__weights=weights, **changes)
    config.groups = ConfigDict()
    config.optimizer.update(name="adamw", lr=0.01)
    del config.optimizer.kwargs.momentum
    much, very_much = {"little": (11.0, 12.0), "much": (10.0, 12.0), "very_much": (5.0, 10.0)}[amount]
    config.strategy.auto.update(much=much, very_much=very_much, similar=0.0 if kind == "similar" else 1.0)
    return config


def by_name(config, name):
    config.strategy.name = name
    return config


@pytest.mark.parametrize(
    ("cell", "name", "mode"),
    [("little_similar", "linear_probe", "jit"), ("little_similar", "linear_probe", "pmap"),
     ("little_different", "last_k", "jit"), ("very_much_different", "scratch", "jit")],
)  # fmt: skip
def test_it_is_the_run_of_what_it_chose(weights, tmp_path, cell, name, mode):
    """Bit for bit: model, log and metrics; so what is frozen, learned and resumed is that strategy's."""
    result = run(make_config(weights, cell, parallel=mode), tmp_path / "auto")
    found = json.loads((tmp_path / "auto" / decision.FILE).read_text())
    assert (found["rule"], found["strategy"]) == (cell, name)
    named = run(by_name(make_config(weights, cell, parallel=mode), name), tmp_path / "named")
    assert everything(tmp_path / "auto") == everything(tmp_path / "named")
    assert result["parameters"] == named["parameters"]
    assert (result["strategy"], result["chosen_strategy"]) == ("auto", name)
    assert named["strategy"] == name and "chosen_strategy" not in named
    assert not (tmp_path / "named" / decision.FILE).exists()


def test_a_resumed_run_decides_nothing(weights, tmp_path, monkeypatch, cut_at, capsys):  # noqa: F811
    config = make_config(weights, "little_different", data__pad=1, train__epochs=6.0)
    config.train.checkpoint_epochs = 2.5
    cut_at(0)
    run(config, tmp_path / "whole")
    cut_at(9)
    with pytest.raises(CutError):
        run(config, tmp_path / "cut")
    capsys.readouterr()
    cut_at(0)
    monkeypatch.setattr(decision, "measure", lambda *_: pytest.fail("measured anew"))
    run(config, tmp_path / "cut")
    assert everything(tmp_path / "cut") == everything(tmp_path / "whole")
    assert last_state(tmp_path / "cut") == last_state(tmp_path / "whole")
    said = capsys.readouterr().out
    assert "so the rule is little_different: strategy last_k" in said

    (tmp_path / "cut" / "result.json").unlink()
    (tmp_path / "cut" / decision.FILE).write_text("{")
    with pytest.raises(DataError, match="must hold what this run decided"):
        run(config, tmp_path / "cut")


@pytest.mark.parametrize("mode", parallel.MODES)
def test_facts_and_costs(weights, mode):
    """Facts against the features of a plain network; parameters and bytes by hand, operations by what they mean."""
    config = make_config(weights, parallel=mode)
    devices = parallel.make(mode)
    made = experiment.load(config, axis=devices.axis)
    report = Said()
    facts = decision.measure(made, devices, report, config)
    train = made.parts["train"].take(np.arange(50))
    inputs = made.prepare(train, None, False)["inputs"]
    rows = made.network.apply(made.variables, inputs, method="features")
    assert facts.knn == transferability.knn(np.asarray(rows), train["label"])
    assert (facts.examples, facts.classes, facts.smallest, facts.largest, facts.measured) == (50, 5, 10, 10, 50)
    assert facts.chance == 0.2 and facts.similarity == pytest.approx((facts.knn - 0.2) / 0.8, rel=1e-12)
    assert facts.error == pytest.approx((facts.knn * (1 - facts.knn) / 50) ** 0.5 / 0.8, rel=1e-12)
    assert facts.logme == pytest.approx(transferability.logme(np.asarray(rows), train["label"]), rel=1e-4)

    found = {
        name: decision.cost(Method.of(plugins.find("strategies", name), config.strategy), made, devices, config)
        for name in ("linear_probe", "last_k", "full", "classic")
    }
    learns = {"linear_probe": ("head",), "last_k": ("fc1", "head"), "full": tuple(SIZES)}
    for name, groups in learns.items():
        size = sum(SIZES[group] for group in groups)
        assert found[name]["trainable"] == size
        assert found[name]["optimizer_bytes"] == 8 * size + 4 * len(groups)  # two moments, a count a group
    # 2 operations a multiply-add: conv1 8x8 of 3x3x1x16, conv2 4x4 of 3x3x16x32, fc1 128x64, head 64x5; 20 pictures.
    forward = [2 * 20 * n for n in (64 * 144, 16 * 4608, 8192, 320)]
    assert found["linear_probe"]["operations"] == sum(forward) + forward[3]  # and the gradient of the head's kernel
    assert found["last_k"]["operations"] == sum(forward) + forward[2] + 2 * forward[3]
    assert found["full"]["operations"] > sum(forward) + 2 * sum(forward[1:])
    assert found["classic"]["operations"] is None and found["classic"]["optimizer_bytes"] == 0


class Said:
    """Stands for a report."""

    def __init__(self):
        self.lines, self.tables = [], []

    def say(self, text):
        self.lines.append(text)

    def table(self, title, columns, rows, *, first=()):
        self.tables.append(rows)

    def compiling(self, what):
        return contextlib.nullcontext()

    def progress(self, what, done, total):
        return contextlib.nullcontext(lambda step, text: None)


def test_what_is_told():
    costs = [
        {"rule": "a", "when": "now", "strategy": "full", "trainable": 1000, "optimizer_bytes": 8, "operations": 10**10},
        {"rule": "b", "when": "then", "strategy": "lora", "trainable": 10, "optimizer_bytes": 4, "operations": None},
        {"rule": "c", "when": "never", "strategy": "full", "trainable": 10, "optimizer_bytes": 4, "operations": 10**9},
    ]
    facts = {"examples": 50, "classes": 5, "smallest": 3, "largest": 20, "knn": 0.68, "chance": 0.4}
    facts |= {"logme": 0.1, "shrunk_h": 0.2, "measured": 50}
    found = {"facts": facts, "rule": "a", "strategy": "full", "costs": costs}
    for similar, close in ((0.5, True), (0.9, False)):  # similarity 0.467, standard error 0.11
        report = Said()
        decision.tell(found | {"thresholds": {"much": 100.0, "very_much": 1000.0, "similar": similar}}, report)
        text = "\n".join(report.lines)
        assert "10 examples a class (3 to 20; much from 100, very much from 1000)" in text
        assert f"similarity 0.467 +- 0.110 (similar from {similar:g}): kNN 0.6800, the largest" in text
        assert ("a close call" in text) == close
        assert "`tljax compare --strategies full,lora` finds out" in text
        assert report.tables == [
            [
                ["a <-", "now", "full", "1,000", "8", "10.00", "1.00"],
                ["b", "then", "lora", "10", "4", "-", "-"],
                ["c", "never", "full", "10", "4", "1.00", "0.10"],
            ]
        ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.weights": ""}, "starts from pretrained weights, and config.model.weights is empty"),
        ({"strategy.auto.much_similar": "auto"}, "must name strategies that have a plan; got much_similar=auto"),
        ({"strategy.auto.much_similar": "all"}, "'all'.*linear_probe"),
    ],
)
def test_what_cannot_be_decided(weights, tmp_path, changes, message):
    config = make_config(weights)
    config.update_from_flattened_dict(changes)
    with pytest.raises(ConfigError) as error:
        run(config, tmp_path / "run")
    assert re.search(message, str(error.value), re.DOTALL) and not (tmp_path / "run").exists()


def test_examples_without_a_class_are_no_facts(weights):
    made = experiment.load(make_config(weights), axis=None)
    for nothing in (dataclasses.replace(made, classes=()), dataclasses.replace(made, parts={"train": Numbers()})):
        with pytest.raises(ConfigError, match="every example needs one class, but those of"):
            decision.measure(nothing, parallel.make("jit"), Said(), make_config(weights))


class Numbers:
    """A part whose labels are numbers."""

    subset = types.SimpleNamespace(labels=np.zeros(3, np.float32))


def test_lr_find_sweeps_what_would_be_chosen(weights):
    rates = np.geomspace(1e-4, 1e-1, 11).tolist()
    losses = [
        lr_find.sweep(config, "all", rates)["all"].losses
        for config in (make_config(weights), by_name(make_config(weights), "linear_probe"))
    ]
    assert losses[0] == losses[1]
