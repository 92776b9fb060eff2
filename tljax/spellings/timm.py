"""timm, where it names a family's tensors otherwise than their first publisher. Its ResNets are torchvision's."""

import numpy as np

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

SPELLINGS = (Spelling("timm", "convnext", CONVNEXT), Spelling("timm", "vgg", VGG))
