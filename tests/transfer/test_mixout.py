"""Mixout: the paper's formula, whole inputs at a time, the right mean, and nothing in evaluation."""

import jax
import numpy as np
import pytest

from configs import default
from tljax.core.trees import flatten
from tljax.transfer.strategies import mixout

RNG = np.random.default_rng(0)
SHAPES = {"conv": (3, 3, 4, 6), "fc": (10, 7)}
START = {s: {"layer": {"kernel": RNG.normal(size=shape).astype(np.float32)}} for s, shape in SHAPES.items()}
NOW = jax.tree.map(lambda x: x + RNG.normal(size=x.shape).astype(np.float32), START)
HEAD = {"kernel": np.ones((7, 2), np.float32)}
GROUPS = {**{s: (f"backbone/{s}/layer/kernel",) for s in SHAPES}, "head": ("head/kernel",)}
P, DRAWS = 0.7, 400


def config(p=P):
    one = default.get_config().strategy
    one.mixout = p
    return one


def params():
    """Begun at START, now at NOW."""
    begun, groups = mixout.initialize({"backbone": START, "head": HEAD}, GROUPS, config(), stages=tuple(SHAPES), seed=0)
    assert "start" not in mixout.plan(groups, config())[0].learning
    return {**begun, "backbone": NOW}


@pytest.fixture(scope="module")
def draws():
    """What the network is given in many steps: stage -> (DRAWS, *shape)."""
    keys, all_params = jax.random.split(jax.random.key(0), DRAWS), params()
    given = jax.vmap(lambda key: mixout.effective(all_params, config(), key))(keys)
    assert set(given) == {"backbone", "head"}
    return {stage: np.asarray(given["backbone"][stage]["layer"]["kernel"]) for stage in SHAPES}


@pytest.mark.parametrize("stage", SHAPES)
def test_every_input_goes_by_the_formula(draws, stage):
    start, now = (tree[stage]["layer"]["kernel"] for tree in (START, NOW))
    mixed = np.isclose(draws[stage], start, atol=1e-6).all(-1)  # (DRAWS, inputs): all that an input feeds at once
    m = mixed[..., None].astype(np.float32)
    np.testing.assert_allclose(draws[stage], (m * start + (1 - m) * now - P * start) / (1 - P), rtol=1e-4, atol=1e-5)
    assert mixed.mean() == pytest.approx(P, abs=0.03)  # standard error at most 0.007
    assert (mixed.std(axis=0) > 0.4).all()  # each by itself: 0.46 is that of a coin of 0.7


@pytest.mark.parametrize("stage", SHAPES)
def test_the_mean_is_the_weights_themselves(draws, stage):
    now, start = (tree[stage]["layer"]["kernel"] for tree in (NOW, START))
    errors = (draws[stage].mean(0) - now) / np.abs(now - start)  # deviation of a draw: sqrt(p / (1 - p)) |w - w0|
    assert np.abs(errors).max() < 5 * np.sqrt(P / (1 - P) / DRAWS)


def test_at_the_start_and_in_evaluation_nothing_changes():
    all_params = params()
    assert mixout.effective(all_params, config()) == {"backbone": NOW, "head": HEAD}
    at_start = {**all_params, "backbone": START}
    given = flatten(mixout.effective(at_start, config(), jax.random.key(1)))
    for path, leaf in flatten({"backbone": START, "head": HEAD}).items():
        assert np.asarray(given[path]).tobytes() == leaf.tobytes()


def test_the_gradient_reaches_what_was_not_mixed_and_is_scaled():
    all_params, key = params(), jax.random.key(0)
    grads = jax.grad(lambda p: mixout.effective(p, config(), key)["backbone"]["fc"]["layer"]["kernel"].sum())(
        all_params
    )
    values = np.unique(np.asarray(grads["backbone"]["fc"]["layer"]["kernel"]))
    np.testing.assert_allclose(values, [0, 1 / (1 - P)], rtol=1e-5)
