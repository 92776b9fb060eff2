"""L2-SP: the term of the loss, its gradient, and what it is about."""

import jax
import numpy as np
import pytest

from configs import default
from tljax.core.trees import flatten
from tljax.transfer.strategies import l2_sp

STEM = {"conv": {"kernel": np.array([[1.0, 2.0]], np.float32), "bias": np.array([5.0], np.float32)}}
HEAD = {"kernel": np.array([[3.0], [4.0]], np.float32), "bias": np.array([7.0], np.float32)}
PARAMS = {"backbone": {"stem": STEM}, "head": HEAD}
GROUPS = {"stem": ("backbone/stem/conv/kernel", "backbone/stem/conv/bias"), "head": ("head/kernel", "head/bias")}


def config():
    one = default.get_config().strategy
    one.update({"alpha": 0.5, "beta": 0.25})
    return one


def begun():
    return l2_sp.initialize(PARAMS, GROUPS, config(), stages=("stem",), seed=0)


def test_the_start_is_a_copy_of_the_kernels_in_a_frozen_group():
    params, groups = begun()
    assert list(flatten(params["start"])) == ["stem/conv/kernel"] and groups["start"] == ("start/stem/conv/kernel",)
    copy = params["start"]["stem"]["conv"]["kernel"]
    assert (copy == STEM["conv"]["kernel"]).all() and not np.shares_memory(copy, STEM["conv"]["kernel"])
    assert "start" not in l2_sp.plan(groups, config())[0].learning
    assert l2_sp.effective(params, config()) == PARAMS


def test_the_penalty_and_its_gradient():
    """By hand: 0.5/2 ((3-1)^2 + (1-2)^2) + 0.25/2 (3^2 + 4^2) = 1.25 + 3.125; kernels only."""
    params, _ = begun()
    assert float(l2_sp.penalty(params, config())) == 0.125 * 25  # where it starts, only the head is pulled
    moved = np.array([[3.0, 1.0]], np.float32)
    params = {**params, "backbone": {"stem": {"conv": {"kernel": moved, "bias": np.float32([9.0])}}}}
    assert float(l2_sp.penalty(params, config())) == pytest.approx(4.375, rel=1e-6)
    grads = jax.grad(l2_sp.penalty)(params, config())
    np.testing.assert_allclose(grads["backbone"]["stem"]["conv"]["kernel"], 0.5 * np.array([[2.0, -1.0]]), rtol=1e-6)
    np.testing.assert_allclose(grads["head"]["kernel"], 0.25 * HEAD["kernel"], rtol=1e-6)
    assert not grads["backbone"]["stem"]["conv"]["bias"].any() and not grads["head"]["bias"].any()
