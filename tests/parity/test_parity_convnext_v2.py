"""ConvNeXt V2, and small ConvNeXts of 1x1 convolutions, against timm and transformers: every stage and the logits."""

import dataclasses
import json
from types import SimpleNamespace
from typing import Any

import flax.linen as nn
import numpy as np
import pytest
from reference import draw, ours_vit

from tests.parity.test_parity_vit import above, nchw
from tests.parity.test_parity_vit_parts import CARD, CLASSES, arrays_of, drawn
from tljax.core.types import Published
from tljax.networks.families import convnext
from tljax.networks.network import Network
from tljax.weights import placement, pretrained

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="torch is not installed; `make parity` installs it")
timm = pytest.importorskip("timm", reason="timm is not installed; `make parity` installs it")
transformers = pytest.importorskip("transformers", reason="transformers is not installed; `make parity` installs it")

SIZES = {"depths": (1, 2, 1, 1), "dims": (8, 16, 24, 32)}
V2 = convnext.Variant((1, 2, 1, 1), (8, 16, 24, 32), layer_scale=False, response_norm=True)
# timm's architecture -> the sizes that a small one of it has.
TIMM = {
    "convnextv2_atto": dataclasses.replace(V2, convolutions=True),
    "convnextv2_tiny": V2,
    "convnext_atto": convnext.Variant((1, 2, 1, 1), (8, 16, 24, 32)),
}


def ours(arrays: dict[str, np.ndarray], config: dict[str, Any], x: np.ndarray) -> tuple[Any, dict, dict]:
    """The variant that the weights show, the output of every stage, and the weights as they are exported."""
    asked = SimpleNamespace(family="convnext", variant="auto", prefix="")
    variant, published, _ = pretrained.understood(convnext, asked, Published(arrays, CARD, "a file", config))
    net = Network(convnext.build(variant), nn.Dense(CLASSES))
    variables, _ = placement.place(placement.shapes(net, x), published, convnext.names(variant), head=True)
    return variant, ours_vit.outputs(net, variables, x), placement.publish(variables, convnext.names(variant))


@pytest.mark.parametrize("architecture", TIMM)
@pytest.mark.parametrize("size", [(64, 96), (45, 70)])
def test_timms_stages_and_logits(architecture, size):
    module = drawn(timm.create_model(architecture, num_classes=CLASSES, **SIZES))
    x, expected = draw.image((2, *size, 3)), {}
    variant, found, exported = ours(arrays_of(module), {}, x)
    assert convnext.variant_of(variant) == TIMM[architecture]
    for i, stage in enumerate(module.stages):
        stage.register_forward_hook(lambda _, given, y, i=i: expected.update({f"stage{i + 1}": nhwc(y)}))
    module.stem.register_forward_hook(lambda _, given, y: expected.update(stem=nhwc(y)))
    with torch.inference_mode():
        expected["logits"] = module(nchw(x)).numpy()
    assert above(1e-5, {name: found[name] for name in expected}, expected, f"{architecture} {size}") == {}
    if "v2" in architecture:
        module.load_state_dict({name: torch.from_numpy(x) for name, x in exported.items()}, strict=True)


def test_transformers_stages_and_logits():
    config = transformers.ConvNextV2Config(
        hidden_sizes=[8, 16, 24, 32], depths=[1, 2, 1, 1], num_labels=CLASSES, layer_norm_eps=1e-5
    )
    module, x = drawn(transformers.ConvNextV2ForImageClassification(config)), draw.image((2, 45, 70, 3))
    with torch.no_grad():
        for name, tensor in module.named_parameters():
            if "grn" in name:
                tensor.normal_(0.0, 0.5)
    variant, found, _ = ours(arrays_of(module), json.loads(module.config.to_json_string()), x)
    assert convnext.variant_of(variant) == dataclasses.replace(V2, eps=1e-5)
    with torch.inference_mode():
        output = module(pixel_values=nchw(x), output_hidden_states=True)
    expected = {f"stage{i}": nhwc(hidden) for i, hidden in enumerate(output.hidden_states) if i}
    expected["logits"] = output.logits.numpy()
    assert above(1e-5, {name: found[name] for name in expected}, expected, "ConvNextV2") == {}


def nhwc(tensor: Any) -> np.ndarray:
    return tensor.permute(0, 2, 3, 1).numpy()
