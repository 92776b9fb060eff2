"""The backbone and its head: stages whose insides are computed again in the backward pass, parameters in bfloat16."""

from functools import cache
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import draw, ours

from tests import small
from tljax.core import trees
from tljax.core.errors import ConfigError
from tljax.core.trees import flatten, unflatten
from tljax.core.types import Mode
from tljax.networks import inverted_residual, vision_transformer
from tljax.networks.encoder import Encoder
from tljax.networks.encoder import Variant as Text
from tljax.networks.families import bit, convnext, lenet, resnet, vgg
from tljax.networks.inverted_residual import InvertedResidualNet, Sizes
from tljax.networks.network import Network
from tljax.runs import experiment
from tljax.weights import placement

IMAGE = draw.image((2, 32, 32, 3))
TOKENS = {
    "ids": np.arange(10, dtype=np.int32).reshape(2, 5),
    "mask": np.ones((2, 5), bool),
    "types": np.zeros((2, 5), np.int32),
}
MOBILE = inverted_residual.Variant(8, ((Sizes(8, 8, squeezed=4),), (Sizes(16, 12, stride=2), Sizes(24, 12))), top=16)
TEXT = Text(16, 2, 2, 32, vocabulary=20, positions=8, pooling="pooler")
# Family -> (backbone, input).
BACKBONES: dict[str, tuple[Any, Any]] = {
    "lenet": (lenet.LeNet(lenet.Variant(4, 8, 16)), IMAGE),
    "resnet": (resnet.ResNet(small.TINY), IMAGE),
    "vgg": (vgg.VGG(vgg.Variant((1,) * 5, True, (8,) * 5, 16)), IMAGE),
    "vit": (vision_transformer.ViT(vision_transformer.Variant(8, 16, 2, 2), drop_path=0.3), IMAGE),
    "convnext": (convnext.ConvNeXt(convnext.Variant((1, 2), (8, 16))), IMAGE),
    "bit": (bit.BiT(bit.Variant((1, 1), 32)), IMAGE),
    "mobilenet": (InvertedResidualNet(MOBILE, dropout=0.2), IMAGE),
    "text": (Encoder(TEXT), TOKENS),
}


def drawn(net: Network, x: Any) -> Any:
    """Variables under which every part of the network matters, and no gradient is a small difference of large sums."""

    def leaf(path: str, shape: tuple[int, ...]) -> Any:
        positive = path.startswith("batch_stats") or path.endswith("scale")
        return draw.uniform(path, shape, 0.1 if positive else -0.4, 0.4)

    return unflatten({path: leaf(path, one.shape) for path, one in flatten(placement.shapes(net, x)).items()})


@cache
def learned(family: str, *, remat: bool) -> tuple[Any, Any, Any]:
    """(loss, gradients, statistics) of a training step."""
    backbone, x = BACKBONES[family]
    net = Network(backbone, nn.Dense(3), remat=tuple(backbone.stages) if remat else ())
    variables = drawn(net, x)
    state = {collection: leaves for collection, leaves in variables.items() if collection != "params"}

    def loss(params: Any) -> Any:
        logits, moved = net.apply(
            {"params": params, **state},
            x,
            Mode(train=True),
            rngs={"dropout": jax.random.key(3)},
            mutable=list(state),
        )
        return jnp.square(logits).sum(), moved

    (value, moved), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(variables["params"])
    return value, grads, moved


@pytest.mark.parametrize("family", ["resnet", "vit", "text"])  # BatchNorm, drop path, more than an array between
def test_computing_stages_again_changes_no_gradient(family):
    """Nor statistics, nor what dropout drops."""
    plain, again = (flatten(dict(zip("lgs", learned(family, remat=remat), strict=True))) for remat in (False, True))
    assert plain.keys() == again.keys()
    for path, expected in plain.items():  # XLA fuses the two programs differently: other roundings
        if path.endswith("attention/key/bias"):  # adds the same to a query's scores: its gradient is roundings of 0
            of_kernel = np.abs(plain[path.replace("bias", "kernel")]).max()
            assert max(np.abs(again[path]).max(), np.abs(expected).max()) < 1e-5 * of_kernel, path
        else:
            assert ours.difference(again[path], expected) < 1e-5, path


def test_the_backward_pass_of_stages_computed_again_is_kept_their_inputs():
    """What jax hands from the forward to the backward pass; XLA for CPUs undoes it, so no program's memory is asked."""
    backbone, x = vision_transformer.ViT(vision_transformer.Variant(8, 16, 2, 6)), draw.image((8, 64, 64, 3))
    held = {}
    for remat in ((), backbone.stages[:4], backbone.stages):
        net = Network(backbone, nn.Dense(3), remat=tuple(remat))
        params = placement.shapes(net, x)
        back = jax.eval_shape(lambda params, net=net: jax.vjp(lambda p: net.apply(p, x), params)[1], params)
        held[len(remat)] = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(back))
    tokens = 8 * 65 * 16 * 4  # bytes of the input of a block
    assert held[8] < held[0] / 5
    assert held[4] < held[0] / 1.5
    assert held[8] < 12 * tokens + x.nbytes + 4 * trees.count(params)
    assert held[0] > 6 * 8 * tokens


@pytest.mark.parametrize("family", BACKBONES)
def test_parameters_in_bfloat16_compute_as_the_same_numbers_in_float32(family):
    backbone, x = BACKBONES[family]
    net = Network(backbone, nn.Dense(3))
    variables = drawn(net, x)
    stored = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), variables["params"])
    same = jax.tree.map(lambda leaf: leaf.astype(np.float32), stored)
    run = jax.jit(net.apply)
    found, expected = (run(variables | {"params": params}, x) for params in (stored, same))
    assert found.dtype == jnp.float32
    assert ours.difference(found, expected) < 1e-6  # what is computed in bfloat16 differs by 4e-3


def test_config_keys_reach_the_network_and_its_parameters():
    made = experiment.load(
        small.config(model__remat="conv2..fc1", model__param_dtype="bfloat16"), axis=None, pretrained_wanted=False
    )
    assert made.network.remat == ("conv2", "fc1")
    assert "remat: saves no memory on a CPU, because XLA undoes it there" in made.notes
    assert {leaf.dtype for leaf in jax.tree.leaves(made.variables["params"])} == {jnp.dtype(jnp.bfloat16)}
    with pytest.raises(
        ConfigError, match=r"config\.model\.remat must hold stages, .*; got conv9\. The stages are conv1, "
    ):
        experiment.load(small.config(model__remat="conv1 conv9"), axis=None, pretrained_wanted=False)
