"""timm, where it names a family's tensors otherwise than their first publisher. Its ResNets are torchvision's."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from tljax.errors import WeightsError
from tljax.inverted_residual_names import arranged
from tljax.types import Rule, Spelling

LEAF = r"(weight|bias)"
BLOCK = r"stages\.(\d+)\.blocks\.(\d+)\."


def _as_channels(vector: np.ndarray) -> np.ndarray:
    return vector.reshape(-1, 1, 1)  # (C,) -> (C, 1, 1)


def _as_dense(kernel: np.ndarray) -> np.ndarray:
    return kernel.reshape(len(kernel), -1)  # a convolution over all of its map, (O, I, H, W) -> (O, I H W)


CONVNEXT = (
    Rule(rf"stem\.(\d)\.{LEAF}", lambda i, leaf: f"features.0.{i}.{leaf}"),
    Rule(rf"stages\.(\d+)\.downsample\.(\d)\.{LEAF}", lambda s, i, leaf: f"features.{2 * s}.{i}.{leaf}"),
    Rule(rf"{BLOCK}gamma", lambda s, b: f"features.{2 * s + 1}.{b}.layer_scale", change=_as_channels),
    Rule(rf"{BLOCK}conv_dw\.{LEAF}", lambda s, b, leaf: f"features.{2 * s + 1}.{b}.block.0.{leaf}"),
    Rule(rf"{BLOCK}norm\.{LEAF}", lambda s, b, leaf: f"features.{2 * s + 1}.{b}.block.2.{leaf}"),
    Rule(rf"{BLOCK}mlp\.fc1\.{LEAF}", lambda s, b, leaf: f"features.{2 * s + 1}.{b}.block.3.{leaf}"),
    Rule(rf"{BLOCK}mlp\.fc2\.{LEAF}", lambda s, b, leaf: f"features.{2 * s + 1}.{b}.block.5.{leaf}"),
    Rule(rf"head\.norm\.{LEAF}", lambda leaf: f"classifier.0.{leaf}"),
    Rule(rf"head\.fc\.{LEAF}", lambda leaf: f"classifier.2.{leaf}"),
)
VGG = (  # its features are torchvision's
    Rule(r"pre_logits\.fc1\.weight", lambda: "classifier.0.weight", change=_as_dense),
    Rule(r"pre_logits\.fc2\.weight", lambda: "classifier.3.weight", change=_as_dense),
    Rule(r"pre_logits\.fc1\.bias", lambda: "classifier.0.bias"),
    Rule(r"pre_logits\.fc2\.bias", lambda: "classifier.3.bias"),
    Rule(rf"head\.fc\.{LEAF}", lambda leaf: f"classifier.6.{leaf}"),
)

BIT_UNIT = r"stages\.(\d+)\.blocks\.(\d+)\."


def _hwio(kernel: np.ndarray) -> np.ndarray:
    return kernel.transpose(2, 3, 1, 0)  # (O, I, H, W) -> (H, W, I, O)


def _unit(s: int, u: int, scope: str) -> str:
    return f"resnet/block{s + 1}/unit{u + 1:02d}/{scope}"


def _gamma(leaf: str) -> str:
    return "group_norm/" + {"weight": "gamma", "bias": "beta"}[leaf]


KERNEL = "standardized_conv2d/kernel"
BIT = (
    Rule(r"stem\.conv\.weight", lambda: f"resnet/root_block/{KERNEL}", change=_hwio),
    Rule(BIT_UNIT + r"conv([123])\.weight", lambda s, u, c: _unit(s, u, f"{' abc'[c]}/{KERNEL}"), change=_hwio),
    Rule(BIT_UNIT + r"downsample\.conv\.weight", lambda s, u: _unit(s, u, f"a/proj/{KERNEL}"), change=_hwio),
    Rule(BIT_UNIT + rf"norm([123])\.{LEAF}", lambda s, u, c, leaf: _unit(s, u, f"{' abc'[c]}/{_gamma(leaf)}")),
    Rule(rf"norm\.{LEAF}", lambda leaf: f"resnet/{_gamma(leaf)}"),
    Rule(r"head\.fc\.weight", lambda: "resnet/head/conv2d/kernel", change=_hwio),
    Rule(r"head\.fc\.bias", lambda: "resnet/head/conv2d/bias"),
)
# Blocks of the first stage have no expansion, and so other layers under the names of the others.
FIRST = {"conv_dw": "depthwise.conv", "bn1": "depthwise.bn", "conv_pw": "project.conv", "bn2": "project.bn"}
OTHERS = {
    "conv_pw": "expand.conv",
    "bn1": "expand.bn",
    "conv_dw": "depthwise.conv",
    "bn2": "depthwise.bn",
    "conv_pwl": "project.conv",
    "bn3": "project.bn",
}
INVERTED = (
    Rule(r"conv_stem\.weight", lambda: "features.0.0.weight"),
    Rule(r"bn1\.(\w+)", lambda leaf: f"features.0.1.{leaf}"),
    Rule(
        rf"blocks\.(0)\.(\d+)\.({'|'.join(FIRST)})\.(\w+)",
        lambda s, b, layer, leaf: f"blocks.{s + 1}.{b}.{FIRST[layer]}.{leaf}",
    ),
    Rule(
        rf"blocks\.([1-9]\d*)\.(\d+)\.({'|'.join(OTHERS)})\.(\w+)",
        lambda s, b, layer, leaf: f"blocks.{s + 1}.{b}.{OTHERS[layer]}.{leaf}",
    ),
    Rule(r"conv_head\.weight", lambda: "top.conv.weight"),
    Rule(r"bn2\.(\w+)", lambda leaf: f"top.bn.{leaf}"),
    Rule(rf"classifier\.{LEAF}", lambda leaf: f"classifier.1.{leaf}"),
)
EFFICIENTNET = (
    *INVERTED,
    Rule(
        rf"blocks\.(\d+)\.(\d+)\.se\.conv_(reduce|expand)\.{LEAF}",
        lambda s, b, kind, leaf: f"blocks.{s + 1}.{b}.squeeze_excite.{kind}.{leaf}",
    ),
)


def _by_architecture(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """What timm's "tf_" networks, whose weights come from TensorFlow, have otherwise; tensors do not show it.

    Raises:
      WeightsError: nothing says which it is.
    """
    if "architecture" not in config:
        raise WeightsError(
            f"How a MobileNet or EfficientNet of timm pads, and its epsilon, do not show in its tensors: put timm's "
            f"config.json, which has \"architecture\", beside '{where}'."
        )
    tensorflow = config["architecture"].startswith("tf_")
    return {"padding": "same", "epsilon": 1e-3} if tensorflow else {"padding": "half", "epsilon": 1e-5}


SPELLINGS = (
    Spelling("timm", "convnext", CONVNEXT),
    Spelling("timm", "vgg", VGG),
    Spelling("timm", "bit", BIT, facts={"eps": ("", 1e-8)}),
    Spelling("timm", "mobilenet", INVERTED, told=_by_architecture, arrange=partial(arranged, counted=True)),
    Spelling("timm", "efficientnet", EFFICIENTNET, told=_by_architecture, arrange=partial(arranged, counted=False)),
)
