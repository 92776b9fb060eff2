"""ConvNeXt against torch, live: the written-out module and transformers' own, every variant."""

from typing import Any

import numpy as np
import pytest
from reference import draw
from reference import vgg_convnext as shared

from tljax.networks.families import convnext

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="torch is not installed; `make parity` installs it")
transformers = pytest.importorskip("transformers", reason="transformers is not installed; `make parity` installs it")
from reference import torch_convnext, torch_vgg_convnext  # noqa: E402


def hugging_face(variant: str, arrays: dict[str, np.ndarray]) -> Any:
    """transformers' ConvNeXt; its last LayerNorm has eps 1e-12 unless it is told the 1e-6 of the others."""
    shape = convnext.variant_of(variant)
    config = transformers.ConvNextConfig(
        hidden_sizes=list(shape.widths), depths=list(shape.blocks), layer_norm_eps=1e-6, num_labels=1000
    )
    theirs = {hugging_face_name(name): array.squeeze((1, 2)) if "layer_scale" in name else array
              for name, array in arrays.items()}  # fmt: skip
    return torch_vgg_convnext.load(transformers.ConvNextForImageClassification(config), theirs)


def hugging_face_name(name: str) -> str:
    """features.3.1.block.2 -> convnext.encoder.stages.1.layers.1.layernorm, classifier.2 -> classifier."""
    first, *inner = name.split(".")
    if first == "classifier":
        return f"{'convnext.layernorm' if inner[0] == '0' else 'classifier'}.{inner[1]}"
    index, leaf = int(inner[0]), inner[-1]
    if index == 0:
        return f"convnext.embeddings.{('patch_embeddings', 'layernorm')[int(inner[1])]}.{leaf}"
    stage = f"convnext.encoder.stages.{index // 2}"
    if index % 2 == 0:
        return f"{stage}.downsampling_layer.{inner[1]}.{leaf}"
    if leaf == "layer_scale":
        return f"{stage}.layers.{inner[1]}.layer_scale_parameter"
    layer = {"0": "dwconv", "2": "layernorm", "3": "pwconv1", "5": "pwconv2"}[inner[3]]
    return f"{stage}.layers.{inner[1]}.{layer}.{leaf}"


def hugging_face_outputs(module: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    with torch.inference_mode():
        found = module.convnext(torch_vgg_convnext.nchw(x), output_hidden_states=True)
        logits = module(torch_vgg_convnext.nchw(x)).logits
    stages = (*found.hidden_states, found.pooler_output)
    return dict(zip(torch_convnext.STAGES, map(torch_vgg_convnext.nhwc, stages), strict=True)) | {
        "logits": logits.numpy()
    }


@pytest.mark.parametrize("variant", torch_convnext.BLOCKS)
def test_stages_and_logits_on_drawn_weights(variant):
    net = shared.network(convnext, variant)
    arrays = draw.weights(shared.published_shapes(convnext, net))
    variables = shared.placed(convnext, net, arrays)
    written_out = torch_vgg_convnext.load(torch_convnext.ConvNeXt(variant), arrays)
    theirs = hugging_face(variant, arrays)
    for shape in draw.INPUTS:
        x = draw.image(shape)
        found = shared.outputs(net, variables, x)
        for name, expected in {
            "written out": torch_vgg_convnext.outputs(written_out, x, torch_convnext.STAGES),
            "transformers": hugging_face_outputs(theirs, x),
        }.items():
            assert shared.above(1e-5, found, expected, f"{variant} {name} {shape}") == {}


def test_gradients_in_float64():
    """The features, in float32 around the last LayerNorm, leave 6e-8 a rounding."""
    arrays = shared.drawn_arrays(convnext, shared.network(convnext, "tiny", **shared.NARROW))
    module = torch_vgg_convnext.load(torch_convnext.ConvNeXt("tiny", **shared.NARROW), arrays)
    x, labels = draw.image((2, 45, 70, 3)), np.array([3, 9])
    loss, grads = shared.gradients(convnext, "tiny", x, labels)
    value, expected = torch_vgg_convnext.gradients(module, x, labels)
    assert loss == pytest.approx(value, rel=1e-6)
    assert shared.above(1e-6, grads, expected, "tiny float64 gradients") == {}
