"""The towers for texts of CLIP, SigLIP and TIPSv2, as families of text encoders: transformers' naming of a whole model.

A text's vector is in the space that the pictures share, see `tljax zero_shot` and config.model.text_head.
"""

import dataclasses
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from tljax.core.errors import WeightsError
from tljax.core.types import Arrays, Json, Name, Record, Tree, VariantLike
from tljax.networks import sizes
from tljax.networks.towers import names as tower_names
from tljax.networks.towers.text import TextTower, Variant

INPUT = "tokens"
# The tower for pictures in transformers' and in OpenAI's spelling, buffers, and what joins the two towers.
UNUSED = (
    r"vision_model\..*|visual_projection\..*|visual\..*|vision_encoder\..*",
    r"text_model\.embeddings\.position_ids|embeddings\.position_ids",
    r"logit_scale|logit_bias|temperature|input_resolution|context_length|vocab_size",
)
GEMMA = 256_000  # words of SigLIP 2's tokenizer, whose padding is 0; that of SigLIP's own is 1
ACTIVATIONS = {"gelu": "gelu", "gelu_pytorch_tanh": "gelu_tanh", "quick_gelu": "quick_gelu", "relu": "relu"}
TIPSV2: Record = {"vocabulary": 32_000, "positions": 64, "causal": False, "activation": "relu", "average": True}
SIGLIP: Record = {"positions": 64, "causal": False, "activation": "gelu_tanh", "epsilon": 1e-6}
CLIP = {
    "clip_base": Variant(512, 8, 12, 2048, projection=512),
    "clip_large": Variant(768, 12, 12, 3072, projection=768),
}
SIZES = {"base": (768, 12, 12, 3072), "large": (1024, 16, 24, 4096), "so400m": (1152, 16, 27, 4304)}
TIPSV2_SIZES = {**SIZES, "large": (1024, 16, 12, 4096), "giant": (1536, 24, 12, 6144)}
VARIANTS = {
    **CLIP,
    **{f"{name}_quick": dataclasses.replace(shape, activation="quick_gelu") for name, shape in CLIP.items()},
    "siglip_base": Variant(*SIZES["base"], vocabulary=32_000, projection=768, padding=1, **SIGLIP),
    **{
        f"siglip2_{name}": Variant(*shape, vocabulary=GEMMA, projection=shape[0], padding=0, **SIGLIP)
        for name, shape in SIZES.items()
    },
    **{f"tipsv2_{name}": Variant(*shape, **TIPSV2) for name, shape in TIPSV2_SIZES.items()},
}


def variant_of(choice: VariantLike) -> Variant:
    """The sizes for a variant's name, for their fields, or for a `Variant`; ConfigError lists the names."""
    return sizes.variant(VARIANTS, choice, "model.variant of 'text_tower'")


def infer(arrays: Mapping[str, np.ndarray], config: Json | None) -> Variant:
    """The sizes of published tensors; heads, activation and epsilon come from the config.json, or its "text_config".

    TIPSv2's first config.json has "text_num_heads". Its positions are not in the tensors, so their number is there too.

    Raises:
      KeyError, IndexError: the tensors do not belong to such a tower.
      WeightsError: there is no config, or tljax does not have its activation or its words that are not scaled.
    """
    arrays = adapt(arrays)
    text = (config or {}).get("text_config", config)
    vocabulary, width = arrays["text_model.embeddings.token_embedding.weight"].shape
    average = "text_model.embeddings.position_embedding.weight" not in arrays
    causal = not average and "text_model.head.weight" not in arrays
    if not isinstance(text, Mapping) or not text:
        raise WeightsError(
            "The tensors of a tower for texts do not show the heads and the activation of its blocks. Put the "
            "config.json of transformers beside the file, or name config.model.variant."
        )
    named = text.get("hidden_act", "quick_gelu" if causal else "relu" if average else "gelu_pytorch_tanh")
    if named not in ACTIVATIONS:
        raise WeightsError(f"hidden_act of a tower for texts must be one of {', '.join(ACTIVATIONS)}; got {named!r}.")
    if average and not text.get("scale_sqrt_depth", True):
        raise WeightsError("Words of a TIPSv2 must be scaled by the root of the width; its scale_sqrt_depth is false.")
    projection = arrays.get("text_projection.weight" if causal else "text_model.head.weight")
    return Variant(
        width,
        text.get("num_attention_heads", text.get("text_num_heads", 8 if causal else 12)),  # transformers' defaults
        sum(sizes.depths(arrays, r"text_model\.encoder\.layers\.(\d+)\.layer_norm1\.weight")),
        len(arrays["text_model.encoder.layers.0.mlp.fc1.weight"]),
        vocabulary=vocabulary,
        positions=text.get("max_position_embeddings", text.get("max_len", 64))
        if average
        else len(arrays["text_model.embeddings.position_embedding.weight"]),
        projection=0 if projection is None else len(projection),
        causal=causal,
        activation=ACTIVATIONS[named],
        epsilon=text.get("layer_norm_eps", 1e-5 if causal or average else 1e-6),
        padding=None if causal or average else 0 if vocabulary == GEMMA else text.get("pad_token_id", 1),
        average=average,
    )


def build(variant: VariantLike, *, dtype: DTypeLike = jnp.float32, bn_axis: str | None = None) -> TextTower:
    """The backbone; it has no BatchNorm, so `bn_axis` has no effect."""
    del bn_axis
    return TextTower(variant_of(variant), dtype=dtype)


def names(variant: VariantLike) -> tuple[Name, ...]:
    """transformers' name of every tensor, and its path here."""
    return tuple(tower_names.rows(variant_of(variant)))


def adapt(arrays: Mapping[str, np.ndarray], shape: Tree = None, saw: tuple[int, ...] = ()) -> Arrays:
    """Published arrays in the spelling of `names`; `shape` of the inputs makes no difference."""
    del shape, saw
    return tower_names.transformers(arrays)
