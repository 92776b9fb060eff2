"""`tljax lr_find`: what it sweeps, what it leaves, and what it says of a command line that does not fit."""

import json

import numpy as np
import pytest

from tests import small
from tljax.__main__ import main
from tljax.commands import lr_find
from tljax.core.types import Phase
from tljax.runs.run import run
from tljax.training import lr_sweep

WORDS = ["lr_find", "--config", "configs/digits.py", "--config.strategy.name=scratch", "--config.data.validation=0"]


def find(out, *more):
    code = main([*WORDS, "--steps", "40", "--min", "1e-3", "--max", "100", "--out", str(out), *more])
    return code, json.loads((out / "lr_find.json").read_text()) if code == 0 else None


def test_it_takes_a_folder_as_train_does(tmp_path, monkeypatch, capsys):
    for name in ("ant", "bee"):
        (tmp_path / "My pictures" / name).mkdir(parents=True)
        for i in range(3):
            (tmp_path / "My pictures" / name / f"{i}.png").write_bytes(b"")
    seen = []
    monkeypatch.setattr(lr_find, "sweep", lambda config, *_: seen.append(config.data.dir) or {})
    monkeypatch.setattr(lr_find.figures, "sweeps", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    assert main(["lr_find", "My pictures", "--config.strategy.name=scratch"]) == 0
    assert seen == ["My pictures"] and (tmp_path / "runs" / "lr_find-My-pictures" / "lr_find.json").exists()
    assert "data: 6 examples, 2 classes" in capsys.readouterr().out


def test_all_groups_at_the_rates_of_the_plan(tmp_path, capsys):
    code, found = find(tmp_path / "out")
    assert code == 0 and list(found["sweeps"]) == ["all"]
    one = found["sweeps"]["all"]
    np.testing.assert_allclose(one["rates"], np.geomspace(1e-3, 100, 40)[: len(one["rates"])], rtol=1e-12)
    assert one["losses"][0] == pytest.approx(np.log(5), abs=0.2)  # five classes, nothing learned yet
    assert one["ended"] and len(one["losses"]) < 40  # rate 100 is beyond what SGD bears
    assert 1e-3 < one["suggestion"] == one["suggestions"]["minimum / 10"] < 0.1
    assert min(one["smoothed"]) < one["losses"][0] - 0.15
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["lr_find.json", "lr_find.png"]
    printed = capsys.readouterr().out
    assert (
        f"optimizer.lr: suggested {one['suggestion']:.2g} (minimum / 10" in printed
        and "; the sweep ended at" in printed
    )


def test_each_group_alone_from_the_same_start(tmp_path, capsys):
    code, found = find(tmp_path / "out", "--group", "each")
    assert code == 0 and list(found["sweeps"]) == ["features", "head"]
    features, head = found["sweeps"].values()
    assert features["losses"][0] == head["losses"][0] and features["losses"][5] != head["losses"][5]
    assert "the rate of group 'head', alone: suggested" in capsys.readouterr().out


def test_a_plan_of_phases_is_swept_in_its_first(tmp_path, monkeypatch):
    """The head alone, then all: the sweep of the plan is the head's own, bit for bit."""
    phases = (Phase("head", 0.5, {"features": 0.0, "head": 1.0}), Phase("all", 1.0, {"features": 1.0, "head": 1.0}))
    monkeypatch.setattr("tljax.transfer.strategies.scratch.plan", lambda groups, config: phases)
    found = [find(tmp_path / group, "--steps", "12", "--group", group)[1] for group in ("all", "head", "features")]
    plan, head, features = (next(iter(one["sweeps"].values()))["losses"] for one in found)
    assert plan == head != features


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a run."""
    folder = tmp_path_factory.mktemp("finished")
    run(small.config(train__epochs=4.0), folder)
    return folder


def test_a_run_and_the_state_of_the_sweep_stay_as_they_were(tmp_path, finished, monkeypatch):
    """Every file of the folder whose model it starts from, and the bits of the state it starts from."""
    started, sweep = [], lr_sweep.run

    def watched(job, start, *rest):
        before = small.bits(start)
        found = sweep(job, start, *rest)
        started.append(small.bits(start) == before)
        return found

    monkeypatch.setattr(lr_sweep, "run", watched)
    before = contents(finished)
    code, _ = find(tmp_path / "out", "--group", "each", f"--config.model.weights={finished}/model")
    assert code == 0 and contents(finished) == before and started == [True, True]


def contents(folder):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_a_frozen_prefix_runs_once(tmp_path, finished, monkeypatch, capsys):
    """On cached features the sweep is the sweep: losses to 1e-5; from the first stage on nothing is cached."""
    monkeypatch.setenv("TLJAX_CACHE", str(tmp_path / "cache"))
    words, found = [f"--config.model.weights={finished}/model", "--config.strategy.name=full", "--max", "1"], {}
    for cache in ("auto", "off"):
        _, one = find(tmp_path / cache, *words, f"--config.data.cache={cache}", "--group", "each")
        found[cache] = {group: sweep["losses"] for group, sweep in one["sweeps"].items()}
        said = capsys.readouterr().out
        assert ("after fc1 (64,)" in said) == (cache == "auto")
        assert ("not cached: conv1 is not frozen" in said) == (cache == "auto")
    assert found["auto"]["features"] == found["off"]["features"]
    np.testing.assert_allclose(found["auto"]["head"], found["off"]["head"], rtol=1e-5)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (("--group", "body"), "--group must be all, each, or one of features, head; got 'body'"),
        (("--min", "1", "--max", "0.1"), "lr_find needs 0 < --min < --max, and more than 10 --steps; got 1, 0.1 and"),
        (("--steps", "5"), "more than 10 --steps"),
        (("--config.optimizer.name=sgdd",), "config.optimizer.name must be an optimizer of optax"),
        (("--groups", "head"), "unrecognized arguments"),
    ],
)  # fmt: skip
def test_errors(tmp_path, capsys, more, text):
    assert find(tmp_path / "out", *more)[0] == 2
    assert text in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (("last_k", "--config.strategy.last_k=0", "--group", "features"), "got 'features' (features never learns)"),
        (("l2_sp", "--group", "start"), "one of features, head; got 'start' (start never learns)"),
        (("classic",), "a strategy that takes steps; 'classic' has no learning rate"),
    ],
)  # fmt: skip
def test_what_never_learns_has_no_rate(tmp_path, capsys, finished, more, text):
    weights = f"--config.model.weights={finished / 'model'}"
    name, *rest = more
    assert find(tmp_path / "out", f"--config.strategy.name={name}", weights, *rest)[0] == 2
    assert text in capsys.readouterr().err
