"""MobileNet and EfficientNet against torch, live: the written-out modules, and transformers' where it has them."""

from typing import Any

import numpy as np
import pytest
from reference import draw
from reference import vgg_convnext as shared

from tljax.core.trees import count
from tljax.networks.families import efficientnet, mobilenet

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="torch is not installed; `make parity` installs it")
transformers = pytest.importorskip("transformers", reason="transformers is not installed; `make parity` installs it")
from reference import torch_mobile, torch_vgg_convnext  # noqa: E402

PARAMETERS = {"b2": 9_109_994, "b3": 12_233_232, "b4": 19_341_616, "b6": 43_040_704, "b7": 66_347_960}
VARIANTS = (*((mobilenet, variant) for variant in torch_mobile.MOBILENETS), (efficientnet, "b0"), (efficientnet, "b1"))
# b5, with another epsilon, in float64 only: in float32 torch's own rounding makes 4.8e-5 of 39 drawn blocks.
IN_FLOAT64 = ((mobilenet, "v2"), (mobilenet, "v3_small"), (efficientnet, "b0"), (efficientnet, "b5"))


def mobilenet_v2(arrays: dict[str, np.ndarray]) -> Any:
    """transformers' MobileNetV2, padded as torch pads and with torchvision's epsilon."""
    config = transformers.MobileNetV2Config(tf_padding=False, layer_norm_eps=1e-5, num_labels=1000)
    theirs = {mobilenet_v2_name(name): array for name, array in arrays.items()}
    return torch_vgg_convnext.load(transformers.MobileNetV2ForImageClassification(config), theirs)


def mobilenet_v2_name(name: str) -> str:
    """features.2.conv.1.0 -> mobilenet_v2.layer.0.conv_3x3.convolution; the first block is part of their stem."""
    first, *inner, leaf = name.split(".")
    if first == "classifier":
        return f"classifier.{leaf}"
    kinds, index = ("convolution", "normalization"), int(inner[0])
    if index in (0, 18):
        place = "conv_stem.first_conv" if index == 0 else "conv_1x1"
        return f"mobilenet_v2.{place}.{kinds[int(inner[1])]}.{leaf}"
    layers = ("conv_3x3", "reduce_1x1") if index == 1 else ("expand_1x1", "conv_3x3", "reduce_1x1")
    number, last = int(inner[2]), len(layers) - 1
    kind = kinds[int(inner[3])] if number < last else kinds[number - last]
    place = "conv_stem" if index == 1 else f"layer.{index - 2}"
    return f"mobilenet_v2.{place}.{layers[min(number, last)]}.{kind}.{leaf}"


def efficientnet_b(variant: str, arrays: dict[str, np.ndarray]) -> Any:
    """transformers' EfficientNet; it pads as TensorFlow does unless every block and the stem are told otherwise."""
    width, depth, epsilon = torch_mobile.SCALES[variant]
    shape = efficientnet.variant_of(variant)
    config = transformers.EfficientNetConfig(
        width_coefficient=width,
        depth_coefficient=depth,
        hidden_dim=shape.top,
        batch_norm_eps=epsilon,
        depthwise_padding=list(range(sum(map(len, shape.blocks)))),
        num_labels=1000,
    )
    module = transformers.EfficientNetForImageClassification(config)
    module.efficientnet.embeddings.padding = torch.nn.ZeroPad2d(1)
    blocks = iter(range(100))
    numbers = {(s, b): next(blocks) for s, stage in enumerate(shape.blocks, start=1) for b in range(len(stage))}
    theirs = {efficientnet_name(name, numbers, arrays): array for name, array in arrays.items()}
    return torch_vgg_convnext.load(module, theirs)


def efficientnet_name(name: str, numbers: dict[tuple[int, int], int], arrays: dict[str, np.ndarray]) -> str:
    """features.2.0.block.1.0 -> efficientnet.encoder.blocks.1.depthwise_conv.depthwise_conv."""
    first, *inner, leaf = name.split(".")
    if first == "classifier":
        return f"classifier.{leaf}"
    stage = int(inner[0])
    if stage in (0, 8):
        kinds = (
            ("embeddings.convolution", "embeddings.batchnorm") if stage == 0 else ("encoder.top_conv", "encoder.top_bn")
        )
        return f"efficientnet.{kinds[int(inner[1])]}.{leaf}"
    block, layer = f"efficientnet.encoder.blocks.{numbers[stage, int(inner[1])]}", int(inner[3])
    expands = f"features.{stage}.{inner[1]}.block.3.0.weight" in arrays
    kind = ("expansion", "depthwise_conv", "squeeze_excite", "projection")[layer if expands else layer + 1]
    names = {
        "expansion": ("expand_conv", "expand_bn"),
        "depthwise_conv": ("depthwise_conv", "depthwise_norm"),
        "projection": ("project_conv", "project_bn"),
    }
    if kind == "squeeze_excite":
        return f"{block}.{kind}.{ {'fc1': 'reduce', 'fc2': 'expand'}[inner[4]] }.{leaf}"
    return f"{block}.{kind}.{names[kind][int(inner[4])]}.{leaf}"


def hugging_face(family: Any, variant: str, arrays: dict[str, np.ndarray], x: np.ndarray) -> dict[str, np.ndarray]:
    """The outputs of those stages that it shows, in order, and the logits; none of V3, which it does not have."""
    if variant.startswith("v3"):
        return {}
    module = mobilenet_v2(arrays) if family is mobilenet else efficientnet_b(variant, arrays)
    with torch.inference_mode():
        found = module.base_model(torch_vgg_convnext.nchw(x), output_hidden_states=True)
        logits = module(torch_vgg_convnext.nchw(x)).logits
    blocks = [len(stage) for stage in family.variant_of(variant).blocks]
    # EfficientNet begins with what its stem gives; MobileNetV2 with what its second block gives.
    ends = np.cumsum(blocks) if family is efficientnet else np.cumsum(blocks)[1:] - 2
    first = 1 if family is efficientnet else 2
    states = {f"stage{first + i}": found.hidden_states[end] for i, end in enumerate(ends)}
    states |= {"stem": found.hidden_states[0]} if family is efficientnet else {}
    outputs = {name: torch_vgg_convnext.nhwc(state) for name, state in states.items()}
    return outputs | {"top": found.pooler_output.numpy(), "logits": logits.numpy()}


@pytest.mark.parametrize(("family", "variant"), VARIANTS, ids=[variant for _, variant in VARIANTS])
def test_stages_and_logits_on_drawn_weights(family, variant):
    net = shared.network(family, variant)
    arrays = shared.drawn_arrays(family, net)
    module = torch_vgg_convnext.load(torch_mobile.Net(variant), arrays)
    for shape in draw.INPUTS:
        x = draw.image(shape)
        found = shared.outputs(net, shared.drawn(family, net), x)
        expected = torch_vgg_convnext.outputs(module, x, torch_mobile.stages(variant))
        assert shared.above(1e-5, found, expected, f"{variant} written out {shape}") == {}
        theirs = hugging_face(family, variant, arrays, x)
        shown = {name: found[name] for name in theirs}
        assert shared.above(1e-5, shown, theirs, f"{variant} transformers {shape}") == {}


@pytest.mark.parametrize("variant", PARAMETERS)
def test_names_shapes_and_counts_of_the_large_ones(variant):
    net = shared.network(efficientnet, variant)
    with torch.device("meta"):
        tensors = torch_mobile.Net(variant).state_dict()
    theirs = {name: tuple(tensor.shape) for name, tensor in tensors.items() if "num_batches" not in name}
    assert shared.published_shapes(efficientnet, net) == theirs
    assert count(shared.shapes(net)["params"]) == PARAMETERS[variant]


@pytest.mark.parametrize(("family", "variant"), IN_FLOAT64, ids=[variant for _, variant in IN_FLOAT64])
def test_gradients_in_float64(family, variant):
    """In float64, so that no ReLU opens by rounding; the means, in float32, leave 6e-8 a rounding."""
    arrays = shared.drawn_arrays(family, shared.network(family, variant))
    module = torch_vgg_convnext.load(torch_mobile.Net(variant), arrays)
    x, labels = draw.image((2, 45, 70, 3)), np.array([3, 9])
    loss, grads = shared.gradients(family, variant, x, labels, sizes={})
    value, expected = torch_vgg_convnext.gradients(module, x, labels)
    assert loss == pytest.approx(value, rel=1e-6)
    assert shared.above(1e-6, grads, expected, f"{variant} float64 gradients") == {}
