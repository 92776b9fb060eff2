"""Soups: the mean of runs, greedy selection on validation, and what has no useful mean."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from tests import small
from tljax.__main__ import main
from tljax.core.errors import DataError
from tljax.runs.run import run
from tljax.serving import soup

RATES = (0.02, 0.05)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A LeNet, and two runs from it that differ in their rates."""
    root = tmp_path_factory.mktemp("soup")
    run(small.config(train__epochs=1.0), root / "weights")
    for number, rate in enumerate(RATES):
        config = small.config(model__weights=str(root / "weights" / "model"), data__validation=0.2, optimizer__lr=rate)
        config.strategy.name, config.train.epochs = "full", 1.0
        run(config, root / f"run{number}")
    return root


def arrays(folder: Path):
    return safetensors.numpy.load_file(folder / "model" / "model.safetensors")


def test_a_uniform_soup_is_the_mean_and_a_run_that_is_evaluated(runs, capsys):
    parts = [runs / "run0", runs / "run1"]
    assert main(["soup", *map(str, parts), "--recipe", "uniform", "--out", str(runs / "mean")]) == 0
    mixed, one, two = (arrays(folder) for folder in (runs / "mean", *parts))
    for name, array in mixed.items():
        np.testing.assert_allclose(array, (one[name] + two[name]) / 2, rtol=1e-6, atol=1e-7)
        assert (one[name] != two[name]).any()
    left = {file.name for file in (parts[0] / "model").iterdir()} - {f.name for f in (runs / "mean/model").iterdir()}
    assert left == {"README.md"}  # it holds what was measured of the first run
    capsys.readouterr()
    assert main(["evaluate", str(runs / "mean"), "--part", "validation", "--json"]) == 0
    said = json.loads((runs / "mean" / "soup.json").read_text())
    assert json.loads(capsys.readouterr().out)["value"] == said["validation"]
    results = [json.loads((folder / "result.json").read_text()) for folder in parts]
    assert list(said["alone"].values()) == [one["metrics"]["validation"]["accuracy"] for one in results]


def test_the_greedy_soup_keeps_what_does_not_lower_the_validation_metric():
    scores = {Path("a"): 0.5, Path("b"): 0.9, Path("c"): 0.7, Path("d"): 0.6}
    means = {"bc": 0.8, "bd": 0.9, "bda": 0.91}
    asked = []

    def score(taken):
        asked.append("".join(map(str, taken)))
        return means[asked[-1]]

    assert soup.greedy(scores, score) == (Path("b"), Path("d"), Path("a"))
    assert asked == ["bc", "bd", "bda"]  # from the best to the worst


def test_the_mean_of_one_is_itself_to_the_last_bit():
    leaf = np.random.default_rng(0).normal(size=50).astype(np.float32)
    assert soup.mean([{"params": {"x": leaf}}])["params"]["x"].tobytes() == leaf.tobytes()


def test_what_has_no_useful_mean_is_refused(runs, tmp_path):
    with pytest.raises(DataError, match="needs two finished runs or more"):
        soup.members([runs / "run0"])
    with pytest.raises(DataError, match="'.*weights' began from none"):
        soup.check([runs / "weights", runs / "run0"])
    shutil.copytree(runs / "run1", tmp_path / "other")
    file = tmp_path / "other" / "inputs.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"validation": "x", "weights": "y"}))
    with pytest.raises(DataError, match=r"other: weights, validation\nA validation part that is drawn"):
        soup.check([runs / "run0", tmp_path / "other"])


def test_a_folder_of_runs_stands_for_them(runs, tmp_path):
    for name in ("seed0", "seed1"):
        shutil.copytree(runs / "run0", tmp_path / "row" / name)
    assert soup.members([tmp_path]) == (tmp_path / "row" / "seed0", tmp_path / "row" / "seed1")


def test_a_folder_with_something_in_it_is_not_replaced(runs, capsys):
    before = (runs / "run1" / "model" / "model.safetensors").read_bytes()
    assert main(["soup", str(runs / "run0"), str(runs / "run1"), "--out", str(runs / "run1")]) != 0
    assert "--out must be a new folder" in capsys.readouterr().err
    assert (runs / "run1" / "model" / "model.safetensors").read_bytes() == before
