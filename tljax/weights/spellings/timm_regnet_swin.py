"""timm's names of RegNets and of Swin Transformers."""

from tljax.core.types import Rule, Spelling

LEAF = r"(weight|bias)"
REGNET_BLOCK = r"s(\d)\.b(\d+)\."


def _regnet(s: int, b: int) -> str:
    return f"trunk_output.block{s}.block{s}-{b - 1}"


REGNET = (
    Rule(r"stem\.conv\.weight", lambda: "stem.0.weight"),
    Rule(r"stem\.bn\.(\w+)", lambda leaf: f"stem.1.{leaf}"),
    Rule(rf"{REGNET_BLOCK}conv(\d)\.conv\.weight", lambda s, b, i: f"{_regnet(s, b)}.f.{'abc'[i - 1]}.0.weight"),
    Rule(rf"{REGNET_BLOCK}conv(\d)\.bn\.(\w+)", lambda s, b, i, leaf: f"{_regnet(s, b)}.f.{'abc'[i - 1]}.1.{leaf}"),
    Rule(rf"{REGNET_BLOCK}se\.(fc\d)\.{LEAF}", lambda s, b, fc, leaf: f"{_regnet(s, b)}.f.se.{fc}.{leaf}"),
    Rule(rf"{REGNET_BLOCK}downsample\.conv\.weight", lambda s, b: f"{_regnet(s, b)}.proj.0.weight"),
    Rule(rf"{REGNET_BLOCK}downsample\.bn\.(\w+)", lambda s, b, leaf: f"{_regnet(s, b)}.proj.1.{leaf}"),
    Rule(rf"head\.fc\.{LEAF}", lambda leaf: f"fc.{leaf}"),
)
SWIN_BLOCK = r"layers\.(\d)\.blocks\.(\d+)\."
SWIN = (
    Rule(rf"patch_embed\.proj\.{LEAF}", lambda leaf: f"features.0.0.{leaf}"),
    Rule(rf"patch_embed\.norm\.{LEAF}", lambda leaf: f"features.0.2.{leaf}"),
    Rule(
        rf"layers\.(\d)\.downsample\.(norm|reduction)\.{LEAF}", lambda s, part, leaf: f"features.{2 * s}.{part}.{leaf}"
    ),
    Rule(rf"{SWIN_BLOCK}(norm\d)\.{LEAF}", lambda s, b, norm, leaf: f"features.{2 * s + 1}.{b}.{norm}.{leaf}"),
    Rule(
        rf"{SWIN_BLOCK}attn\.(qkv|proj)\.{LEAF}",
        lambda s, b, part, leaf: f"features.{2 * s + 1}.{b}.attn.{part}.{leaf}",
    ),
    Rule(
        rf"{SWIN_BLOCK}attn\.relative_position_bias_table",
        lambda s, b: f"features.{2 * s + 1}.{b}.attn.relative_position_bias_table",
    ),
    Rule(rf"{SWIN_BLOCK}attn\.relative_position_index|{SWIN_BLOCK}attn_mask", None),  # buffers in older files
    Rule(
        rf"{SWIN_BLOCK}mlp\.fc(\d)\.{LEAF}", lambda s, b, i, leaf: f"features.{2 * s + 1}.{b}.mlp.{3 * (i - 1)}.{leaf}"
    ),
    Rule(rf"head\.fc\.{LEAF}", lambda leaf: f"head.{leaf}"),
)
SPELLINGS = (Spelling("timm", "regnet", REGNET), Spelling("timm", "swin", SWIN))
