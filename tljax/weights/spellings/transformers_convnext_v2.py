"""Hugging Face transformers' ConvNeXt V2; the family has timm's names of it."""

import numpy as np

from tljax.core.types import Rule, Spelling

LEAF = r"(weight|bias)"
NEXT = r"(?:convnextv2\.)?"
BLOCK = NEXT + r"encoder\.stages\.(\d+)\.layers\.(\d+)\."
LAYERS = {"dwconv": "conv_dw", "layernorm": "norm", "pwconv1": "mlp.fc1", "pwconv2": "mlp.fc2"}


def _as_vector(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1)  # (1, 1, 1, C) -> (C,)


CONVNEXT_V2 = (
    Rule(rf"{NEXT}embeddings\.patch_embeddings\.{LEAF}", lambda leaf: f"stem.0.{leaf}"),
    Rule(rf"{NEXT}embeddings\.layernorm\.{LEAF}", lambda leaf: f"stem.1.{leaf}"),
    Rule(
        rf"{NEXT}encoder\.stages\.(\d+)\.downsampling_layer\.(\d)\.{LEAF}",
        lambda s, i, leaf: f"stages.{s}.downsample.{i}.{leaf}",
    ),
    Rule(
        rf"{BLOCK}({'|'.join(LAYERS)})\.{LEAF}",
        lambda s, b, layer, leaf: f"stages.{s}.blocks.{b}.{LAYERS[layer]}.{leaf}",
    ),
    Rule(rf"{BLOCK}grn\.{LEAF}", lambda s, b, leaf: f"stages.{s}.blocks.{b}.mlp.grn.{leaf}", change=_as_vector),
    Rule(rf"{NEXT}layernorm\.{LEAF}", lambda leaf: f"head.norm.{leaf}"),
    Rule(rf"classifier\.{LEAF}", lambda leaf: f"head.fc.{leaf}"),
)

SPELLINGS = (
    Spelling(
        "transformers",
        "convnext",
        CONVNEXT_V2,
        facts={"eps": ("layer_norm_eps", 1e-12)},
        must={"hidden_act": "gelu"},
    ),
)
