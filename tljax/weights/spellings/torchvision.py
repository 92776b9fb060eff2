"""torchvision's names, for families that follow another naming (ViT), and the names in its oldest files."""

from tljax.core.types import Rule, Spelling

LEAF = r"(weight|bias)"
LAYER = r"encoder\.layers\.encoder_layer_(\d+)\."

VIT = (
    Rule(r"class_token", lambda: "cls_token"),
    Rule(r"encoder\.pos_embedding", lambda: "pos_embed"),
    Rule(rf"conv_proj\.{LEAF}", lambda leaf: f"patch_embed.proj.{leaf}"),
    Rule(rf"{LAYER}ln_(\d)\.{LEAF}", lambda i, n, leaf: f"blocks.{i}.norm{n}.{leaf}"),
    Rule(rf"{LAYER}self_attention\.in_proj_{LEAF}", lambda i, leaf: f"blocks.{i}.attn.qkv.{leaf}"),
    Rule(rf"{LAYER}self_attention\.out_proj\.{LEAF}", lambda i, leaf: f"blocks.{i}.attn.proj.{leaf}"),
    Rule(rf"{LAYER}mlp\.(?:0|linear_1)\.{LEAF}", lambda i, leaf: f"blocks.{i}.mlp.fc1.{leaf}"),
    Rule(rf"{LAYER}mlp\.(?:3|linear_2)\.{LEAF}", lambda i, leaf: f"blocks.{i}.mlp.fc2.{leaf}"),
    Rule(rf"encoder\.ln\.{LEAF}", lambda leaf: f"norm.{leaf}"),
    Rule(rf"heads\.head\.{LEAF}", lambda leaf: f"head.{leaf}"),
)

# torchvision's published files of DenseNets: torch no longer allows the dots in these names, and torchvision renames
# them when it loads a file.
DENSENET = (
    Rule(
        r"features\.denseblock(\d)\.denselayer(\d+)\.(norm|conv)\.(\d)\.(\w+)",
        lambda s, i, kind, c, leaf: f"features.denseblock{s}.denselayer{i}.{kind}{c}.{leaf}",
    ),
)

SPELLINGS = (Spelling("torchvision", "vit", VIT), Spelling("torchvision", "densenet", DENSENET))
