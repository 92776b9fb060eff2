"""The authors' own files, for families that follow the naming of another library."""

from tljax.core.types import Rule, Spelling
from tljax.networks.vit_names import add_bias, fold_class_position

LEAF = r"(weight|bias)"

# Meta's DINOv2: timm's names, except these.
DINOV2 = (
    Rule(r"register_tokens", lambda: "reg_token"),
    Rule(r"mask_token", None),  # only for pretraining
    Rule(rf"blocks\.(\d+)\.mlp\.w12\.{LEAF}", lambda i, leaf: f"blocks.{i}.mlp.fc1.{leaf}"),
    Rule(rf"blocks\.(\d+)\.mlp\.w3\.{LEAF}", lambda i, leaf: f"blocks.{i}.mlp.fc2.{leaf}"),
)
# Meta's whole MAE: the encoder is a ViT with timm's names.
MAE = (Rule(r"mask_token|decoder_.*", None),)
# OpenAI's CLIP, and OpenCLIP with its own vision transformer; the tower for texts is left out.
BLOCK = r"visual\.transformer\.resblocks\.(\d+)\."
CLIP = (
    Rule(r"visual\.class_embedding", lambda: "cls_token", change=lambda x: x[None, None]),
    Rule(r"visual\.positional_embedding", lambda: "pos_embed", change=lambda x: x[None]),
    Rule(r"visual\.conv1\.weight", lambda: "patch_embed.proj.weight"),
    Rule(rf"visual\.ln_pre\.{LEAF}", lambda leaf: f"norm_pre.{leaf}"),
    Rule(rf"{BLOCK}ln_(\d)\.{LEAF}", lambda i, n, leaf: f"blocks.{i}.norm{n}.{leaf}"),
    Rule(rf"{BLOCK}attn\.in_proj_{LEAF}", lambda i, leaf: f"blocks.{i}.attn.qkv.{leaf}"),
    Rule(rf"{BLOCK}attn\.out_proj\.{LEAF}", lambda i, leaf: f"blocks.{i}.attn.proj.{leaf}"),
    Rule(rf"{BLOCK}mlp\.c_fc\.{LEAF}", lambda i, leaf: f"blocks.{i}.mlp.fc1.{leaf}"),
    Rule(rf"{BLOCK}mlp\.c_proj\.{LEAF}", lambda i, leaf: f"blocks.{i}.mlp.fc2.{leaf}"),
    Rule(rf"visual\.ln_post\.{LEAF}", lambda leaf: f"norm.{leaf}"),
    Rule(r"visual\.proj", lambda: "head.weight", change=lambda x: x.T),
    Rule(
        r"(?:transformer|token_embedding|ln_final)\..*|positional_embedding|text_projection|logit_scale|"
        r"input_resolution|context_length|vocab_size",
        None,
    ),
)
# Meta's ConvNeXt V2; the family has timm's names.
V2_LAYERS = {"dwconv": "conv_dw", "norm": "norm", "pwconv1": "mlp.fc1", "pwconv2": "mlp.fc2"}
V2_GRN = {"gamma": "weight", "beta": "bias"}
CONVNEXT_V2 = (
    Rule(rf"downsample_layers\.0\.(\d)\.{LEAF}", lambda i, leaf: f"stem.{i}.{leaf}"),
    Rule(rf"downsample_layers\.(\d)\.(\d)\.{LEAF}", lambda s, i, leaf: f"stages.{s}.downsample.{i}.{leaf}"),
    Rule(
        rf"stages\.(\d)\.(\d+)\.({'|'.join(V2_LAYERS)})\.{LEAF}",
        lambda s, b, layer, leaf: f"stages.{s}.blocks.{b}.{V2_LAYERS[layer]}.{leaf}",
    ),
    Rule(
        r"stages\.(\d)\.(\d+)\.grn\.(gamma|beta)",
        lambda s, b, leaf: f"stages.{s}.blocks.{b}.mlp.grn.{V2_GRN[leaf]}",
        change=lambda x: x.reshape(-1),
    ),
    Rule(rf"norm\.{LEAF}", lambda leaf: f"head.norm.{leaf}"),
    Rule(rf"head\.{LEAF}", lambda leaf: f"head.fc.{leaf}"),
)

SPELLINGS = (
    Spelling("its authors", "convnext", CONVNEXT_V2),
    Spelling("its authors", "vit", DINOV2, arrange=fold_class_position),
    Spelling("its authors", "vit", MAE),
    Spelling("its authors", "vit", CLIP, arrange=add_bias),
)
