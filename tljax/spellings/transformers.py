"""Hugging Face transformers: what `save_pretrained` writes, of the backbone alone (ViTModel) or with its classifier.

Where a pattern has two spellings, the first is that of the files, the second that of the modules since transformers 5.
"""

import numpy as np

from tljax.types import Rule, Spelling

LEAF = r"(weight|bias)"
LAYER = r"(?:vit\.|deit\.)?(?:encoder\.layer|layers)\.(\d+)\."  # of a ViT or DeiT
BLOCK = r"(?:resnet\.)?encoder\.stages\.(\d+)\.layers\.(\d+)\."
NEXT = r"(?:convnext\.)?"
NEXT_BLOCK = NEXT + r"encoder\.stages\.(\d+)\.layers\.(\d+)\."


def _as_channels(vector: np.ndarray) -> np.ndarray:
    return vector.reshape(-1, 1, 1)  # (C,) -> (C, 1, 1)


RESNET = (
    Rule(r"(?:resnet\.)?embedder\.embedder\.convolution\.weight", lambda: "conv1.weight"),
    Rule(r"(?:resnet\.)?embedder\.embedder\.normalization\.(\w+)", lambda leaf: f"bn1.{leaf}"),
    Rule(BLOCK + r"layer\.(\d)\.convolution\.weight", lambda s, b, c: f"layer{s + 1}.{b}.conv{c + 1}.weight"),
    Rule(BLOCK + r"layer\.(\d)\.normalization\.(\w+)", lambda s, b, c, leaf: f"layer{s + 1}.{b}.bn{c + 1}.{leaf}"),
    Rule(BLOCK + r"shortcut\.convolution\.weight", lambda s, b: f"layer{s + 1}.{b}.downsample.0.weight"),
    Rule(BLOCK + r"shortcut\.normalization\.(\w+)", lambda s, b, leaf: f"layer{s + 1}.{b}.downsample.1.{leaf}"),
    Rule(rf"classifier\.1\.{LEAF}", lambda leaf: f"fc.{leaf}"),
)
VIT = (
    Rule(r"(?:vit\.|deit\.)?embeddings\.cls_token", lambda: "cls_token"),
    Rule(r"(?:vit\.|deit\.)?embeddings\.distillation_token", lambda: "dist_token"),
    Rule(r"(?:vit\.|deit\.)?embeddings\.mask_token", None),  # of pretraining alone
    Rule(r"(?:vit\.|deit\.)?embeddings\.position_embeddings", lambda: "pos_embed"),
    Rule(
        rf"(?:vit\.|deit\.)?embeddings\.patch_embeddings\.projection\.{LEAF}", lambda leaf: f"patch_embed.proj.{leaf}"
    ),
    Rule(rf"{LAYER}layernorm_before\.{LEAF}", lambda i, leaf: f"blocks.{i}.norm1.{leaf}"),
    Rule(rf"{LAYER}layernorm_after\.{LEAF}", lambda i, leaf: f"blocks.{i}.norm2.{leaf}"),
    Rule(rf"{LAYER}attention\.(?:attention\.query|q_proj)\.{LEAF}", lambda i, leaf: f"blocks.{i}.attn.qkv.{leaf}", 0),
    Rule(rf"{LAYER}attention\.(?:attention\.key|k_proj)\.{LEAF}", lambda i, leaf: f"blocks.{i}.attn.qkv.{leaf}", 1),
    Rule(rf"{LAYER}attention\.(?:attention\.value|v_proj)\.{LEAF}", lambda i, leaf: f"blocks.{i}.attn.qkv.{leaf}", 2),
    Rule(rf"{LAYER}attention\.(?:output\.dense|o_proj)\.{LEAF}", lambda i, leaf: f"blocks.{i}.attn.proj.{leaf}"),
    Rule(rf"{LAYER}(?:intermediate\.dense|mlp\.fc1)\.{LEAF}", lambda i, leaf: f"blocks.{i}.mlp.fc1.{leaf}"),
    Rule(rf"{LAYER}(?:output\.dense|mlp\.fc2)\.{LEAF}", lambda i, leaf: f"blocks.{i}.mlp.fc2.{leaf}"),
    Rule(rf"(?:vit\.|deit\.)?layernorm\.{LEAF}", lambda leaf: f"norm.{leaf}"),
    Rule(rf"(?:vit\.|deit\.)?pooler\.dense\.{LEAF}", None),  # ViTModel's, drawn at random and never trained
    Rule(rf"(?:cls_)?classifier\.{LEAF}", lambda leaf: f"head.{leaf}"),
    Rule(rf"distillation_classifier\.{LEAF}", lambda leaf: f"head_dist.{leaf}"),
)
CONVNEXT = (
    Rule(rf"{NEXT}embeddings\.patch_embeddings\.{LEAF}", lambda leaf: f"features.0.0.{leaf}"),
    Rule(rf"{NEXT}embeddings\.layernorm\.{LEAF}", lambda leaf: f"features.0.1.{leaf}"),
    Rule(
        rf"{NEXT}encoder\.stages\.(\d+)\.downsampling_layer\.(\d)\.{LEAF}",
        lambda s, i, leaf: f"features.{2 * s}.{i}.{leaf}",
    ),
    Rule(
        rf"{NEXT_BLOCK}layer_scale_parameter",
        lambda s, b: f"features.{2 * s + 1}.{b}.layer_scale",
        change=_as_channels,
    ),
    Rule(rf"{NEXT_BLOCK}dwconv\.{LEAF}", lambda s, b, leaf: f"features.{2 * s + 1}.{b}.block.0.{leaf}"),
    Rule(rf"{NEXT_BLOCK}layernorm\.{LEAF}", lambda s, b, leaf: f"features.{2 * s + 1}.{b}.block.2.{leaf}"),
    Rule(rf"{NEXT_BLOCK}pwconv1\.{LEAF}", lambda s, b, leaf: f"features.{2 * s + 1}.{b}.block.3.{leaf}"),
    Rule(rf"{NEXT_BLOCK}pwconv2\.{LEAF}", lambda s, b, leaf: f"features.{2 * s + 1}.{b}.block.5.{leaf}"),
    Rule(rf"{NEXT}layernorm\.{LEAF}", lambda leaf: f"classifier.0.{leaf}"),
    Rule(rf"classifier\.{LEAF}", lambda leaf: f"classifier.2.{leaf}"),
)

SPELLINGS = (
    Spelling(
        "transformers",
        "resnet",
        RESNET,
        must={"hidden_act": "relu", "downsample_in_first_stage": False, "downsample_in_bottleneck": False},
    ),
    Spelling(
        "transformers",
        "vit",
        VIT,
        # Defaults of ViTConfig and DeiTConfig; heads that no config tells are those of the table.
        facts={"heads": ("num_attention_heads", None), "eps": ("layer_norm_eps", 1e-12)},
        must={"hidden_act": "gelu"},
    ),
    Spelling(
        "transformers",
        "convnext",
        CONVNEXT,
        facts={"eps": ("layer_norm_eps", 1e-12)},  # of the last LayerNorm alone; the others have 1e-6
        must={"hidden_act": "gelu"},
    ),
)
