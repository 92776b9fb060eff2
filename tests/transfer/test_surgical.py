"""Surgical fine-tuning: the groups with the largest gradient for their weights learn, and what was seen is kept."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from tests import small
from tljax.core.types import Phase
from tljax.runs.run import run
from tljax.transfer.strategies import surgical

GROUPS = {"low": ("backbone/a/kernel",), "high": ("backbone/b/kernel", "backbone/b/bias"), "head": ("head/kernel",)}


def tree(low, kernel, bias, head):
    return {"backbone": {"a": {"kernel": low}, "b": {"kernel": kernel, "bias": bias}}, "head": {"kernel": head}}


def view(gradients, params):
    return SimpleNamespace(params=tree(*params), groups=GROUPS, gradients=lambda batches: tree(*gradients))


def test_relative_gradient_norms_by_hand():
    """|g| / |w| of a group, over all of its leaves: 3-4-5 triangles."""
    gradients = [np.array([3.0, 4.0]), np.array([3.0]), np.array([4.0]), np.array([1.0])]
    params = [np.array([10.0, 0.0]), np.array([0.0]), np.array([1.0]), np.array([2.0])]
    found = surgical.look(view(gradients, params), SimpleNamespace(batches=1))
    assert found == {"low": 0.5, "high": 5.0, "head": 0.5}


@pytest.mark.parametrize(("tuned", "learning"), [(1, ("high", "head")), (2, ("low", "high", "head"))])
def test_the_groups_with_the_largest_learn_and_the_head(tuned, learning):
    facts = {"low": 0.1, "high": 0.5, "head": 9.0}
    (phase,) = surgical.plan(GROUPS, SimpleNamespace(tuned=tuned), facts)
    assert phase == Phase("surgical", 1.0, {"low": float("low" in learning), "high": 1.0, "head": 1.0})


def test_what_was_seen_is_kept_and_taken_again(tmp_path, monkeypatch):
    """The file of a run that was cut off decides, and not a second look."""
    run(small.config(train__epochs=1.0), tmp_path / "before")
    weights = str(tmp_path / "before" / "model")
    config = small.config(strategy__name="surgical", model__weights=weights, train__epochs=1.0)
    with monkeypatch.context() as patched:
        small.run_cut_off(patched, config, tmp_path / "cut", at=1)
    kept = json.loads((tmp_path / "cut" / "looked.json").read_text())
    assert set(kept) == {"features", "head"} and all(value > 0 for value in kept.values())
    monkeypatch.setattr(surgical, "look", lambda view, config: pytest.fail("it looked again"))
    assert run(config, tmp_path / "cut")["strategy"] == "surgical"
    assert json.loads((tmp_path / "cut" / "looked.json").read_text()) == kept
