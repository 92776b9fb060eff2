"""ModernBERT (Warner et al. 2024): Hugging Face's naming. A text's vector is its first token; "base_mean" takes the
mean over all tokens, "base_normalised" that mean divided by its length.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from tljax.core.errors import ConfigError
from tljax.core.types import Json, Name, Record, VariantLike
from tljax.networks import sizes
from tljax.networks.encoder_family import BERT_KEYS, Family
from tljax.networks.modern.encoder import Encoder, Variant

INPUT = "tokens"
# The head over words, which is also the first layer of the published classifier; and that classifier.
UNUSED = (r"head\.(dense|norm)\.(weight|bias)", r"decoder\.(weight|bias)", r"classifier\..*")
LAYERS = {
    "embed/word": "/model.embeddings.tok_embeddings",
    "embed/norm": "/model.embeddings.norm",
    "block{i}/norm1": "/model.layers.{i}.attn_norm",
    "block{i}/qkv": "/model.layers.{i}.attn.Wqkv",
    "block{i}/out": "/model.layers.{i}.attn.Wo",
    "block{i}/norm2": "/model.layers.{i}.mlp_norm",
    "block{i}/mlp/fc1": "/model.layers.{i}.mlp.Wi",
    "block{i}/fc2": "/model.layers.{i}.mlp.Wo",
    "pool/norm": "/model.final_norm",
}
SIZES = ("width", "heads", "depth", "units", "vocabulary", "positions")
KEYS = {key: BERT_KEYS[key] for key in SIZES} | {
    "epsilon": "norm_eps",
    "dropout": "mlp_dropout",
    "attention_dropout": "attention_dropout",
    "every": "global_attn_every_n_layers",
    "window": "local_attention",
    "global_theta": "global_rope_theta",
    "local_theta": "local_rope_theta",
}
# The values that a config.json may have for these keys.
BUILT: Json = {"hidden_activation": "gelu", "norm_bias": False, "attention_bias": False, "mlp_bias": False}
KINDS = {"global": "full_attention", "local": "sliding_attention"}
POOLINGS = ("class", "mean", "normalised", "class_normalised")
PLAIN = {"base": Variant(768, 12, 22, 1152), "large": Variant(1024, 16, 28, 2624)}
VARIANTS = PLAIN | {
    f"{name}_{pooling}": dataclasses.replace(shape, pooling=pooling)
    for name, shape in PLAIN.items()
    for pooling in POOLINGS
}
FAMILY = Family(
    "modernbert",
    LAYERS,
    KEYS,
    VARIANTS,
    {},
    classifies=False,
    encoder=Encoder,
    optional=tuple(key for key in KEYS if key not in SIZES),
    older={r"^(embeddings|layers|final_norm)\.": r"model.\1."},
)
build, adapt = FAMILY.build, FAMILY.adapt


def variant_of(choice: VariantLike) -> Variant:
    """The sizes for a variant's name, for their fields, or for a `Variant`; ConfigError lists the names."""
    return sizes.variant(VARIANTS, choice, "model.variant of 'modernbert'")


def names(variant: VariantLike) -> tuple[Name, ...]:
    """Hugging Face's name of every tensor, and its path here. No layer but the head has a bias."""
    rows = (row for row in FAMILY.names(variant) if row.path[:4] == "head" or not row.path.endswith("/bias"))
    return tuple(
        dataclasses.replace(row, path=row.path.replace("/mlp/", "/"))
        for row in rows
        if row.path != "backbone/block0/norm1/scale"
    )


def infer(arrays: Mapping[str, np.ndarray], config: Json | None) -> Variant:
    """As the family's `infer`; a config.json may say which blocks are local, and theta, in transformers 5's way.

    Raises:
      ConfigError: see `Family.infer`; or a layer has a bias, or the blocks' kinds have no period.
    """
    if config is None:
        sizes = FAMILY.infer(arrays, None)
        return variant_of(vars(sizes) | {"units": sizes.units // 2})  # the layer holds units, and as many gates
    wrong = [f"{key} {config[key]!r}, not {value!r}" for key, value in BUILT.items() if config.get(key, value) != value]
    settings = {**config}
    for name, kind in KINDS.items():
        rotary = (config.get("rope_parameters") or {}).get(kind) or {}
        settings |= {f"{name}_rope_theta": rotary["rope_theta"]} if "rope_theta" in rotary else {}
        wrong += [f"rope_type {rotary['rope_type']!r}" for _ in "1" if rotary.get("rope_type", "default") != "default"]
    if kinds := config.get("layer_types"):
        full = [i for i, kind in enumerate(kinds) if kind == KINDS["global"]]
        settings["global_attn_every_n_layers"] = every = full[1] if len(full) > 1 else len(kinds)
        wrong += [f"layer_types {kinds}" for _ in "1" if full != list(range(0, len(kinds), every))]
    if wrong:
        raise ConfigError(f"These weights are of a ModernBERT that is not built here: {', '.join(wrong)}.")
    return variant_of(vars(FAMILY.infer(arrays, settings)))


def describe(variant: VariantLike, classes: Sequence[str]) -> Record:
    """As the family's `describe`."""
    return {**FAMILY.describe(variant, classes), **BUILT}
