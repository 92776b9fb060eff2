"""How transformers and the authors name DINOv2, MAE, CLIP and SigLIP: recognised, told apart, translated exactly."""

import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pytest

from tests.weights.test_translation import fill
from tljax.core.errors import WeightsError
from tljax.core.plugins import find
from tljax.core.types import Card, Published
from tljax.networks.families import vit
from tljax.networks.network import Network
from tljax.tasks import classification
from tljax.weights import placement, pretrained, translation

SMALL = vit.Variant(patch=4, width=8, heads=2, depth=2)
SHAPES = {
    "dinov2": dataclasses.replace(SMALL, layer_scale=True),
    "registers": dataclasses.replace(SMALL, layer_scale=True, registers=2),
    "gated": dataclasses.replace(SMALL, layer_scale=True, gated=True, hidden=12),
    "tips": dataclasses.replace(SMALL, layer_scale=True, registers=1),
    "gated tips": dataclasses.replace(SMALL, layer_scale=True, registers=1, gated=True, hidden=12),
    "clip": dataclasses.replace(SMALL, pre_norm=True, activation="quick_gelu", eps=1e-5),
    "siglip": dataclasses.replace(SMALL, class_token=False, attention_pool=True, activation="gelu_tanh"),
    "mae": SMALL,
    "dinov3": dataclasses.replace(SMALL, layer_scale=True, registers=2, rotary=100.0, eps=1e-5),
    "gated dinov3": dataclasses.replace(
        SMALL, layer_scale=True, registers=2, rotary=30.0, eps=1e-5, gated=True, hidden=12
    ),
}


def published(kind):
    """Arrays of a small network under timm's names, with no classifier but CLIP's, which has no bias."""
    shape = SHAPES[kind]
    network = Network(vit.build(shape), classification.head(3))
    empty = placement.shapes(network, np.zeros((1, 16, 16, 3), np.float32))
    arrays = placement.publish({c: fill(tree, np.random.default_rng(1)) for c, tree in empty.items()}, vit.names(shape))
    arrays["head.bias"] = np.zeros(3, np.float32)
    if "dinov3" in kind:  # keys have no bias there
        for i in range(2):
            arrays[f"blocks.{i}.attn.qkv.bias"][8:16] = 0
    if "cls_token" in arrays:  # of few bits, so that a position can be taken off and added exactly
        arrays["cls_token"] = np.round(arrays["cls_token"] * 1024) / 1024
    return arrays if kind == "clip" else {name: x for name, x in arrays.items() if not name.startswith("head.")}


def swapped(name, swaps):
    for ours, theirs in swaps.items():
        name = re.sub(ours, theirs, name)
    return name


def thirds(name, layer, parts):
    return tuple(name.replace(layer, part) for part in parts)


DINO = {"^(cls|reg|mask)_token": r"embeddings.\1_token", "reg_token": "register_tokens",
        "^pos_embed": "embeddings.position_embeddings", r"patch_embed\.proj": "embeddings.patch_embeddings.projection",
        r"blocks\.": "encoder.layer.", r"ls(\d)\.gamma": r"layer_scale\1.lambda1", r"^norm\.": "layernorm.",
        r"attn\.proj": "attention.output.dense"}  # fmt: skip
TOWER = {r"patch_embed\.proj": "embeddings.patch_embedding", "pos_embed": "embeddings.position_embedding.weight",
         "cls_token": "embeddings.class_embedding", "norm_pre": "pre_layrnorm", r"blocks\.": "encoder.layers.",
         r"\.norm(\d)": r".layer_norm\1", r"(layers\.\d+\.)attn\.proj": r"\1self_attn.out_proj",
         r"^norm\.": "post_layernorm.", r"attn_pool\.latent": "head.probe",
         r"attn_pool\.proj": "head.attention.out_proj", r"attn_pool\.norm": "head.layernorm",
         r"attn_pool\.mlp": "head.mlp"}  # fmt: skip
OPENAI = {r"patch_embed\.proj": "conv1", "pos_embed": "positional_embedding", "cls_token": "class_embedding",
          "norm_pre": "ln_pre", r"blocks\.": "transformer.resblocks.", r"\.norm(\d)": r".ln_\1",
          r"attn\.qkv\.": "attn.in_proj_", r"attn\.proj": "attn.out_proj", r"mlp\.fc1": "mlp.c_fc",
          r"mlp\.fc2": "mlp.c_proj", r"^norm\.": "ln_post."}  # fmt: skip


def dinov2(arrays, new=False):
    """As files have it, or as the modules of transformers 5."""
    found = {"embeddings.mask_token": np.ones((1, 8), np.float32)}
    for name, x in arrays.items():
        theirs = swapped(name, DINO)
        words = ("q_proj", "k_proj", "v_proj") if new else ("attention.query", "attention.key", "attention.value")
        if "attn.qkv" in theirs:
            names = thirds(theirs, "attn.qkv", [f"attention.{word}" for word in words])
            found |= dict(zip(names, np.split(x, 3), strict=True))
        elif "mlp" in theirs and len(arrays["blocks.0.mlp.fc1.bias"]) == 24 and new and "fc1" in theirs:
            found |= dict(zip(thirds(theirs, "fc1", ("gate_proj", "up_proj")), np.split(x, 2), strict=True))
        elif "mlp" in theirs and len(arrays["blocks.0.mlp.fc1.bias"]) == 24:
            found[theirs.replace("fc1", "weights_in").replace("fc2", "down_proj" if new else "weights_out")] = x
        else:
            found[theirs.replace("attention.output.dense", "attention.o_proj") if new else theirs] = x
    return found


def unfolded(arrays):
    """With a position of the class token, as DINOv2 with registers is published."""
    position = np.full((1, 1, 8), 0.5, np.float32)
    positions = np.concatenate([position, arrays["pos_embed"]], axis=1)
    return arrays | {"cls_token": arrays["cls_token"] - position, "pos_embed": positions}


def tower(arrays, before="vision_model."):
    found = {"text_model.embeddings.token_embedding.weight": np.ones(3), "logit_scale": np.ones(())}
    found |= {f"{before}embeddings.position_ids": np.arange(16)[None]}
    pairs = {leaf: [f"attn_pool.q.{leaf}", f"attn_pool.kv.{leaf}"] for leaf in ("weight", "bias")}
    for name, x in arrays.items():
        if name == "head.weight":
            found["visual_projection.weight"] = x
        elif name in ("cls_token", "pos_embed"):
            found[before + swapped(name, TOWER)] = x.reshape(-1) if name == "cls_token" else x[0]
        elif "attn.qkv" in name:
            names = thirds(before + swapped(name, TOWER), "attn.qkv", [f"self_attn.{one}_proj" for one in "qkv"])
            found |= dict(zip(names, np.split(x, 3), strict=True))
        elif name != "head.bias" and not name.startswith(("attn_pool.q.", "attn_pool.kv.")):
            found[before + swapped(name, TOWER)] = x
    joined = {
        leaf: np.concatenate([arrays[one] for one in names]) for leaf, names in pairs.items() if names[0] in arrays
    }
    return found | {f"{before}head.attention.in_proj_{leaf}": x for leaf, x in joined.items()}


def openai(arrays):
    found = {"positional_embedding": np.ones((3, 8)), "text_projection": np.ones((3, 3)), "logit_scale": np.ones(())}
    found |= {"transformer.resblocks.0.ln_1.bias": np.ones(3), "token_embedding.weight": np.ones((3, 3))}
    for name, x in arrays.items():
        theirs = "visual." + swapped(name, OPENAI)
        if name == "head.weight":
            found["visual.proj"] = np.ascontiguousarray(x.T)
        elif name != "head.bias":
            found[theirs] = x.reshape(-1) if name == "cls_token" else x[0] if name == "pos_embed" else x
    return found


V3 = {"^cls_token": "embeddings.cls_token", "^reg_token": "embeddings.register_tokens",
      r"patch_embed\.proj": "embeddings.patch_embeddings", r"blocks\.": "model.layer.",
      r"gamma_(\d)": r"layer_scale\1.lambda1", r"attn\.proj": "attention.o_proj",
      r"mlp\.fc2": "mlp.down_proj"}  # fmt: skip


def dinov3(arrays, timm=False):
    found = {} if timm else {"embeddings.mask_token": np.ones((1, 1, 8), np.float32)}
    for name, x in arrays.items():
        theirs = name if timm else swapped(name, V3)
        gated = len(arrays["blocks.0.mlp.fc1.bias"]) == 24 and "mlp.fc1" in name
        parts = ("fc1_g", "fc1_x") if timm else ("gate_proj", "up_proj")
        if "attn.qkv.bias" in name:
            words = ("q_bias", "v_bias") if timm else ("q_proj.bias", "v_proj.bias")
            room = "attn." if timm else "attention."
            names = [theirs.replace("attn.qkv.bias", f"{room}{word}") for word in words]
            found |= dict(zip(names, np.split(x, 3)[::2], strict=True))
        elif "attn.qkv" in name and not timm:
            names = thirds(theirs, "attn.qkv", [f"attention.{letter}_proj" for letter in "qkv"])
            found |= dict(zip(names, np.split(x, 3), strict=True))
        elif gated:
            found |= dict(zip(thirds(theirs, "fc1", parts), np.split(x, 2), strict=True))
        else:
            found[theirs if timm else theirs.replace("mlp.fc1", "mlp.up_proj")] = x
    return found


def meta(arrays):
    """The authors' DINOv2."""
    swaps = {"reg_token": "register_tokens", r"mlp\.fc1": "mlp.w12", r"mlp\.fc2": "mlp.w3"}
    gated = len(arrays["blocks.0.mlp.fc1.bias"]) == 24
    found = {swapped(name, swaps if gated else {"reg_token": "register_tokens"}): x for name, x in arrays.items()}
    return found | {"mask_token": np.ones((1, 8), np.float32)}


def tips(arrays, linear=("mlp.fc1", "mlp.fc2")):
    """TIPSv2's two towers."""
    swaps = {"reg_token": "register_tokens", r"mlp\.fc1": linear[0], r"mlp\.fc2": linear[1]}
    found = {f"vision_encoder.{swapped(name, swaps)}": x for name, x in unfolded(arrays).items()}
    return found | {"vision_encoder.mask_token": np.ones((1, 8), np.float32), "temperature": np.ones(()),
                    "text_encoder.transformer.resblocks.0.ln_1.weight": np.ones(8)}  # fmt: skip


BOTH = {"vision_config": {"num_attention_heads": 2, "hidden_act": "quick_gelu"}}  # of a tower for pictures and texts
# What is spelled -> (the network, its arrays there, the config beside them, the library).
HEADS = {"num_attention_heads": 2}
SILU = HEADS | {"use_gated_mlp": True, "hidden_act": "silu", "rope_theta": 30.0}
SPELLED = {
    "dinov2": ("dinov2", dinov2(published("dinov2")), HEADS, "transformers"),
    "dinov2 of modules": ("dinov2", dinov2(published("dinov2"), new=True), HEADS, "transformers"),
    "dinov2 gated": ("gated", dinov2(published("gated")), HEADS, "transformers"),
    "dinov2 gated of modules": ("gated", dinov2(published("gated"), new=True), HEADS, "transformers"),
    "dinov2 with registers": ("registers", dinov2(unfolded(published("registers"))), HEADS, "transformers"),
    "clip": ("clip", tower(published("clip")), BOTH, "transformers"),
    "siglip": ("siglip", tower(published("siglip")), {"vision_config": HEADS}, "transformers"),
    "siglip of modules": ("siglip", tower(published("siglip"), before=""), HEADS, "transformers"),
    "tips": ("tips", tips(published("tips")), {"vision_config": HEADS}, "transformers"),
    "tips by transformers": ("tips", tips(published("tips"), ("mlp.c_fc", "mlp.c_proj")), HEADS, "transformers"),
    "gated tips": ("gated tips", tips(published("gated tips"), ("mlp.w12", "mlp.w3")), HEADS, "transformers"),
    "dinov3": ("dinov3", dinov3(published("dinov3")), HEADS, "transformers"),
    "gated dinov3": ("gated dinov3", dinov3(published("gated dinov3")), SILU, "transformers"),
    "timm's dinov3": ("dinov3", dinov3(published("dinov3"), timm=True), None, "timm"),
    "timm's gated dinov3": ("gated dinov3", dinov3(published("gated dinov3"), timm=True), None, "timm"),
    "meta's dinov2": ("dinov2", meta(published("dinov2")), None, "its authors"),
    "meta's gated dinov2": ("gated", meta(published("gated")), None, "its authors"),
    "meta's dinov2 with registers": ("registers", meta(unfolded(published("registers"))), None, "its authors"),
    "meta's mae": ("mae", published("mae") | {"mask_token": np.ones(1), "decoder_embed.weight": np.ones(1)}, None,
                   "its authors"),
    "openai's clip": ("clip", openai(published("clip")), None, "its authors"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPELLED)
def test_a_spelling_is_recognised_and_translated_exactly(name):
    kind, theirs, _, library = SPELLED[name]
    spelling = translation.recognise(theirs, "vit", "a file")
    assert spelling is not None and (spelling.library, spelling.family) == (library, "vit")
    found = translation.translate(theirs, spelling, "a file")
    assert {n: x.tobytes() for n, x in found.items()} == {n: x.tobytes() for n, x in published(kind).items()}


@pytest.mark.parametrize("name", [name for name, row in SPELLED.items() if row[2] is not None])
def test_the_network_is_told_by_tensors_and_config(name):
    kind, theirs, config, _ = SPELLED[name]
    asked = SimpleNamespace(family="vit", variant="auto", prefix="")
    variant, _, _ = pretrained.understood(vit, asked, Published(theirs, Card(mean=()), "a file", config))
    assert variant == SHAPES[kind]


def test_an_activation_that_is_not_computed_here_is_named():
    spelling = translation.recognise(SPELLED["clip"][1], "vit", "a file")
    for named in ("relu", 3, None, ["gelu"]):
        with pytest.raises(WeightsError, match="hidden_act .* must be one of gelu, gelu_pytorch_tanh, quick_gelu; got"):
            translation.facts({"vision_config": {"hidden_act": named}}, spelling, "a file")


def test_a_gated_dinov3_has_silu():
    spelling = next(row for row in find("spellings", "transformers_vit").SPELLINGS if "_told_dinov3" in repr(row.told))
    told = translation.facts({"use_gated_mlp": True, "hidden_act": "silu", "rope_theta": 30.0}, spelling, "a file")
    assert told == {"activation": "gelu", "eps": 1e-5, "rotary": 30.0}
    for said in ({"use_gated_mlp": True}, {"use_gated_mlp": True, "hidden_act": "gelu"}, {"hidden_act": "silu"}):
        with pytest.raises(WeightsError, match="hidden_act .* must be"):
            translation.facts(said, spelling, "a file")


def test_no_name_fits_two_rules_of_a_spelling():
    for name in ("transformers_vit", "authors"):
        for row in find("spellings", name).SPELLINGS:
            for _, theirs, _, _ in SPELLED.values():
                for one in theirs:
                    assert sum(re.fullmatch(rule.pattern, one) is not None for rule in row.rules) <= 1, one
