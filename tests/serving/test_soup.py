"""Soups: the mean of runs, greedy selection on validation, WiSE-FT, and what has no useful mean."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from tests import small
from tljax.__main__ import main
from tljax.core.errors import DataError
from tljax.runs.run import run
from tljax.serving import saved_model, soup, wise_ft
from tljax.serving.predictor import Predictor


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A LeNet; two runs from it that differ in their rates; a linear probe of it."""
    root = tmp_path_factory.mktemp("soup")
    run(small.config(train__epochs=1.0), root / "weights")
    for name, strategy, rate in (("run0", "full", 0.02), ("run1", "full", 0.05), ("probe", "linear_probe", 0.02)):
        config = small.config(model__weights=str(root / "weights" / "model"), data__validation=0.2, optimizer__lr=rate)
        config.strategy.name, config.train.epochs = strategy, 1.0
        run(config, root / name)
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
        soup.make(soup.members([runs / "run0"]), "greedy")
    with pytest.raises(DataError, match="'.*weights' began from none"):
        soup.check([runs / "weights", runs / "run0"])
    shutil.copytree(runs / "run1", tmp_path / "other")
    file = tmp_path / "other" / "inputs.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"validation": "x", "weights": "y"}))
    with pytest.raises(DataError, match=r"other: weights, validation\n.* file of config.model.weights.*config.seed"):
        soup.check([runs / "run0", tmp_path / "other"])
    for changes, cure in (  # only what helps: a seed cures no other weights, and no other data
        (
            {"weights": "y"},
            r"weights\nBegin all runs from the same file of config.model.weights, with pictures of one size\.$",
        ),
        ({"validation": "x"}, r"validation\nGive the runs the same data .* of its own\.$"),
        ({"classes": "z", "weights": "y", "test": "x"}, r"classes, weights, test\nTrain all runs on the same data\.$"),
    ):
        facts = json.loads((runs / "run1" / "inputs.json").read_text())
        file.write_text(json.dumps(facts | changes))
        with pytest.raises(DataError, match=cure):
            soup.check([runs / "run0", tmp_path / "other"])
    shutil.copytree(runs / "run1", tmp_path / "scaled")
    card = tmp_path / "scaled/model/card.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"mean": [0.7]}))
    with pytest.raises(DataError, match="the scaling of pixels of '.*run0'; others: .*scaled"):
        soup.loaded([runs / "run0", tmp_path / "scaled"])


def test_a_folder_of_runs_stands_for_them(runs, tmp_path):
    for name in ("seed0", "seed1"):
        shutil.copytree(runs / "run0", tmp_path / "row" / name)
    assert soup.members([tmp_path]) == (tmp_path / "row" / "seed0", tmp_path / "row" / "seed1")


def test_a_folder_with_something_in_it_is_not_replaced(runs, capsys):
    before = (runs / "run1" / "model" / "model.safetensors").read_bytes()
    assert main(["soup", str(runs / "run0"), str(runs / "run1"), "--out", str(runs / "run1")]) != 0
    assert "--out must be a new folder" in capsys.readouterr().err
    assert (runs / "run1" / "model" / "model.safetensors").read_bytes() == before


@pytest.fixture(scope="module")
def between(runs):
    """WiSE-FT between the probe and run0 as if 0.3 were the best alpha: the two ends are easy to find by chance."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(wise_ft, "chosen", lambda line: 0.3)
        parts = [str(runs / "probe"), str(runs / "run0")]
        assert main(["soup", *parts, "--recipe", "wise_ft", "--out", str(runs / "between")]) == 0
    return runs / "between"


def said(folder: Path):
    return json.loads((folder / "soup.json").read_text())


def test_wise_ft_is_a_point_on_the_line_from_the_probe_to_the_run(runs, between):
    mixed, first, tuned = (arrays(folder) for folder in (between, runs / "probe", runs / "run0"))
    for name, array in mixed.items():
        np.testing.assert_allclose(array, 0.7 * first[name] + 0.3 * tuned[name], rtol=1e-6, atol=1e-7)
    assert [float(alpha) for alpha in said(between)["alphas"]] == list(wise_ft.ALPHAS)
    for name, alpha in (("probe", "0.0"), ("run0", "1.0")):  # the ends are the runs
        value = json.loads((runs / name / "result.json").read_text())["metrics"]["validation"]["accuracy"]
        assert said(between)["alphas"][alpha] == said(between)["alone"][str(runs / name)] == value


def test_wise_ft_says_the_score_of_every_alpha_and_which_is_chosen(runs, tmp_path, capsys):
    parts = [str(runs / "probe"), str(runs / "run0")]
    main(["soup", *parts, "--recipe", "wise_ft", "--out", str(tmp_path)])
    rows, found = [row.split() for row in capsys.readouterr().out.splitlines()], said(tmp_path)
    for alpha, score in found["alphas"].items():
        chosen = ["chosen"] if float(alpha) == found["alpha"] else []
        assert [alpha, f"{score:.4f}", *chosen] in rows
    assert found["validation"] == found["alphas"][str(found["alpha"])] == max(found["alphas"].values())


def test_of_equal_alphas_the_one_nearest_to_the_first_network_is_chosen():
    assert wise_ft.chosen({1.0: 0.5, 0.5: 0.9, 0.3: 0.9, 0.0: 0.1}) == 0.3


def test_a_mixed_network_is_evaluated_predicts_and_is_exported_as_any_run(between, tmp_path, capsys):
    capsys.readouterr()
    assert main(["evaluate", str(between), "--part", "validation", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["value"] == said(between)["alphas"]["0.3"] == said(between)["validation"]
    picture = tmp_path / "0.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8), np.uint8)).save(picture)
    assert main(["predict", str(between), str(picture), "--json"]) == 0
    ((name, chance),) = json.loads(capsys.readouterr().out)["classes"]
    model = saved_model.load(between)
    ((_, answer),) = Predictor(model).answers([picture])
    chances = np.asarray(answer)
    assert (model.classes[int(np.argmax(chances))], pytest.approx(chances.max(), abs=1e-6)) == (name, chance)
    assert main(["export", str(between), "--to", "safetensors-torch", "--out", str(tmp_path / "x.safetensors")]) == 0
    exported = safetensors.numpy.load_file(tmp_path / "x.safetensors")
    assert small.bits(exported) == small.bits(arrays(between))


def test_wise_ft_of_one_run_whose_head_was_random_says_what_to_do(runs, tmp_path, capsys):
    with pytest.raises(DataError, match=r"needs one run whose head .* or two, .*; got 3: "):
        wise_ft.make([runs / name for name in ("run0", "run1", "probe")])
    assert main(["soup", str(runs / "run0"), "--recipe", "wise_ft", "--out", str(tmp_path / "x")]) != 0
    found = capsys.readouterr().err
    assert "run0' began with has a random head" in found
    assert "tljax soup PROBE TUNED --recipe wise_ft" in found
    assert not (tmp_path / "x").exists()


def test_a_soup_goes_into_no_file(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    assert main(["soup", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "file")]) == 2
    assert "Not a directory" in capsys.readouterr().err and (tmp_path / "file").read_text() == "mine"
