"""Frozen is proved: bits, statistics, FLOPs and bytes; and jit and pmap give the same run."""

import dataclasses

import jax
import numpy as np
import optax
import pytest

from configs import default
from tests import small
from tljax.core import layer_groups
from tljax.core.errors import ConfigError
from tljax.core.trees import flatten
from tljax.core.types import EVALUATE, Mode, Phase
from tljax.networks.families import resnet
from tljax.networks.network import Network
from tljax.runs.run import run
from tljax.tasks import classification
from tljax.training import optimizer, parallel
from tljax.training.job import Job
from tljax.training.train_state import TrainState
from tljax.weights import placement

CLASSES, BATCH = 5, 8


def prepare(batch, key, train):
    return {**batch, "inputs": batch["image"]}


def make_job(scales, *, steps=5, moving=(), **changes):
    """A job on a tiny ResNet with random pictures, and the state it begins with."""
    config = default.get_config()
    config.optimizer.update({"lr": 0.1, **changes})
    config.strategy.moving_statistics = moving
    config.train.epochs = 1.0
    backbone = resnet.ResNet(small.TINY)
    network = Network(backbone, classification.head(CLASSES))
    variables = placement.init(network, np.zeros((1, 32, 32, 3), np.float32), seed=0)
    groups = layer_groups.assign(variables["params"], backbone.stages, {})
    phases = (Phase("only", 1.0, scales),)
    job = Job(network, classification, prepare, groups, phases, steps, config, None)
    return job, job.enter(0, TrainState.create(variables, seed=0))


def make_batch(seed=0):
    rng = np.random.default_rng(seed)
    image = rng.normal(size=(BATCH, 32, 32, 3)).astype(np.float32)
    return {"image": image, "label": rng.integers(0, CLASSES, BATCH).astype(np.int32)}


def bits(tree):
    return {path: np.asarray(leaf).tobytes() for path, leaf in flatten(tree).items()}


def train(job, state, steps=5):
    step = jax.jit(job.step(0))
    for i in range(steps):
        state, metrics = step(state, make_batch(i))
    return state, metrics


FROZEN = {"stem": 0.0, "stage1": 0.0, "stage2": 1.0, "head": 1.0}
OPTIMIZERS = {
    "sgd": {"weight_decay": 0.1, "kwargs": {"momentum": 0.9}},
    "adamw": {"weight_decay": 0.1},
    "lion": {"weight_decay": 0.1, "lr": 0.01},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_frozen_parameters_and_statistics_stay_bit_identical(name):
    job, start = make_job(FROZEN, name=name, **OPTIMIZERS[name])
    start.params["backbone"]["stem"]["bn"]["bias"][:] = -0.0  # x + 0 would turn the sign bit
    state, _ = train(job, start)
    before = bits(start.params) | bits({"stats": start.model_state})
    after = bits(state.params) | bits({"stats": state.model_state})
    moved = {path for path in before if before[path] != after[path]}
    frozen = {path for path in before if "/stem/" in path or "/stage1/" in path}
    assert not moved & frozen
    assert moved == set(before) - frozen


def test_a_frozen_group_may_let_its_statistics_move():
    job, start = make_job(FROZEN, moving=("stem",))
    state, _ = train(job, start)
    assert bits(start.params["backbone"]["stem"]) == bits(state.params["backbone"]["stem"])
    before, after = (s.model_state["batch_stats"]["backbone"] for s in (start, state))
    assert bits(before["stem"]) != bits(after["stem"])
    assert bits(before["stage1"]) == bits(after["stage1"])


def compiled(job, state):
    return jax.jit(job.step(0)).lower(state, make_batch()).compile()


def flops(program):
    return program.cost_analysis()["flops"]


def test_a_frozen_backbone_has_no_backward_pass_and_no_state():
    """The step of a linear probe costs a forward pass in evaluation mode, and its head."""
    job, state = make_job({"stem": 0.0, "stage1": 0.0, "stage2": 0.0, "head": 1.0}, kwargs={"momentum": 0.9})
    full, full_state = make_job(dict.fromkeys(FROZEN, 1.0), kwargs={"momentum": 0.9})
    forward = jax.jit(lambda v, x: job.network.apply(v, x, EVALUATE))
    forward = forward.lower(state.variables(), make_batch()["image"]).compile()
    probe = flops(compiled(job, state))
    assert flops(forward) <= probe < 1.02 * flops(forward)
    assert probe < 0.5 * flops(compiled(full, full_state))
    head = sum(leaf.nbytes for leaf in jax.tree.leaves(state.params["head"]))
    assert optimizer.state_bytes(state.opt_state) == {"head": head}  # momentum of the head
    assert sum(leaf.nbytes for leaf in jax.tree.leaves(state.opt_state)) == head


def test_gradients_stop_at_the_frozen_prefix():
    """Freezing a prefix takes its backward pass and nothing else out of the program."""
    costs = []
    for learning in (["head"], ["stage2", "head"], ["stage1", "stage2", "head"]):
        job, state = make_job({stage: float(stage in learning) for stage in FROZEN})
        costs.append(flops(compiled(job, state)))
    assert 1.15 * costs[0] < costs[1] < costs[2] / 1.15


def test_the_step_is_plain_sgd():
    """Against the formula written out: value, gradient, update and statistics of one step."""
    job, start = make_job(dict.fromkeys(FROZEN, 1.0))
    batch = make_batch()
    state, metrics = jax.jit(job.step(0))(start, batch)

    def loss(params):
        variables = {"params": params, **start.model_state}
        logits, new = job.network.apply(variables, batch["image"], Mode(True), mutable=["batch_stats"])
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"]).mean(), new

    (value, new), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(start.params)
    assert float(metrics["loss"]) == pytest.approx(float(value), rel=1e-6)
    assert float(metrics["grad_norm"]) == pytest.approx(float(optax.tree.norm(grads)), rel=1e-5)
    for ours, p, g in zip(*map(jax.tree.leaves, (state.params, start.params, grads)), strict=True):
        np.testing.assert_allclose(ours, p - 0.1 * g, atol=1e-6)
    for ours, theirs in zip(jax.tree.leaves(state.model_state), jax.tree.leaves(new), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert int(state.step) == 1


def test_jit_and_pmap_give_the_same_run(tmp_path, monkeypatch):
    """Four devices, BatchNorm in training mode, augmentation on: loss curves within 1e-5."""
    assert jax.device_count() == 4
    curves = {}
    for mode in parallel.MODES:
        config = small.resnet_config(monkeypatch, parallel=mode, data__pad=1, data__flip=True)
        config.optimizer.kwargs.momentum = 0.9
        run(config, tmp_path / mode)
        curves[mode] = small.losses(tmp_path / mode)
    assert len(curves["jit"]) == 5 and np.abs(np.diff(curves["jit"])).min() > 1e-2
    np.testing.assert_allclose(curves["jit"], curves["pmap"], rtol=0, atol=1e-5)


def test_every_step_draws_anew():
    """The same batch at two steps is augmented differently, and at one step always alike."""

    def noisy(batch, key, train):
        return {**batch, "inputs": batch["image"] + jax.random.normal(key, batch["image"].shape)}

    job, state = make_job(dict.fromkeys(FROZEN, 1.0), lr=1e-9)
    step = jax.jit(dataclasses.replace(job, prepare=noisy).step(0))
    losses = [float(step(state.replace(step=np.int32(at)), make_batch())[1]["loss"]) for at in (0, 0, 1)]
    assert losses[0] == losses[1]
    assert abs(losses[0] - losses[2]) > 1e-3
    other = state.replace(rng=state.rng + 1)
    assert abs(float(step(other, make_batch())[1]["loss"]) - losses[0]) > 1e-3


@pytest.mark.parametrize(("rows", "accumulate"), [(1, 1), (8, 8)])
def test_batchnorm_over_one_value_is_refused(rows, accumulate):
    """On maps of 1x1 a (micro-)batch of one leaves every logit the same, whatever the picture."""
    job, start = make_job(dict.fromkeys(FROZEN, 1.0), accumulate=accumulate)
    batch = make_batch()
    batch = {"image": batch["image"][:rows, :4, :4], "label": batch["label"][:rows]}
    state = job.enter(0, start)
    with pytest.raises(ConfigError, match=r"more than one value in each channel.*backbone/stage\d.*accumulate.*stored"):
        jax.eval_shape(job.step(0), state, batch)
    frozen, start = make_job({**dict.fromkeys(FROZEN, 0.0), "head": 1.0}, accumulate=accumulate)
    jax.eval_shape(frozen.step(0), frozen.enter(0, start), batch)  # runs on stored statistics
