"""Statistics measured anew: means over batches, by hand; frozen ones stay to the bit; any momentum."""

import contextlib
import dataclasses

import jax
import numpy as np
import pytest

from tests import small
from tests.networks.test_inverted_residual import SMALL
from tests.training.test_train_step import CLASSES, make_batch
from tljax.core import layer_groups
from tljax.core.trees import flatten
from tljax.core.types import Mode
from tljax.networks.families import resnet
from tljax.networks.inverted_residual import InvertedResidualNet
from tljax.networks.network import Network
from tljax.tasks import classification
from tljax.training import norm_statistics, parallel
from tljax.weights import placement


def prepare(batch, key, train):
    assert train
    return {"inputs": batch["image"]}


def network_of(backbone):
    network = Network(backbone, classification.head(CLASSES))
    return network, placement.init(network, np.zeros((1, 32, 32, 3), np.float32), seed=0)


def measured(network, variables, mode, devices, batches):
    run = norm_statistics.measured(network, prepare, mode, devices, contextlib.nullcontext)
    rng = np.asarray(jax.random.key_data(jax.random.key(0)))
    found = run(devices.put_state(variables), devices.put_state(rng), iter(batches))
    return devices.get_state(found)


@pytest.mark.parametrize("mode", parallel.MODES)
def test_the_first_layer_by_hand(mode):
    """Mean and variance of what the stem's convolution puts out, over each batch, and the mean of both batches."""
    devices = parallel.make(mode)
    network, variables = network_of(resnet.ResNet(small.TINY, bn_axis=devices.axis))
    variables["batch_stats"]["backbone"]["stem"]["bn"]["mean"][:] = 7.0  # what was stored does not matter
    batches = [make_batch(seed) for seed in (0, 1)]
    found = measured(network, variables, Mode(True), devices, batches)
    kernel, outs = variables["params"]["backbone"]["stem"]["conv"]["kernel"], []
    for batch in batches:
        stride, pad = (2, 2), [(3, 3), (3, 3)]
        out = jax.lax.conv_general_dilated(
            batch["image"], kernel, stride, pad, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        outs.append(np.asarray(out).reshape(-1, kernel.shape[-1]))
    norm = found["batch_stats"]["backbone"]["stem"]["bn"]
    np.testing.assert_allclose(norm["mean"], np.mean([out.mean(0) for out in outs], axis=0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(norm["var"], np.mean([out.var(0) for out in outs], axis=0), rtol=1e-4)
    assert small.bits(found["params"]) == small.bits(variables["params"])


def test_what_is_frozen_keeps_its_statistics():
    network, variables = network_of(resnet.ResNet(small.TINY))
    groups = layer_groups.assign(variables["params"], network.backbone.stages, {})
    mode = Mode(True, layer_groups.frozen_modules(groups, ("stage2", "head")))
    found = measured(network, variables, mode, parallel.make("jit"), [make_batch()])
    before, after = (small.bits(flatten(x["batch_stats"])) for x in (variables, found))
    assert {path for path in before if before[path] != after[path]} == {path for path in before if "stage2" in path}


def test_another_momentum_is_divided_out():
    """MobileNet-v3 stores with 0.99: measured on one batch, the network in evaluation is the one in training."""
    network, variables = network_of(InvertedResidualNet(dataclasses.replace(SMALL, momentum=0.99)))
    batch = make_batch()
    found = measured(network, variables, Mode(True), parallel.make("jit"), [batch])
    train = jax.jit(lambda v, x: network.apply(v, x, Mode(True), mutable=["batch_stats"])[0])
    evaluate, trained = jax.jit(network.apply), train(variables, batch["image"])
    np.testing.assert_allclose(evaluate(found, batch["image"]), trained, rtol=1e-3, atol=2e-5)
    assert np.abs(evaluate(variables, batch["image"]) - trained).max() > 2e-3
