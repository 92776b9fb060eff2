"""`tljax layers`: the curves of a suite by number of copied stages; and which stages are copied."""

import json

import numpy as np
import pytest

from configs import transferability_cifar, transferability_digits
from tests import run_folders, small
from tljax.__main__ import main
from tljax.core.errors import ConfigError
from tljax.core.trees import flatten
from tljax.runs import experiment, suite
from tljax.runs.run import run

FOUND = {"base_a": (0.9, 0.9), "base_b": (0.8, 0.9), "anb_1": (0.7, 0.75), "anb_10": (0.5,), "bnb_plus_1": (0.85, 0.8)}


def suite_folder(folder, found=FOUND):
    for row, values in found.items():
        for seed, value in enumerate(values):
            run_folders.write(folder / row / f"seed{seed}", {}, run_folders.result(value, seed=seed))
    return folder


@pytest.mark.renders
def test_the_curves_of_a_suite(tmp_path, capsys):
    assert main(["layers", str(suite_folder(tmp_path / "s")), "--out", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out" / "layers.json").read_text())
    assert found["base"] == [0.8, 0.9] and found["metric"] == "accuracy"
    assert found["series"] == {"bnb_plus": {"1": [0.85, 0.8]}, "anb": {"1": [0.7, 0.75], "10": [0.5]}}
    assert found["original"]["5"]["anb_plus"] == 64.43
    assert (tmp_path / "out" / "layers.png").stat().st_size > 1000
    shown = capsys.readouterr().out
    assert "half of ImageNet): base 62.45\n5 of 7 copied: BnB 59.34, AnB 57.77, AnB+ 64.43\n7 of 7" in shown
    assert "85.00 (7.07)" in shown and "72.50 (3.54)" in shown and "50.00" in shown
    assert shown.index("72.50") < shown.index("50.00")  # 10 comes after 1


@pytest.mark.parametrize("missing", ["base_b", "anb"])
def test_a_folder_that_is_no_such_suite(tmp_path, missing, capsys):
    left = {row: values for row, values in FOUND.items() if not row.startswith((missing, "bnb", "base_a"))}
    assert main(["layers", str(suite_folder(tmp_path / "s", left))]) == 3
    assert "must be the folder of a suite of configs/transferability_digits.py" in capsys.readouterr().err


def test_the_rows_copy_freeze_and_keep_apart_what_the_paper_does(tmp_path):
    config = transferability_digits.get_config()
    plan = {(row, seed): one for row, seed, one, *_ in suite.expand(config, tmp_path, config.suite.rows)}
    assert len(plan) == 17 * 10
    base = str(tmp_path / "base_{}" / "seed4" / "model")
    for row, source, copied, name, k in (
        ("anb_1", "a", 1, "last_k", 2), ("anb_plus_3", "a", 3, "full", None),
        ("bnb_2", "b", 2, "last_k", 1), ("random_2", "b", 0, "last_k", 1),
    ):  # fmt: skip
        one = plan[row, 4]
        assert (one.data.half, one.model.weights) == ("b", base.format(source)), row
        assert (one.model.copied_stages, one.strategy.name, one.model.draw) == (copied, name, 1), row
        assert k is None or one.strategy.last_k == k
    assert [(plan[f"base_{half}", 4].data.half, plan[f"base_{half}", 4].model.draw) for half in "ab"] == [
        ("a", 0),
        ("b", 0),
    ]


def test_a_named_split_has_no_random_halves(tmp_path):
    config = transferability_cifar.get_config("man_made")
    changes = [change for row in config.suite.rows.values() for change in row]
    assert not any(change.startswith("data.half") for change in changes)
    assert sum("'airplane'" in change for change in changes) == 1 + 5 * 5
    with pytest.raises(ValueError, match="random or man_made; got 'x'"):
        transferability_cifar.get_config("x")


@pytest.mark.parametrize("copied", [0, 2, -1])
def test_copied_stages_take_the_weights_and_the_others_are_drawn(tmp_path, copied):
    source = small.config(train__epochs=1.0)
    run(source, tmp_path / "source")
    weights = str(tmp_path / "source" / "model")
    made = experiment.load(small.config(model__weights=weights, model__copied_stages=copied, seed=1), axis=None)
    whole = experiment.load(small.config(model__weights=weights, seed=1), axis=None)
    fresh = experiment.load(small.config(seed=1), axis=None, pretrained_wanted=False)
    ours, theirs, drawn = (flatten(one.variables["params"]) for one in (made, whole, fresh))
    stages = made.stages if copied < 0 else made.stages[:copied]
    for path, leaf in ours.items():
        expected = theirs if path.startswith(tuple(f"backbone/{stage}/" for stage in stages)) else drawn
        np.testing.assert_array_equal(leaf, expected[path], err_msg=path)
    assert set(made.drawn) == {path for path in ours if not path.startswith(tuple(f"backbone/{s}/" for s in stages))}


def test_what_is_drawn_anew_is_not_what_the_copied_network_began_with(tmp_path):
    run(small.config(train__epochs=1.0), tmp_path / "source")
    copied = {"model__weights": str(tmp_path / "source" / "model"), "model__copied_stages": 1}
    first, same, other = (
        flatten(
            experiment.load(small.config(**changes), axis=None, pretrained_wanted=bool(changes)).variables["params"]
        )
        for changes in ({}, copied, copied | {"model__draw": 1})
    )
    for path in first:
        copy = path.startswith("backbone/conv1/")
        assert np.array_equal(same[path], other[path]) == (copy or path.endswith("bias")), path
        assert np.array_equal(same[path], first[path]) != copy or path.endswith("bias"), path


def test_more_stages_than_there_are(tmp_path):
    config = small.config(model__copied_stages=4)
    with pytest.raises(ConfigError, match=r"at most the 3 stages \(conv1, conv2, fc1\); got 4"):
        experiment.load(config, axis=None, pretrained_wanted=False)
