"""Micro-batches in turn give the step of the whole batch, in less memory; BatchNorm sees each by itself."""

import jax
import numpy as np
import pytest
from flax import linen as nn

from configs import default
from tests import small
from tests.training.test_train_step import make_job
from tljax.core import layer_groups, settings
from tljax.core.errors import ConfigError
from tljax.core.types import Mode, Phase
from tljax.networks.families import lenet
from tljax.networks.network import Network
from tljax.runs.run import run
from tljax.tasks import classification
from tljax.training import accumulation, parallel
from tljax.training.devices import memory
from tljax.training.job import Job
from tljax.training.train_state import TrainState
from tljax.weights import placement

CLASSES, BATCH = 5, 16
ALL = {"stem": 1.0, "stage1": 1.0, "stage2": 1.0, "head": 1.0}


def prepare(batch, key, train):
    """Every example draws its own noise, as augmentation does."""
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, batch["position"])
    noise = jax.vmap(lambda k, x: jax.random.normal(k, x.shape))(keys, batch["image"])
    return {**batch, "inputs": batch["image"] + 0.3 * noise}


def lenet_job(*, mixup=0.0, axis=None, **changes):
    """A network without BatchNorm, and the state it begins with."""
    config = default.get_config()
    config.optimizer.update({"lr": 0.1, **changes})
    config.train.epochs, config.task.mixup = 1.0, mixup
    network = Network(lenet.build("small"), classification.head(CLASSES))
    variables = placement.init(network, np.zeros((1, 8, 8, 1), np.float32), seed=0)
    groups = layer_groups.assign(variables["params"], network.backbone.stages, {})
    phases = (Phase("only", 1.0, {group: float(group != "conv1") for group in groups}),)
    job = Job(network, classification, prepare, groups, phases, 5, config, axis)
    return job, job.enter(0, TrainState.create(variables, seed=0))


def make_batch(shape=(8, 8, 1), size=BATCH):
    rng = np.random.default_rng(0)
    image = rng.normal(size=(size, *shape)).astype(np.float32)
    label = rng.integers(0, CLASSES, size).astype(np.int32)
    weight = rng.uniform(0.2, 3, size).astype(np.float32)
    return {"image": image, "label": label, "weight": weight, "position": np.arange(size, dtype=np.int32)}


@pytest.mark.parametrize("mode", parallel.MODES)
@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_it_is_the_step_of_the_whole_batch(mode, mixup):
    """With weights of classes, augmentation, mixup and a frozen stage: parameters and log to 1e-6."""
    devices, found = parallel.make(mode), {}
    batch = devices.put_batch(make_batch())
    for count in (1, 2, 4):
        if mixup and count == 4 and mode == "pmap":
            continue  # one example a micro-batch and device has no neighbour
        job, start = lenet_job(mixup=mixup, axis=devices.axis, accumulate=count, clip=0.5)
        state = devices.put_state(start)
        found[count] = devices.get(devices.compile(job.step(0), state, batch, donate=False)(state, batch))
    (whole, values), *others = found.values()
    assert small.bits(whole.params["backbone"]["conv1"]) == small.bits(start.params["backbone"]["conv1"])
    assert small.bits(whole.params["head"]) != small.bits(start.params["head"]) and others
    for state, metrics in others:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-6), whole.params, state.params)
        assert metrics.keys() == values.keys()
        assert all(float(metrics[name]) == pytest.approx(float(values[name]), rel=1e-6) for name in values)


def test_batch_norm_sees_each_part_in_turn():
    """Against the formula written out: the mean of the parts' gradients, statistics moved by one after the other."""
    job, start = make_job(ALL, accumulate=2)
    batch = {name: x[:8] for name, x in make_batch((32, 32, 3)).items() if name != "weight"}
    state, metrics = jax.jit(job.step(0))(start, batch)
    model_state, grads, losses = start.model_state, [], []
    for part in (
        (batch["image"][[0, 1, 4, 5]], batch["label"][[0, 1, 4, 5]]),
        (
            batch["image"][[2, 3, 6, 7]],
            batch["label"][[2, 3, 6, 7]],
        ),
    ):

        def loss(params, part=part, model_state=model_state):
            logits, new = job.network.apply(
                {"params": params, **model_state}, part[0], Mode(True), mutable=["batch_stats"]
            )
            return classification.loss(logits, {"label": part[1]}, job.config.task), new

        (value, model_state), grad = jax.jit(jax.value_and_grad(loss, has_aux=True))(start.params)
        grads, losses = [*grads, grad], [*losses, float(value)]
    assert float(metrics["loss"]) == pytest.approx(np.mean(losses), rel=1e-6)
    expected = jax.tree.map(lambda p, a, b: p - 0.1 * (a + b) / 2, start.params, *grads)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), state.params, expected)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), state.model_state, dict(model_state))


class Noisy(nn.Module):
    """Logits (B, K) with one draw added to all of them."""

    @nn.compact
    def __call__(self, x, mode):
        return nn.Dense(CLASSES)(x.reshape(len(x), -1)) + jax.random.normal(self.make_rng("dropout"), (1, CLASSES))


def test_every_part_draws_its_own_dropout():
    """Four times the same example: the loss is the mean over four draws, by hand."""
    batch = {name: np.repeat(x[:1], 4, axis=0) for name, x in make_batch().items() if name != "weight"}
    variables = Noisy().init({"params": jax.random.key(0), "dropout": jax.random.key(1)}, batch["image"], None)
    groups, config = {"head": ("Dense_0/kernel", "Dense_0/bias")}, default.get_config()
    config.optimizer.accumulate = 4
    plain = lambda batch, key, train: {**batch, "inputs": batch["image"]}  # noqa: E731
    job = Job(Noisy(), classification, plain, groups, (Phase("only", 1.0, {"head": 1.0}),), 1, config, None)
    start = job.enter(0, TrainState.create(jax.tree.map(np.array, dict(variables)), seed=0))
    _, metrics = jax.jit(job.step(0))(start, batch)
    key = jax.random.split(jax.random.fold_in(jax.random.wrap_key_data(start.rng), 0), 3)[1]

    def loss(rng):
        logits = Noisy().apply(variables, batch["image"][:1], None, rngs={"dropout": rng})
        return float(classification.loss(logits, {"label": batch["label"][:1]}, config.task))

    losses = [loss(jax.random.fold_in(key, part)) for part in range(4)]
    assert len(set(losses)) == 4 and float(metrics["loss"]) == pytest.approx(np.mean(losses), rel=1e-5)


def test_a_part_is_from_all_over_the_batch_and_keeps_neighbours():
    x = np.arange(16)
    assert accumulation.split(x, 4).tolist() == [[0, 1, 8, 9], [2, 3, 10, 11], [4, 5, 12, 13], [6, 7, 14, 15]]
    assert accumulation.split(x, 16).tolist() == x[:, None].tolist()
    assert accumulation.split(np.zeros((8, 3, 2)), 2).shape == (2, 4, 3, 2)


def test_a_step_takes_less_memory():
    """A ResNet's activations are most of what a step holds: an eighth of the batch at a time."""
    batch, found = make_batch((32, 32, 3), 64), {}
    del batch["weight"]
    for count in (1, 8):
        job, start = make_job(ALL, accumulate=count)
        found[count] = memory.plan(jax.jit(job.step(0)).lower(start, batch).compile()).total
    assert found[8] < 0.5 * found[1], found


def test_a_batch_must_divide(tmp_path):
    config = default.get_config().train
    assert settings.batch_size(config, 4, accumulate=16) == (64, 256)
    with pytest.raises(ConfigError, match=r"multiple of config.optimizer.accumulate \(3\) times the 4 devices; got 64"):
        settings.batch_size(config, 4, accumulate=3)
    with pytest.raises(ConfigError, match=r"accumulate \(2\) times the 4 devices; got 20"):
        run(small.config(optimizer__accumulate=2), tmp_path)
    bad = default.get_config()
    bad.optimizer.accumulate = 0
    with pytest.raises(ConfigError, match="config.optimizer.accumulate must be a whole number from 1 on; got 0"):
        settings.check(bad)


@pytest.mark.parametrize("mode", parallel.MODES)
def test_a_run_in_micro_batches_is_the_run(tmp_path, mode):
    losses = []
    for count in (1, 5):
        config = small.config(parallel=mode, optimizer__accumulate=count, data__pad=1)
        run(config, tmp_path / f"{count}")
        losses.append(small.losses(tmp_path / f"{count}"))
    assert len(losses[0]) == 5
    np.testing.assert_allclose(losses[0], losses[1], rtol=0, atol=1e-5)
