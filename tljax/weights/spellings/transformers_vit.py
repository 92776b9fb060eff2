"""Hugging Face transformers' other vision transformers (besides ViT and DeiT): DINOv2, DINOv3, and the towers for
pictures of CLIP, SigLIP and TIPSv2. If a file also holds the tower for texts, that tower is left out.
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from tljax.core.errors import WeightsError
from tljax.core.types import Arrays, Json, Record, Rule, Spelling
from tljax.networks.vit_names import add_bias, fold_class_position, join_dinov3

LEAF = r"(weight|bias)"
ACTIVATIONS = {"gelu": "gelu", "gelu_pytorch_tanh": "gelu_tanh", "quick_gelu": "quick_gelu"}


def _qkv(layer: str, old: str, new: str, leaf: str = "weight|bias") -> tuple[Rule, ...]:
    """Queries, keys and values, one tensor here; `old` and `new` hold a placeholder for the letter or word."""
    pairs = (("query", "q"), ("key", "k"), ("value", "v"))
    return tuple(
        Rule(
            rf"{layer}(?:{old.format(word)}|{new.format(letter)})\.({leaf})",
            lambda i, leaf: f"blocks.{i}.attn.qkv.{leaf}",
            part,
        )
        for part, (word, letter) in enumerate(pairs)
    )


DINO = r"(?:dinov2\.|dinov2_with_registers\.|vision_model\.)?"
DINO_LAYER = DINO + r"encoder\.layer\.(\d+)\."
DINOV2 = (
    Rule(DINO + r"embeddings\.cls_token", lambda: "cls_token"),
    Rule(DINO + r"embeddings\.register_tokens", lambda: "reg_token"),
    Rule(DINO + r"embeddings\.mask_token", None),  # only for pretraining
    Rule(DINO + r"embeddings\.position_embeddings", lambda: "pos_embed"),
    Rule(rf"{DINO}embeddings\.patch_embeddings\.projection\.{LEAF}", lambda leaf: f"patch_embed.proj.{leaf}"),
    Rule(rf"{DINO_LAYER}norm(\d)\.{LEAF}", lambda i, n, leaf: f"blocks.{i}.norm{n}.{leaf}"),
    *_qkv(DINO_LAYER, r"attention\.attention\.{}", r"attention\.{}_proj"),
    Rule(rf"{DINO_LAYER}attention\.(?:output\.dense|o_proj)\.{LEAF}", lambda i, leaf: f"blocks.{i}.attn.proj.{leaf}"),
    Rule(rf"{DINO_LAYER}layer_scale(\d)\.lambda1", lambda i, n: f"blocks.{i}.ls{n}.gamma"),
    Rule(rf"{DINO_LAYER}mlp\.(?:fc1|weights_in)\.{LEAF}", lambda i, leaf: f"blocks.{i}.mlp.fc1.{leaf}"),
    Rule(rf"{DINO_LAYER}mlp\.gate_proj\.{LEAF}", lambda i, leaf: f"blocks.{i}.mlp.fc1.{leaf}", 0),
    Rule(rf"{DINO_LAYER}mlp\.up_proj\.{LEAF}", lambda i, leaf: f"blocks.{i}.mlp.fc1.{leaf}", 1),
    Rule(rf"{DINO_LAYER}mlp\.(?:fc2|weights_out|down_proj)\.{LEAF}", lambda i, leaf: f"blocks.{i}.mlp.fc2.{leaf}"),
    Rule(rf"{DINO}layernorm\.{LEAF}", lambda leaf: f"norm.{leaf}"),
    Rule(r"text_model\..*|temperature", None),  # TIPSv2's tower for texts, and the scale of its logits
)
TIPS = r"vision_encoder\."  # in TIPSv2's files, which transformers writes too
TIPS_LAYER = TIPS + r"blocks\.(\d+)\."
TIPSV2 = (
    Rule(TIPS + r"(cls_token|pos_embed)", lambda name: name),
    Rule(TIPS + r"register_tokens", lambda: "reg_token"),
    Rule(TIPS + r"mask_token", None),  # only for pretraining
    Rule(rf"{TIPS}(patch_embed\.proj|norm)\.{LEAF}", lambda layer, leaf: f"{layer}.{leaf}"),
    Rule(
        rf"{TIPS_LAYER}(norm1|norm2|attn\.qkv|attn\.proj|mlp\.fc1|mlp\.fc2)\.{LEAF}",
        lambda i, layer, leaf: f"blocks.{i}.{layer}.{leaf}",
    ),
    Rule(rf"{TIPS_LAYER}ls(\d)\.gamma", lambda i, n: f"blocks.{i}.ls{n}.gamma"),
    Rule(rf"{TIPS_LAYER}mlp\.(?:c_fc|w12)\.{LEAF}", lambda i, leaf: f"blocks.{i}.mlp.fc1.{leaf}"),
    Rule(rf"{TIPS_LAYER}mlp\.(?:c_proj|w3)\.{LEAF}", lambda i, leaf: f"blocks.{i}.mlp.fc2.{leaf}"),
    Rule(r"text_encoder\..*|temperature", None),
)
V3 = r"(?:model\.)?layer\.(\d+)\."
DINOV3 = (
    Rule(r"embeddings\.cls_token", lambda: "cls_token"),
    Rule(r"embeddings\.register_tokens", lambda: "reg_token"),
    Rule(r"embeddings\.mask_token", None),  # only for pretraining
    Rule(rf"embeddings\.patch_embeddings\.{LEAF}", lambda leaf: f"patch_embed.proj.{leaf}"),
    Rule(rf"{V3}norm(\d)\.{LEAF}", lambda i, n, leaf: f"blocks.{i}.norm{n}.{leaf}"),
    *_qkv(V3, r"attention\.{}", r"attention\.{}_proj", r"weight"),
    Rule(rf"{V3}attention\.([qkv])_proj\.bias", lambda i, letter: f"blocks.{i}.attn.{letter}_bias"),
    Rule(rf"{V3}attention\.o_proj\.{LEAF}", lambda i, leaf: f"blocks.{i}.attn.proj.{leaf}"),
    Rule(rf"{V3}layer_scale(\d)\.lambda1", lambda i, n: f"blocks.{i}.gamma_{n}"),
    Rule(rf"{V3}mlp\.gate_proj\.{LEAF}", lambda i, leaf: f"blocks.{i}.mlp.fc1_g.{leaf}"),
    Rule(rf"{V3}mlp\.up_proj\.{LEAF}", lambda i, leaf: f"blocks.{i}.mlp.fc1_x.{leaf}"),
    Rule(rf"{V3}mlp\.down_proj\.{LEAF}", lambda i, leaf: f"blocks.{i}.mlp.fc2.{leaf}"),
    Rule(rf"norm\.{LEAF}", lambda leaf: f"norm.{leaf}"),
)
TOWER = r"(?:vision_model\.)?"
TOWER_LAYER = TOWER + r"encoder\.layers\.(\d+)\."
LAYERS = (
    Rule(rf"{TOWER}embeddings\.patch_embedding\.{LEAF}", lambda leaf: f"patch_embed.proj.{leaf}"),
    Rule(rf"{TOWER}embeddings\.position_embedding\.weight", lambda: "pos_embed", change=lambda x: x[None]),
    Rule(rf"{TOWER}embeddings\.position_ids", None),  # 0, 1, 2, ...
    Rule(rf"{TOWER_LAYER}layer_norm(\d)\.{LEAF}", lambda i, n, leaf: f"blocks.{i}.norm{n}.{leaf}"),
    *_qkv(TOWER_LAYER, r"self_attn\.{}_proj", r"self_attn\.{}_proj"),
    Rule(rf"{TOWER_LAYER}self_attn\.out_proj\.{LEAF}", lambda i, leaf: f"blocks.{i}.attn.proj.{leaf}"),
    Rule(rf"{TOWER_LAYER}mlp\.fc(\d)\.{LEAF}", lambda i, n, leaf: f"blocks.{i}.mlp.fc{n}.{leaf}"),
    Rule(rf"{TOWER}post_layernorm\.{LEAF}", lambda leaf: f"norm.{leaf}"),
    Rule(r"text_model\..*|text_projection\.weight|logit_scale|logit_bias", None),  # the tower for texts
)
CLIP = (
    *LAYERS,
    Rule(TOWER + r"embeddings\.class_embedding", lambda: "cls_token", change=lambda x: x[None, None]),
    Rule(rf"{TOWER}pre_layrnorm\.{LEAF}", lambda leaf: f"norm_pre.{leaf}"),
    Rule(r"visual_projection\.weight", lambda: "head.weight"),
)
SIGLIP = (
    *LAYERS,
    Rule(TOWER + r"head\.probe", lambda: "attn_pool.latent"),
    Rule(rf"{TOWER}head\.attention\.in_proj_{LEAF}", lambda leaf: f"attn_pool.qkv.{leaf}"),
    Rule(rf"{TOWER}head\.attention\.out_proj\.{LEAF}", lambda leaf: f"attn_pool.proj.{leaf}"),
    Rule(rf"{TOWER}head\.layernorm\.{LEAF}", lambda leaf: f"attn_pool.norm.{leaf}"),
    Rule(rf"{TOWER}head\.mlp\.fc(\d)\.{LEAF}", lambda n, leaf: f"attn_pool.mlp.fc{n}.{leaf}"),
)


def _split_query(arrays: Arrays) -> Arrays:
    """Split the pooling's one tensor into the weights of the query and those of keys and values."""
    changed: dict[str, Callable[[], np.ndarray] | None] = {}
    for leaf in ("weight", "bias"):
        name = f"attn_pool.qkv.{leaf}"
        if name in arrays:
            changed[f"attn_pool.q.{leaf}"] = partial(_rows, arrays, name, 0, 1)
            changed[f"attn_pool.kv.{leaf}"] = partial(_rows, arrays, name, 1, 3)
            changed[name] = None
    return Arrays.of(arrays, changed)


def _rows(arrays: Arrays, name: str, first: int, last: int) -> np.ndarray:
    """The thirds of a tensor, from number `first` to number `last`."""
    third = len(arrays[name]) // 3
    return np.ascontiguousarray(arrays[name][first * third : last * third])


def _told(config: Json, where: str, activation: str, eps: float) -> Record:
    """Settings from the config of a tower, or from its "vision_config"; missing ones have transformers' defaults.

    Raises:
      WeightsError: tljax does not have the activation, or the pictures are not square.
    """
    vision = config.get("vision_config", config)
    vision = vision if isinstance(vision, Mapping) else {}
    named, size = vision.get("hidden_act", activation), vision.get("image_size", 0)
    if not isinstance(named, str) or named not in ACTIVATIONS:
        raise WeightsError(
            f"hidden_act in the config.json beside '{where}' must be one of {', '.join(ACTIVATIONS)}; got {named!r}. "
            f"Choose other weights."
        )
    if isinstance(size, list) and any(side != size[0] for side in size):
        raise WeightsError(f"Positions in '{where}' must be of square pictures; its config.json says {size}.")
    facts = {"activation": ACTIVATIONS[named], "eps": vision.get("layer_norm_eps", eps)}
    return facts | ({"heads": vision["num_attention_heads"]} if "num_attention_heads" in vision else {})


def _told_dinov3(config: Json, where: str) -> Record:
    """The same for a DINOv3, with theta of its rotary positions; the only activation of the gate is SiLU.

    Raises:
      WeightsError: tljax does not have the activation.
    """
    gated, named = config.get("use_gated_mlp", False), config.get("hidden_act", "gelu")
    if gated and named != "silu":
        raise WeightsError(
            f"hidden_act in the config.json beside '{where}' must be silu, because its MLP is gated; got {named!r}. "
            f"Choose other weights."
        )
    plain = {**config, "hidden_act": "gelu"} if gated else config
    return _told(plain, where, "gelu", 1e-5) | {"rotary": config.get("rope_theta", 100.0)}


def _spelling(
    rules: tuple[Rule, ...], activation: str, eps: float, arrange: Callable[[Arrays], Arrays] | None
) -> Spelling:
    facts = partial(_told, activation=activation, eps=eps)
    return Spelling("transformers", "vit", rules, told=facts, arrange=arrange)


SPELLINGS = (
    _spelling(DINOV2, "gelu", 1e-6, fold_class_position),
    _spelling(TIPSV2, "gelu", 1e-6, fold_class_position),
    Spelling("transformers", "vit", DINOV3, told=_told_dinov3, arrange=join_dinov3),
    _spelling(CLIP, "quick_gelu", 1e-5, add_bias),
    _spelling(SIGLIP, "gelu_pytorch_tanh", 1e-6, _split_query),
)
