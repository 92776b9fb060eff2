"""A run on cached features is the run without them: the same numbers, in every phase, jit or pmap, cut off or not."""

import json

import numpy as np
import pytest
import safetensors.numpy
from ml_collections import ConfigDict

from tests import small
from tests.training.test_train_loop import CutError, cut_at  # noqa: F401  (a fixture)
from tljax.core.plugins import find
from tljax.core.types import Phase
from tljax.data import preprocess
from tljax.reporting.report import Report
from tljax.runs import experiment
from tljax.runs.run import run
from tljax.training import parallel, views

STAGES = ("stem", "stage1", "stage2")
GROUPS = {
    "stem": ("backbone/stem/conv/kernel",),
    "body": ("backbone/stage1/conv/kernel", "backbone/stage2/conv/kernel"),
    "lora": ("lora/stage2/conv/kernel/a",),
    "head": ("head/kernel", "head/bias"),
}

# what learns in each phase, and statistics that move -> the stages that stay as they were through all of them
FROZEN = [
    ((("head",),), (), STAGES),
    ((("body", "head"),), (), STAGES[:1]),
    ((("lora", "head"),), (), STAGES[:2]),
    ((("stem", "head"),), (), ()),
    ((("head",),), ("body",), STAGES[:1]),
    ((("head",), ("body", "head"), ("head",)), (), STAGES[:1]),
    ((("head",), ("stem", "body", "head"), ("head",)), (), ()),
]


@pytest.mark.parametrize(("learning", "moving", "expected"), FROZEN)
def test_frozen_stages(learning, moving, expected):
    phases = [Phase("x", 1.0, {group: float(group in learns) for group in GROUPS}) for learns in learning]
    assert views.frozen_stages(GROUPS, STAGES, phases, moving) == expected


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TLJAX_CACHE", str(tmp_path / "cache"))


def test_what_has_learned_is_not_taken_as_frozen_later(cache, monkeypatch, tmp_path):
    """Head, then all, then the head again: the backbone is no more what it was when features were computed."""
    config = small.resnet_config(monkeypatch, train__epochs=30.0)
    made, task = experiment.load(config, axis=None, pretrained_wanted=False), find("tasks", "classification")
    head, everything = ({group: float(group in learns) for group in made.groups} for learns in (("head",), made.groups))
    phases = (Phase("head", 0.3, head), Phase("all", 0.6, everything), Phase("again", 1.0, head))
    seen = views.make(made, phases, task, parallel.make("jit"), Report(tmp_path, config, best=task.BEST_METRIC), config)
    assert [view.network.start for view in seen] == ["head", None, None]
    assert seen[1].evaluator is seen[2].evaluator, "phases that see the same compile once"


def test_a_stage_without_parameters_is_as_frozen_as_what_comes_before_it():
    """The mean over tokens stands behind a text encoder's last block."""
    for learning, expected in (("head", ("stem", "stage1", "pool")), ("stage1", ("stem",))):
        phase = Phase("p", 1.0, {"stem": 0.0, "stage1": float(learning == "stage1"), "head": 1.0})
        groups = {"stem": ("backbone/stem/k",), "stage1": ("backbone/stage1/k",), "head": ("head/k",)}
        assert views.frozen_stages(groups, ("stem", "stage1", "pool"), [phase]) == expected


WHY = [
    ({}, 9.0, STAGES, "memory", "cached in memory and in .*after stage2 (16,), 0.0 MiB"),
    ({"cache": "off"}, 9.0, STAGES, "", "config.data.cache asks"),
    ({}, 9.0, (), "", "stem is not frozen"),
    ({}, 1.5, STAGES, "", "1.5 passes over the examples are too few"),
    ({"cache": "disk"}, 1.5, STAGES, "disk", "mapped from there"),
    ({"cache": "memory"}, 1.5, STAGES[:1], "process", "for this run only: after stem (4, 4, 8)"),
    ({"flip": True}, 9.0, STAGES, "", "augmented; config.data.cached_views=10 .* config.data.augment=false"),
    ({"flip": True, "augment": False}, 9.0, STAGES, "memory", "cached"),
    ({"flip": True, "cached_views": 4}, 9.0, STAGES, "memory", "4 views of each example"),
    ({"cache_memory": 0.0}, 9.0, STAGES, "disk", "mapped from there"),
]


def decide(made, stages, config, passes):
    augmented = preprocess.draws(config.data, 8)
    return views.decide(made, stages, config.data, parallel.make("jit"), passes=passes, augmented=augmented)


@pytest.mark.parametrize(("changes", "passes", "stages", "where", "why"), WHY)
def test_what_is_cached_and_why(cache, monkeypatch, changes, passes, stages, where, why):
    config = small.resnet_config(monkeypatch)
    made = experiment.load(config, axis=None, pretrained_wanted=False)
    config.data.update(changes)
    found, said = decide(made, stages, config, passes)
    assert found == where
    assert all(part in said for part in why.split(".*"))


def test_more_than_half_of_the_free_disk_is_too_much(cache, monkeypatch):
    config = small.resnet_config(monkeypatch, data__cache_memory=0.0)
    made = experiment.load(config, axis=None, pretrained_wanted=False)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 2**17}))
    found, why = decide(made, STAGES[:1], config, 9.0)
    assert not found and "than half of the free disk" in why


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A tiny ResNet that has been trained, so that its features and statistics mean something."""
    folder = tmp_path_factory.mktemp("source")
    with pytest.MonkeyPatch.context() as patch:
        run(small.resnet_config(patch, train__epochs=6.0, data__examples_per_class=10), folder)
    return folder / "model"


def make(monkeypatch, source, strategy, cache, **changes):
    one = small.resnet_config(monkeypatch, strategy__name=strategy, model__weights=str(source), data__cache=cache)
    one.train.update(epochs=12.0, batch_size=20, eval_batch_size=64, checkpoint_epochs=2.0, log_steps=1)
    one.update(data={"validation": 0.2}, groups={"head": "head"})
    one.data.update({key.removeprefix("data__"): value for key, value in changes.items() if key != "parallel"})
    one.parallel = changes.get("parallel", "jit")
    return one


def found(folder):
    arrays = safetensors.numpy.load_file(folder / "model" / "model.safetensors")
    result = json.loads((folder / "result.json").read_text())
    return arrays, result["metrics"], small.losses(folder)


@pytest.mark.parametrize(
    ("strategy", "mode", "notes"),
    [
        ("linear_probe", "pmap", ["cached in memory"]),
        ("gradual_unfreeze", "jit", ["after stage2", "after stem", "not cached: stem"]),
    ],
)
def test_a_run_on_cached_features_is_the_run(tmp_path, monkeypatch, cache, capsys, source, strategy, mode, notes):
    for kind in ("off", "auto"):
        run(make(monkeypatch, source, strategy, kind, parallel=mode), tmp_path / kind)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("features, phase")][-len(notes) :]
    assert all(note in line for note, line in zip(notes, said, strict=True))
    (plain, metrics, losses), (cached, same, again) = found(tmp_path / "off"), found(tmp_path / "auto")
    for name in plain:
        np.testing.assert_allclose(cached[name], plain[name], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(again, losses, rtol=1e-5)
    assert losses[-5:].mean() < losses[:5].mean() - 0.05
    for part in metrics:
        assert same[part]["accuracy"] == metrics[part]["accuracy"], part
        assert same[part]["loss"] == pytest.approx(metrics[part]["loss"], rel=1e-5)


def test_a_run_cut_off_ends_the_same(tmp_path, monkeypatch, cache, source, cut_at):  # noqa: F811
    """In the phase that is cached, whose rows are computed again, and in the one that is not."""
    config = make(monkeypatch, source, "lp_ft", "memory", data__flip=True, data__cached_views=2)
    cut_at(0)
    run(config, tmp_path / "whole")
    for step in (3, 19):
        cut_at(step)
        with pytest.raises(CutError):
            run(config, tmp_path / "cut")
    cut_at(0)
    run(config, tmp_path / "cut")
    (whole, metrics, losses), (cut, same, again) = found(tmp_path / "whole"), found(tmp_path / "cut")
    assert small.bits(cut) == small.bits(whole) and same == metrics and again.tobytes() == losses.tobytes()


def test_views_are_cycled_by_epoch(tmp_path, monkeypatch, cache, source, capsys):
    """Cached views are draws of the same augmentation: the run learns, and says what it did."""
    config = make(monkeypatch, source, "linear_probe", "auto", data__flip=True, data__cached_views=3)
    config.groups = ConfigDict({"all": "stem..stage2", "head": "head"})
    run(config, tmp_path / "run")
    said = capsys.readouterr().out
    assert "features of train, augmented: 150 rows (16,)" in said and "3 views of each example" in said
    losses = small.losses(tmp_path / "run")
    assert losses[-6:].mean() < losses[:6].mean() - 0.05
