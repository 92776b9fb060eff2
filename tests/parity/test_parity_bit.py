"""BiT against torch, live: the written-out module and transformers' own.

The wide ones have all of their channels and a few of their units here (the largest has 937 million parameters);
tests/networks/test_bit.py compares all of their units, narrow.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import numpy as np
import pytest
from reference import draw
from reference import vgg_convnext as shared

from tljax.networks.families import bit
from tljax.networks.network import Network

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="torch is not installed; `make parity` installs it")
transformers = pytest.importorskip("transformers", reason="transformers is not installed; `make parity` installs it")
from reference import torch_bit, torch_vgg_convnext  # noqa: E402

FEW = (1, 2, 1, 1)  # units of the wide ones
UNITS = {"R50x1": (3, 4, 6, 3), "R101x1": (3, 4, 23, 3), **dict.fromkeys(("R50x3", "R101x3", "R152x2", "R152x4"), FEW)}


def network(variant: str) -> Network:
    shape = dataclasses.replace(bit.variant_of(variant), units=UNITS[variant])
    return Network(bit.BiT(shape), nn.Dense(1000))


def hugging_face(shape: bit.Variant, arrays: dict[str, np.ndarray]) -> Any:
    """transformers' BiT as it was published.

    Its own epsilon of weight standardisation is 1e-8, its `width_factor` is left out of the last norm and of the
    stem, and global_padding="SAME" would pad right and below only.
    """
    config = transformers.BitConfig(
        embedding_size=shape.width,
        hidden_sizes=[4 * shape.width * 2**i for i in range(4)],
        depths=list(shape.units),
        layer_type="preactivation",
        global_padding=None,
        num_labels=1000,
    )
    module = transformers.BitForImageClassification(config)
    for layer in module.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.eps = 1e-10
    return torch_vgg_convnext.load(module, {hugging_face_name(name): oihw(array) for name, array in arrays.items()})


def oihw(array: np.ndarray) -> np.ndarray:
    """A kernel as torch has it; the head is dense there."""
    if array.ndim == 1:
        return array
    turned = np.ascontiguousarray(array.transpose(3, 2, 0, 1))
    return turned[:, :, 0, 0] if array.shape[-1] == 1000 else turned


def hugging_face_name(name: str) -> str:
    """resnet/block1/unit01/a/group_norm/gamma -> bit.encoder.stages.0.layers.0.norm1.weight."""
    _, *scope, kind, leaf = name.split("/")
    leaf = {"kernel": "weight", "gamma": "weight"}.get(leaf, "bias")
    if not scope:
        return f"bit.norm.{leaf}"
    if scope == ["head"]:
        return f"classifier.1.{leaf}"
    if scope == ["root_block"]:
        return f"bit.embedder.convolution.{leaf}"
    block, unit, letter, *projects = scope
    layer = f"bit.encoder.stages.{int(block[-1]) - 1}.layers.{int(unit[-2:]) - 1}"
    if projects:
        return f"{layer}.downsample.conv.{leaf}"
    return f"{layer}.{'norm' if kind == 'group_norm' else 'conv'}{'abc'.index(letter) + 1}.{leaf}"


def hugging_face_outputs(module: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    with torch.inference_mode():
        found = module.bit(torch_vgg_convnext.nchw(x), output_hidden_states=True)
        logits = module.classifier(found.pooler_output)
    stages = (*found.hidden_states, found.last_hidden_state)
    return dict(zip(torch_bit.STAGES, map(torch_vgg_convnext.nhwc, stages), strict=True)) | {"logits": logits.numpy()}


@pytest.mark.parametrize("variant", torch_bit.SIZES)
def test_stages_and_logits_on_drawn_weights(variant):
    net, shapes = network(variant), draw.INPUTS
    arrays = draw.weights(shared.published_shapes(bit, net))
    variables = shared.placed(bit, net, arrays)
    found = {shape: shared.outputs(net, variables, draw.image(shape)) for shape in shapes}
    del variables  # gigabytes
    module = torch_vgg_convnext.load(torch_bit.BiT(variant, units=UNITS[variant]), arrays)
    for shape in shapes:
        expected = torch_vgg_convnext.outputs(module, draw.image(shape), torch_bit.STAGES)
        assert shared.above(1e-5, found[shape], expected, f"{variant} written out {shape}") == {}
    del module
    module = hugging_face(net.backbone.variant, arrays)
    for shape in shapes:
        expected = hugging_face_outputs(module, draw.image(shape))
        assert shared.above(1e-5, found[shape], expected, f"{variant} transformers {shape}") == {}


def test_gradients_in_float64():
    """In float64, so that no ReLU opens by rounding; the features, in float32 before the head, leave 6e-8."""
    sizes = {"narrow": draw.BIT_NARROW["R50x3"], "classes": 10}
    arrays = shared.drawn_arrays(bit, shared.network(bit, "R50x3", **sizes))
    module = torch_vgg_convnext.load(torch_bit.BiT("R50x3", **sizes), arrays)
    x, labels = draw.image((2, 45, 70, 3)), np.array([3, 9])
    loss, grads = shared.gradients(bit, "R50x3", x, labels, sizes)
    value, expected = torch_vgg_convnext.gradients(module, x, labels)
    assert loss == pytest.approx(value, rel=1e-6)
    assert shared.above(1e-6, grads, expected, "R50x3 float64 gradients") == {}
