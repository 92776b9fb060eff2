"""LoRA: its equation, its start, its dropout, what it costs, and where gradients stop."""

import dataclasses
import math

import jax
import numpy as np
import pytest
from jax import lax

from configs import default
from tests.training.test_train_step import compiled, flops, make_batch, make_job
from tljax.core.errors import ConfigError
from tljax.core.trees import flatten, unflatten
from tljax.training.job import Job
from tljax.training.optimizers import group_table
from tljax.training.train_state import TrainState
from tljax.transfer.method import Method
from tljax.transfer.strategies import lora

RNG = np.random.default_rng(0)
KERNELS = {"conv": (3, 3, 4, 6), "fc": (10, 7)}
PARAMS = {
    "backbone": {s: {"layer": {"kernel": RNG.normal(size=shape).astype(np.float32)}} for s, shape in KERNELS.items()},
    "head": {"kernel": np.ones((7, 2), np.float32)},
}
GROUPS = {**{s: (f"backbone/{s}/layer/kernel",) for s in KERNELS}, "head": ("head/kernel",)}


def config(**keys):
    one = default.get_config().strategy
    one.update({"rank": 2, "alpha": 3.0, **keys})
    return one


def begun(seed=0, **keys):
    return lora.initialize(PARAMS, GROUPS, config(**keys), stages=tuple(KERNELS), seed=seed)


def stirred(params):
    """The same with B other than 0."""
    leaves = flatten(params["lora"])
    drawn = {path: RNG.normal(size=leaf.shape).astype(np.float32) for path, leaf in leaves.items() if path[-1] == "b"}
    return {**params, "lora": unflatten(leaves | drawn)}


def test_the_start_is_the_pretrained_network_to_the_last_bit():
    params, groups = begun()
    given = flatten(lora.effective(params, config()))
    assert {p: np.asarray(x).tobytes() for p, x in given.items()} == {
        p: x.tobytes() for p, x in flatten(PARAMS).items()
    }
    factors = flatten(params["lora"])
    assert {path: leaf.shape for path, leaf in factors.items()} == {
        "conv/layer/kernel/a": (36, 2),
        "conv/layer/kernel/b": (2, 6),
        "fc/layer/kernel/a": (10, 2),
        "fc/layer/kernel/b": (2, 7),
    }
    assert groups["lora"] == tuple(f"lora/{path}" for path in factors) and list(groups)[-1] == "head"


def test_a_is_uniform_in_one_over_the_root_of_its_inputs_and_drawn_by_seed_and_path():
    (params, _), (again, _), (other, _) = begun(rank=400), begun(rank=400), begun(1, rank=400)
    for path, inputs in (("conv/layer/kernel/a", 36), ("fc/layer/kernel/a", 10)):
        a = flatten(params["lora"])[path]
        assert 0.99 / math.sqrt(inputs) < np.abs(a).max() <= 1 / math.sqrt(inputs)
        assert a.std() == pytest.approx(1 / math.sqrt(3 * inputs), rel=0.05)
        assert (flatten(again["lora"])[path] == a).all() and (flatten(other["lora"])[path] != a).any()
    few, _ = begun(kernels="fc", rank=400)
    assert set(few["lora"]) == {"fc"}
    assert (few["lora"]["fc"]["layer"]["kernel"]["a"] == params["lora"]["fc"]["layer"]["kernel"]["a"]).all()


def test_a_dense_update_is_two_maps_one_after_the_other():
    params = stirred(begun()[0])
    x, kernel = RNG.normal(size=(5, 10)).astype(np.float32), params["lora"]["fc"]["layer"]["kernel"]
    layer = lora.effective(params, config())["backbone"]["fc"]["layer"]["kernel"]
    expected = x @ PARAMS["backbone"]["fc"]["layer"]["kernel"] + 3 / 2 * (x @ kernel["a"]) @ kernel["b"]
    np.testing.assert_allclose(x @ layer, expected, rtol=1e-5, atol=1e-5)


def conv(x, kernel):
    return lax.conv_general_dilated(x, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC"))


def test_a_convolutions_update_is_a_convolution_to_rank_channels_and_one_of_1x1():
    params = stirred(begun()[0])
    x, kernel = RNG.normal(size=(2, 7, 7, 4)).astype(np.float32), params["lora"]["conv"]["layer"]["kernel"]
    layer = lora.effective(params, config())["backbone"]["conv"]["layer"]["kernel"]
    update = conv(x, kernel["a"].reshape(3, 3, 4, 2)) @ kernel["b"]  # (B, H, W, 4) -> (B, H', W', 2) -> (B, H', W', 6)
    expected = conv(x, PARAMS["backbone"]["conv"]["layer"]["kernel"]) + 3 / 2 * update
    np.testing.assert_allclose(conv(x, layer), expected, rtol=1e-5, atol=1e-5)


def test_dropout_takes_rows_of_a_in_training_and_none_in_evaluation():
    params = stirred(begun(dropout=0.4)[0])
    factors, keys = params["lora"]["fc"]["layer"]["kernel"], jax.random.split(jax.random.key(0), 300)
    with_dropout = config(dropout=0.4)

    def update(key):
        given = lora.effective(params, with_dropout, key)["backbone"]["fc"]["layer"]["kernel"]
        return (given - PARAMS["backbone"]["fc"]["layer"]["kernel"]) / 1.5

    rows = np.asarray(jax.vmap(update)(keys))  # (300, 10, 7)
    full = factors["a"] @ factors["b"]
    kept = np.abs(rows).max(-1) > 1e-6  # (300, 10): a row is dropped as a whole
    np.testing.assert_allclose(rows, np.where(kept[..., None], full / 0.6, 0), atol=1e-5)
    assert kept.mean() == pytest.approx(0.6, abs=0.03)  # standard error 0.009
    evaluated = lora.effective(params, with_dropout)["backbone"]["fc"]["layer"]["kernel"]
    np.testing.assert_array_equal(evaluated, lora.effective(params, config())["backbone"]["fc"]["layer"]["kernel"])


def lora_job(kernels, rank=4):
    """The tiny ResNet of `make_job` with updates of chosen kernels, and the state it begins with."""
    plain, state = make_job({"stem": 1.0, "stage1": 1.0, "stage2": 1.0, "head": 1.0}, kwargs={"momentum": 0.9})
    keys = config(kernels=kernels, rank=rank)
    params, groups = lora.initialize(state.params, plain.groups, keys, stages=("stem", "stage1", "stage2"), seed=0)
    job: Job = dataclasses.replace(plain, groups=groups, phases=lora.plan(groups, keys), method=Method.of(lora, keys))
    return job, job.enter(0, TrainState.create({"params": params, **state.model_state}, seed=0))


def test_the_step_costs_six_flops_for_every_weight_and_rank_whatever_the_batch():
    """Merging, and the gradients of A and B: over a step that computes the same kernels' gradients whole."""
    costs = {rank: flops(compiled(*lora_job("stem..stage2", rank))) for rank in (4, 8)}
    _, state = lora_job("stem..stage2")
    weights = sum(x.size for path, x in flatten(state.params["backbone"]).items() if path.endswith("kernel"))
    expected = 6 * weights * 4
    per_rank = expected + 8 * sum(x.size for x in jax.tree.leaves(state.params["lora"]))  # and their momentum's update
    assert expected < costs[8] - costs[4] < 1.02 * per_rank


def test_no_gradient_is_computed_before_the_first_chosen_kernel():
    late, everywhere = (flops(compiled(*lora_job(kernels, 1))) for kernels in ("stage2", "stem..stage2"))
    assert late < 0.85 * everywhere


def test_only_the_updates_and_the_head_have_optimizer_state():
    job, state = lora_job("stage2")
    rows = {row[0]: row for row in group_table.rows(job, state, 0)}
    size = sum(x.size for x in jax.tree.leaves(state.params["lora"]))
    assert rows["lora"] == ["lora", "stage2", f"{size:,}", rows["lora"][3], "0.1", "0", "-", f"{4 * size:,}"]
    assert rows["stem to stage2"][4:] == ["frozen", "-", "stored", "0"]
    stepped, _ = jax.jit(job.step(0))(state, make_batch())
    before, after = (flatten({"stats": s.model_state}) for s in (state, stepped))
    assert all(np.asarray(after[p]).tobytes() == np.asarray(before[p]).tobytes() for p in before)


def test_rslora_divides_alpha_by_the_root_of_the_rank():
    params = stirred(begun()[0])
    kernel, start = params["lora"]["fc"]["layer"]["kernel"], PARAMS["backbone"]["fc"]["layer"]["kernel"]
    layer = lora.effective(params, config(rslora=True))["backbone"]["fc"]["layer"]["kernel"]
    np.testing.assert_allclose(layer - start, 3 / math.sqrt(2) * kernel["a"] @ kernel["b"], rtol=1e-5, atol=1e-5)


def test_b_learns_faster_by_its_ratio_in_a_group_of_its_own():
    params, groups = begun(b_ratio=16.0)
    assert set(flatten(params["lora"])) == set(flatten(begun()[0]["lora"]))
    assert [path[-1] for path in groups["lora"]] == ["a", "a"] and [path[-1] for path in groups["lora_b"]] == ["b", "b"]
    (phase,) = lora.plan(groups, config(b_ratio=16.0, backbone_scale=0.5))
    assert phase.scales == {"conv": 0, "fc": 0, "lora": 0.5, "lora_b": 8.0, "head": 1}


JOINT = {
    "backbone": {"block0": {"qkv": {"kernel": jax.numpy.asarray(RNG.normal(size=(4, 12)), np.float32)}}},
    "head": PARAMS["head"],
}


def test_parts_of_a_joint_kernel_get_an_update_each_and_the_rest_none():
    groups = {"block0": ("backbone/block0/qkv/kernel",), "head": ("head/kernel",)}
    params, _ = lora.initialize(JOINT, groups, config(qkv="qv"), stages=("block0",), seed=0)
    params = stirred(params)
    factors = params["lora"]["block0"]["qkv"]["kernel"]
    assert {name: (f["a"].shape, f["b"].shape) for name, f in factors.items()} == dict.fromkeys("qv", ((4, 2), (2, 4)))
    update = lora.effective(params, config(qkv="qv"))["backbone"]["block0"]["qkv"]["kernel"]
    update = update - JOINT["backbone"]["block0"]["qkv"]["kernel"]
    np.testing.assert_allclose(update[:, :4], 1.5 * factors["q"]["a"] @ factors["q"]["b"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(update[:, 8:], 1.5 * factors["v"]["a"] @ factors["v"]["b"], rtol=1e-5, atol=1e-5)
    assert (update[:, 4:8] == 0).all()


def test_parts_of_a_joint_kernel_need_one():
    with pytest.raises(ConfigError, match=r"needs joint kernels .* there are conv/layer/kernel, fc/layer/kernel"):
        begun(qkv="qv")
