"""timm's names, for families that follow another naming. timm's ResNets have torchvision's names."""

import re
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from tljax.core.errors import WeightsError
from tljax.core.types import Json, Record, Rule, Spelling
from tljax.networks import bit_names
from tljax.networks.inverted_residual_names import arranged
from tljax.networks.vit_names import join_dinov3

LEAF = r"(weight|bias)"
BLOCK = r"stages\.(\d+)\.blocks\.(\d+)\."


def _as_channels(vector: np.ndarray) -> np.ndarray:
    return vector.reshape(-1, 1, 1)  # (C,) -> (C, 1, 1)


def _as_dense(kernel: np.ndarray) -> np.ndarray:
    return kernel.reshape(len(kernel), -1)  # a convolution over the whole map, (O, I, H, W) -> (O, I H W)


def _as_matrix(array: np.ndarray) -> np.ndarray:
    return _as_dense(array) if array.ndim == 4 else array  # small networks have 1x1 convolutions; a bias is a vector


def _inside(number: int) -> Callable[..., str]:
    return lambda s, b, leaf: f"features.{2 * s + 1}.{b}.block.{number}.{leaf}"


CONVNEXT = (
    Rule(rf"stem\.(\d)\.{LEAF}", lambda i, leaf: f"features.0.{i}.{leaf}"),
    Rule(rf"stages\.(\d+)\.downsample\.(\d)\.{LEAF}", lambda s, i, leaf: f"features.{2 * s}.{i}.{leaf}"),
    Rule(rf"{BLOCK}gamma", lambda s, b: f"features.{2 * s + 1}.{b}.layer_scale", change=_as_channels),
    Rule(rf"{BLOCK}conv_dw\.{LEAF}", lambda s, b, leaf: f"features.{2 * s + 1}.{b}.block.0.{leaf}"),
    Rule(rf"{BLOCK}norm\.{LEAF}", lambda s, b, leaf: f"features.{2 * s + 1}.{b}.block.2.{leaf}"),
    Rule(rf"{BLOCK}mlp\.fc1\.{LEAF}", _inside(3), change=_as_matrix),
    Rule(rf"{BLOCK}mlp\.fc2\.{LEAF}", _inside(5), change=_as_matrix),
    Rule(rf"head\.norm\.{LEAF}", lambda leaf: f"classifier.0.{leaf}"),
    Rule(rf"head\.fc\.{LEAF}", lambda leaf: f"classifier.2.{leaf}"),
)
VGG = (  # the names of its features are torchvision's
    Rule(r"pre_logits\.fc1\.weight", lambda: "classifier.0.weight", change=_as_dense),
    Rule(r"pre_logits\.fc2\.weight", lambda: "classifier.3.weight", change=_as_dense),
    Rule(r"pre_logits\.fc1\.bias", lambda: "classifier.0.bias"),
    Rule(r"pre_logits\.fc2\.bias", lambda: "classifier.3.bias"),
    Rule(rf"head\.fc\.{LEAF}", lambda leaf: f"classifier.6.{leaf}"),
)

BIT = bit_names.rules(r"stem\.conv", r"stages\.(\d+)\.blocks\.(\d+)\.", "norm", r"head\.fc")
# Blocks of the first stage have no expansion, so the same names mean other layers there.
FIRST = {"conv_dw": "depthwise.conv", "bn1": "depthwise.bn", "conv_pw": "project.conv", "bn2": "project.bn"}
OTHERS = {
    "conv_pw": "expand.conv",
    "bn1": "expand.bn",
    "conv_dw": "depthwise.conv",
    "bn2": "depthwise.bn",
    "conv_pwl": "project.conv",
    "bn3": "project.bn",
}


def _inverted(others: str, first: Mapping[str, str] = FIRST) -> tuple[Rule, ...]:
    """Rules for the stem, the first stage, and the other stages; `others` is the pattern of their numbers."""
    return (
        Rule(r"conv_stem\.weight", lambda: "features.0.0.weight"),
        Rule(r"bn1\.(\w+)", lambda leaf: f"features.0.1.{leaf}"),
        Rule(
            rf"blocks\.(0)\.(\d+)\.({'|'.join(first)})\.(\w+)",
            lambda s, b, layer, leaf: f"blocks.{s + 1}.{b}.{first[layer]}.{leaf}",
        ),
        Rule(
            rf"blocks\.({others})\.(\d+)\.({'|'.join(OTHERS)})\.(\w+)",
            lambda s, b, layer, leaf: f"blocks.{s + 1}.{b}.{OTHERS[layer]}.{leaf}",
        ),
    )


SQUEEZE = Rule(
    rf"blocks\.(\d+)\.(\d+)\.se\.conv_(reduce|expand)\.{LEAF}",
    lambda s, b, kind, leaf: f"blocks.{s + 1}.{b}.squeeze_excite.{kind}.{leaf}",
)
HEAD = (
    Rule(r"conv_head\.weight", lambda: "top.conv.weight"),
    Rule(r"bn2\.(\w+)", lambda leaf: f"top.bn.{leaf}"),
    Rule(rf"classifier\.{LEAF}", lambda leaf: f"classifier.1.{leaf}"),
)
MOBILENET_V2 = (*_inverted(r"[1-9]\d*"), *HEAD)
EFFICIENTNET = (*MOBILENET_V2, SQUEEZE)
# Fused blocks of EfficientNetV2: of one convolution in the first stage, of two in the next.
ONE = {"conv": "project.conv", "bn1": "project.bn"}
FUSED = {"conv_exp": "expand.conv", "bn1": "expand.bn", "conv_pwl": "project.conv", "bn2": "project.bn"}
EFFICIENTNET_V2 = (
    *_inverted(r"[3-9]\d*", ONE),
    Rule(
        rf"blocks\.([12])\.(\d+)\.({'|'.join(FUSED)})\.(\w+)",
        lambda s, b, layer, leaf: f"blocks.{s + 1}.{b}.{FUSED[layer]}.{leaf}",
    ),
    SQUEEZE,
    *HEAD,
)


def _v3(last: int) -> tuple[Rule, ...]:
    """Rules for a MobileNetV3 whose stage `last`, numbered from 0, is its last convolution of maps.

    Deeper relatives have more layers in this stage. Rules know these names too, so that `_by_v3` can refuse them.
    """
    return (
        *_inverted(f"[1-{last - 1}]"),
        SQUEEZE,
        Rule(rf"blocks\.{last}\.\d+\.conv\.weight", lambda: "top.conv.weight"),
        Rule(rf"blocks\.{last}\.\d+\.bn1\.(\w+)", lambda leaf: f"top.bn.{leaf}"),
        Rule(r"conv_head\.weight", lambda: "classifier.0.weight", change=_as_dense),  # over a mean
        Rule(r"conv_head\.bias", lambda: "classifier.0.bias"),
        Rule(rf"classifier\.{LEAF}", lambda leaf: f"classifier.3.{leaf}"),
    )


V3_LARGE, V3_SMALL = _v3(last=6), _v3(last=5)

# DINOv3 has the family's names, but separate biases, and a gated MLP in two tensors.
DINOV3 = (
    Rule(r"blocks\.(\d+)\.attn\.([qkv])_bias", lambda i, letter: f"blocks.{i}.attn.{letter}_bias"),
    Rule(rf"blocks\.(\d+)\.mlp\.fc1_([gx])\.{LEAF}", lambda i, part, leaf: f"blocks.{i}.mlp.fc1_{part}.{leaf}"),
)


def _by_architecture(config: Json, where: str) -> Record:
    """The settings of timm's networks whose weights come from TensorFlow, which tensors do not show.

    All have torch's momentum of BatchNorm, 0.1; torchvision's MobileNetV3 and largest EfficientNets have 0.01.

    Raises:
      WeightsError: the architecture stands nowhere.
    """
    if not isinstance(config.get("architecture"), str):
        raise WeightsError(
            f"The tensors of timm's MobileNets and EfficientNets do not show their padding and epsilon: put timm's "
            f"config.json, which has \"architecture\", beside '{where}'."
        )
    name = config["architecture"]
    tensorflow = name.startswith("tf_") or re.fullmatch(r"efficientnet_b\d_pruned", name)
    facts = {"padding": "same", "epsilon": 1e-3} if tensorflow else {"padding": "half", "epsilon": 1e-5}
    return facts | {"momentum": 0.9}


def _by_v3(config: Json, where: str) -> Record:
    """The same for a MobileNetV3. Its relatives share most of its names, but have other blocks or activations.

    Raises:
      WeightsError: the network is a relative, or its architecture stands nowhere.
    """
    facts = _by_architecture(config, where)
    if not re.fullmatch(r"(tf_)?mobilenetv3_(large|small)_\d+", config["architecture"]):
        raise WeightsError(
            f"A network of timm with the names of a MobileNetV3 must be mobilenetv3_large_N or mobilenetv3_small_N, or "
            f"one of them with tf_ before it; the config.json beside '{where}' says '{config['architecture']}', which "
            f"tljax does not build. Choose other weights."
        )
    return facts


SPELLINGS = (
    Spelling("timm", "vit", DINOV3, arrange=join_dinov3),
    Spelling("timm", "convnext", CONVNEXT),
    Spelling("timm", "vgg", VGG),
    Spelling("timm", "bit", BIT, facts={"eps": ("", 1e-8)}),
    Spelling("timm", "mobilenet", MOBILENET_V2, told=_by_architecture, arrange=partial(arranged, counted=True)),
    Spelling("timm", "mobilenet", V3_LARGE, told=_by_v3, arrange=partial(arranged, counted=True)),
    Spelling("timm", "mobilenet", V3_SMALL, told=_by_v3, arrange=partial(arranged, counted=True)),
    Spelling("timm", "efficientnet", EFFICIENTNET, told=_by_architecture, arrange=partial(arranged, counted=False)),
    Spelling("timm", "efficientnet", EFFICIENTNET_V2, told=_by_architecture, arrange=partial(arranged, counted=False)),
)
