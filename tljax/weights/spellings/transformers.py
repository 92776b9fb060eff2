"""Hugging Face transformers: the files of `save_pretrained`, with the backbone only (ViTModel) or with a classifier.

If a pattern has two spellings, the first is that of files, the second that of modules since transformers 5.
"""

from functools import partial

import numpy as np

from tljax.core.errors import WeightsError
from tljax.core.types import Json, Record, Rule, Spelling
from tljax.networks import bit_names
from tljax.networks.inverted_residual_names import arranged

LEAF = r"(weight|bias)"
LAYER = r"(?:vit\.|deit\.)?(?:encoder\.layer|layers)\.(\d+)\."  # a layer of a ViT or DeiT
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
    Rule(r"(?:vit\.|deit\.)?embeddings\.mask_token|decoder\..*", None),  # for pretraining; of a ViTMAE
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
    Rule(rf"(?:vit\.|deit\.)?pooler\.dense\.{LEAF}", None),  # ViTModel's pooler, which is random and was never trained
    Rule(rf"(?:cls_)?classifier\.{LEAF}", lambda leaf: f"head.{leaf}"),
    Rule(rf"distillation_classifier\.{LEAF}", lambda leaf: f"head_dist.{leaf}"),
)


def _square(config: Json, where: str) -> Record:
    """No settings; it only checks that the published grid of patches is square, as resizing assumes.

    Raises:
      WeightsError: the grid is not square.
    """
    size = config.get("image_size", 0)
    if isinstance(size, list) and any(side != size[0] for side in size):
        raise WeightsError(
            f"Position embeddings must be published for square pictures; the config.json beside '{where}' says "
            f"image_size {size}. Choose other weights."
        )
    return {}


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

DINOV3 = r"(?:model\.)?stages\.(\d+)\."  # a ConvNeXt with other names
DINOV3_CONVNEXT = (
    Rule(rf"{DINOV3}downsample_layers\.(\d)\.{LEAF}", lambda s, i, leaf: f"features.{2 * s}.{i}.{leaf}"),
    Rule(rf"{DINOV3}layers\.(\d+)\.gamma", lambda s, b: f"features.{2 * s + 1}.{b}.layer_scale", change=_as_channels),
    *(
        Rule(
            rf"{DINOV3}layers\.(\d+)\.{layer}\.{LEAF}",
            lambda s, b, leaf, number=number: f"features.{2 * s + 1}.{b}.block.{number}.{leaf}",
        )
        for layer, number in (("depthwise_conv", 0), ("layer_norm", 2), ("pointwise_conv1", 3), ("pointwise_conv2", 5))
    ),
    Rule(rf"layer_norm\.{LEAF}", lambda leaf: f"classifier.0.{leaf}"),
)

BIT = bit_names.rules(
    r"(?:bit\.)?embedder\.convolution",
    r"(?:bit\.)?encoder\.stages\.(\d+)\.layers\.(\d+)\.",
    r"(?:bit\.)?norm",
    r"classifier\.1",
)
V2 = r"(?:mobilenet_v2\.)?"
KINDS = {"convolution": "conv", "normalization": "bn"}
V2_PARTS = {"expand_1x1": "expand", "conv_3x3": "depthwise", "reduce_1x1": "project"}
CONV = r"(convolution|normalization)\.(\w+)"
MOBILENET_V2 = (
    Rule(rf"{V2}conv_stem\.first_conv\.convolution\.weight", lambda: "features.0.0.weight"),
    Rule(rf"{V2}conv_stem\.first_conv\.normalization\.(\w+)", lambda leaf: f"features.0.1.{leaf}"),
    Rule(
        rf"{V2}conv_stem\.(conv_3x3|reduce_1x1)\.{CONV}",
        lambda part, kind, leaf: f"blocks.0.0.{V2_PARTS[part]}.{KINDS[kind]}.{leaf}",
    ),
    Rule(
        rf"{V2}layer\.(\d+)\.(expand_1x1|conv_3x3|reduce_1x1)\.{CONV}",
        lambda i, part, kind, leaf: f"blocks.0.{i + 1}.{V2_PARTS[part]}.{KINDS[kind]}.{leaf}",
    ),
    Rule(rf"{V2}conv_1x1\.{CONV}", lambda kind, leaf: f"top.{KINDS[kind]}.{leaf}"),
    Rule(rf"classifier\.{LEAF}", lambda leaf: f"classifier.1.{leaf}"),
)


def _v2_padding(config: Json, where: str) -> Record:
    del where
    return {"padding": "same" if config.get("tf_padding", True) else "half"}


EFF = r"(?:efficientnet\.)?"
EFF_BLOCK = EFF + r"encoder\.blocks\.(\d+)\."
EFFICIENTNET = (
    Rule(rf"{EFF}embeddings\.convolution\.weight", lambda: "features.0.0.weight"),
    Rule(rf"{EFF}embeddings\.batchnorm\.(\w+)", lambda leaf: f"features.0.1.{leaf}"),
    Rule(rf"{EFF_BLOCK}expansion\.expand_(conv|bn)\.(\w+)", lambda i, kind, leaf: f"blocks.0.{i}.expand.{kind}.{leaf}"),
    Rule(
        rf"{EFF_BLOCK}depthwise_conv\.depthwise_(conv|norm)\.(\w+)",
        lambda i, kind, leaf: f"blocks.0.{i}.depthwise.{'conv' if kind == 'conv' else 'bn'}.{leaf}",
    ),
    Rule(
        rf"{EFF_BLOCK}squeeze_excite\.(reduce|expand)\.{LEAF}",
        lambda i, kind, leaf: f"blocks.0.{i}.squeeze_excite.{kind}.{leaf}",
    ),
    Rule(
        rf"{EFF_BLOCK}projection\.project_(conv|bn)\.(\w+)",
        lambda i, kind, leaf: f"blocks.0.{i}.project.{kind}.{leaf}",
    ),
    Rule(rf"{EFF}encoder\.top_(conv|bn)\.(\w+)", lambda kind, leaf: f"top.{kind}.{leaf}"),
    Rule(rf"classifier\.{LEAF}", lambda leaf: f"classifier.1.{leaf}"),
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
        # Defaults of ViTConfig and DeiTConfig. If no config has the number of heads, it comes from the table.
        facts={"heads": ("num_attention_heads", None), "eps": ("layer_norm_eps", 1e-12)},
        must={"hidden_act": "gelu"},
        told=_square,
    ),
    Spelling(
        "transformers",
        "convnext",
        CONVNEXT,
        facts={"eps": ("layer_norm_eps", 1e-12)},  # of the last LayerNorm only; the others have 1e-6
        must={"hidden_act": "gelu"},
    ),
    Spelling(
        "transformers",
        "convnext",
        DINOV3_CONVNEXT,
        must={"hidden_act": "gelu", "layer_norm_eps": 1e-6},  # of every LayerNorm
    ),
    Spelling(
        "transformers",
        "bit",
        BIT,
        facts={"eps": ("", 1e-8)},
        must={
            "layer_type": "preactivation",
            "global_padding": None,
            "embedding_dynamic_padding": False,
            "hidden_act": "relu",
            "num_groups": 32,
            "output_stride": 32,
            "width_factor": 1,
        },
    ),
    Spelling(
        "transformers",
        "mobilenet",
        MOBILENET_V2,
        facts={"epsilon": ("layer_norm_eps", 1e-3)},
        must={"hidden_act": "relu6", "output_stride": 32, "first_layer_is_expansion": True},
        told=_v2_padding,
        arrange=partial(arranged, counted=True, first_adds=False),
    ),
    Spelling(
        "transformers",
        "efficientnet",
        EFFICIENTNET,
        facts={
            "epsilon": ("batch_norm_eps", 1e-3),
            "momentum": ("batch_norm_momentum", 0.99),
            "padding": ("", "after"),
            "halves": ("depthwise_padding", ()),
        },
        must={"hidden_act": "swish", "pooling_type": "mean", "strides": [1, 2, 2, 2, 1, 2, 1]},
        arrange=partial(arranged, counted=False, first_adds=False),
    ),
)
