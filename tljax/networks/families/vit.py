"""ViT (Dosovitskiy et al. 2020) and its descendants: timm's naming; the network is in vision_transformer.py.

DeiT without distillation is tiny16, small16, base16; MAE is base16 and large16.
"""

import dataclasses
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from tljax.core.errors import WeightsError
from tljax.core.types import Arrays, Json, Name, VariantLike
from tljax.networks import sizes
from tljax.networks.vision_transformer import Variant, ViT
from tljax.networks.vit_names import refuse_others

INPUT = "image"
# timm's architectures with the tanh approximation of GELU; its other SigLIPs have the exact GELU.
TANH = r"patch32_siglip|large_patch16_siglip_(gap_)?512|(so400m|giantopt)_patch16_siglip"
UNUSED = ()
SIZES = {"tiny": (192, 3, 12), "small": (384, 6, 12), "base": (768, 12, 12), "large": (1024, 16, 24)}
HEADS = {**{width: heads for width, heads, _ in SIZES.values()}, 1152: 16, 1280: 16, 1536: 24}  # width -> heads
PLAIN = {f"{size}{patch}": Variant(patch, *SIZES[size]) for patch in (16, 32) for size in SIZES}
DINOV2 = {
    **{f"dinov2_{size}14": Variant(14, *SIZES[size], layer_scale=True) for size in ("small", "base", "large")},
    "dinov2_giant14": Variant(14, 1536, 24, 40, hidden=4096, layer_scale=True, gated=True),
}
TIPSV2 = {  # Cao et al. 2026, arXiv:2604.12012: DINOv2's network with one register, a class token of other captions
    **{
        f"tipsv2_{size}14": dataclasses.replace(DINOV2[f"dinov2_{size}14"], registers=1)
        for size in ("base", "large", "giant")
    },
    "tipsv2_so400m14": Variant(14, 1152, 16, 27, hidden=4304, layer_scale=True, registers=1),
}
THETA = 100.0  # theta of DINOv3's rotary positions
PARTS = {"registers": 4, "eps": 1e-5, "layer_scale": True, "rotary": THETA}
DINOV3 = {
    **{f"dinov3_{name}16": Variant(16, *SIZES[name], **PARTS) for name in SIZES},  # tiny: EUPE (arXiv:2603.22387)
    "dinov3_small_plus16": Variant(16, *SIZES["small"], gated=True, **PARTS),
    "dinov3_huge_plus16": Variant(16, 1280, 20, 32, gated=True, **PARTS),
}
CLIP = {
    f"clip_{name}": dataclasses.replace(shape, pre_norm=True, eps=1e-5)
    for name, shape in (PLAIN | {"large14": Variant(14, *SIZES["large"])}).items()
    if name in ("base32", "base16", "large14")
}
SIGLIP = {
    **{f"siglip_{name}": PLAIN[name] for name in ("base16", "base32", "large16")},
    "siglip_so400m14": Variant(14, 1152, 16, 27, hidden=4304),
    "siglip_so400m16": Variant(16, 1152, 16, 27, hidden=4304),
}
VARIANTS = {
    **PLAIN,
    **{f"{name}_gap": dataclasses.replace(shape, average=True) for name, shape in PLAIN.items()},
    **{f"deit_{name}_distilled": dataclasses.replace(PLAIN[name], distilled=True) for name in PLAIN if "16" in name},
    "base16_reg8_gap": dataclasses.replace(PLAIN["base16"], class_token=False, registers=8, average=True),
    **DINOV2,
    **{f"{name}_reg4": dataclasses.replace(shape, registers=4) for name, shape in DINOV2.items()},
    **TIPSV2,
    **{
        f"deit3_{name}": dataclasses.replace(PLAIN[name], layer_scale=True, class_position=False)
        for name in ("small16", "base16", "large16")
    },
    **CLIP,
    **{f"{name}_quick": dataclasses.replace(shape, activation="quick_gelu") for name, shape in CLIP.items()},
    **DINOV3,
    **{
        name: dataclasses.replace(shape, class_token=False, activation="gelu_tanh", attention_pool=True)
        for name, shape in SIGLIP.items()
    },
}
del VARIANTS["deit_large16_distilled"]  # never published


def variant_of(choice: VariantLike) -> Variant:
    """The sizes for a variant's name, for their fields, or for a `Variant`; ConfigError lists the names."""
    return sizes.variant(VARIANTS, choice, "model.variant of 'vit'")


def infer(arrays: Mapping[str, np.ndarray], config: Json | None) -> Variant:
    """The sizes of published tensors; KeyError or IndexError if they do not belong to a ViT.

    Tensors do not show the number of heads: it comes from `config`'s "heads" or "num_attention_heads", or from the
    table by the width. Tensors do not show CLIP's or SigLIP's activation either: it comes from `config`'s
    "activation", or from timm's "architecture".

    Raises:
      WeightsError: the heads or the activation stand nowhere, or it is another kind of ViT (`refuse_others`).
    """
    refuse_others(arrays)
    width, _, _, patch = arrays["patch_embed.proj.weight"].shape  # (D, C, size, size)
    settings = config or {}
    heads = settings.get("heads") or settings.get("num_attention_heads") or HEADS.get(width)
    if heads is None:
        raise WeightsError(
            f"The number of heads of a ViT of width {width} must stand in a config.json beside its file, as "
            f"num_attention_heads: the tensors do not show it."
        )
    hidden = arrays["blocks.0.mlp.fc2.weight"].shape[1]
    rotary = "blocks.0.gamma_1" in arrays and "pos_embed" not in arrays
    pre_norm, pool = "norm_pre.weight" in arrays, "attn_pool.latent" in arrays
    return Variant(
        patch,
        width,
        heads,
        sum(sizes.depths(arrays, r"blocks\.(\d+)\.norm1\.weight")),
        class_token="cls_token" in arrays,
        distilled="dist_token" in arrays,
        registers=arrays["reg_token"].shape[1] if "reg_token" in arrays else 0,
        average="fc_norm.weight" in arrays,
        hidden=0 if hidden == 4 * width else hidden,
        qkv_bias="blocks.0.attn.qkv.bias" in arrays,
        eps=1e-5 if pre_norm or rotary else 1e-6,
        layer_scale="blocks.0.ls1.gamma" in arrays or rotary,
        class_position=rotary or "reg_token" in arrays or _covers_tokens(arrays),
        pre_norm=pre_norm,
        activation=_activation(settings) if pre_norm or pool else "gelu",
        gated=arrays["blocks.0.mlp.fc1.weight"].shape[0] == 2 * hidden,
        average_after="cls_token" not in arrays and "norm.weight" in arrays and not pool,
        rotary=THETA if rotary else 0.0,
        attention_pool=pool,
        prompts=arrays["blocks.0.prompts"].shape[1] if "blocks.0.prompts" in arrays else 0,
        deep_prompts="blocks.1.prompts" in arrays,
    )


def _covers_tokens(arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether the tokens before the patches have positions too; else only the square of patches has."""
    before = sum(name in arrays for name in ("cls_token", "dist_token"))
    count = arrays["pos_embed"].shape[1]
    return "reg_token" not in arrays and (not before or math.isqrt(count) ** 2 != count)


def _activation(config: Json) -> str:
    """The activation: from `config`'s "activation", or from timm's name of the architecture.

    Raises:
      WeightsError: `config` has neither.
    """
    architecture = config.get("architecture")
    if "activation" in config:
        return config["activation"]
    if "quickgelu" in json.dumps(config).lower():  # in the name, or in timm's note on the pretrained weights
        return "quick_gelu"
    if not isinstance(architecture, str):
        raise WeightsError(
            "The tensors of a CLIP or SigLIP do not show which GELU its blocks have. Put the config.json of "
            "timm (with its architecture) or of transformers beside the file, or name config.model.variant."
        )
    return "gelu_tanh" if re.search(TANH, architecture) else "gelu"


def build(variant: VariantLike, *, dtype: DTypeLike = jnp.float32, bn_axis: str | None = None) -> ViT:
    """The backbone; it has no BatchNorm, so `bn_axis` has no effect."""
    del bn_axis
    return ViT(variant_of(variant), dtype=dtype)


def names(variant: VariantLike) -> tuple[Name, ...]:
    """timm's name of every tensor, and its path here."""
    return tuple(_rows(variant_of(variant)))


def _rows(shape: Variant) -> Iterator[Name]:
    for token in (*shape.tokens, *(() if shape.rotary else ("pos_embed",))):
        yield Name(token, "params", f"backbone/embed/{token}")
    yield from _affine("patch_embed.proj", "backbone/embed/proj", "kernel", "conv", bias=not shape.pre_norm)
    if shape.pre_norm:
        yield from _affine("norm_pre", "backbone/embed/norm", "scale")
    for stage in shape.prompted:
        yield Name(f"blocks.{stage.removeprefix('block')}.prompts", "params", f"backbone/{stage}/prompts")
    for i in range(shape.depth):
        for n in (1, 2) if shape.layer_scale else ():
            theirs = f"blocks.{i}.gamma_{n}" if shape.rotary else f"blocks.{i}.ls{n}.gamma"
            yield Name(theirs, "params", f"backbone/block{i}/layer_scale{n}")
        for norm, *dense in (("norm1", "attn.qkv", "attn.proj"), ("norm2", "mlp.fc1", "mlp.fc2")):
            yield from _affine(f"blocks.{i}.{norm}", f"backbone/block{i}/{norm}", "scale")
            for layer in dense:
                path = f"backbone/block{i}/{layer.replace('.', '/')}"
                bias = shape.qkv_bias or layer != "attn.qkv"
                yield from _affine(f"blocks.{i}.{layer}", path, "kernel", "dense", bias=bias)
    yield from _affine("fc_norm" if shape.average else "norm", "backbone/norm", "scale")
    if shape.attention_pool:
        yield Name("attn_pool.latent", "params", "backbone/pool/latent")
        yield from _affine("attn_pool.norm", "backbone/pool/norm", "scale")
        for layer in ("q", "kv", "proj", "mlp.fc1", "mlp.fc2"):
            yield from _affine(f"attn_pool.{layer}", f"backbone/pool/{layer.replace('.', '/')}", "kernel", "dense")
    yield from _affine("head", "head", "kernel", "dense")


def _affine(theirs: str, ours: str, weight: str, layout: str = "same", *, bias: bool = True) -> Iterator[Name]:
    yield Name(f"{theirs}.weight", "params", f"{ours}/{weight}", layout)
    if bias:
        yield Name(f"{theirs}.bias", "params", f"{ours}/bias")


def own_parts(variant: VariantLike) -> str:
    """What no other library has of such a network."""
    return "learned prompts (vpt)" if variant_of(variant).prompts else ""


def adapt(arrays: Mapping[str, np.ndarray], shape: tuple[int, ...] | None, saw: tuple[int, ...] = ()) -> Arrays:
    """Published arrays for the network on inputs of `shape`, (B, H, W, C).

    Position embeddings of another grid are resized, from that of pictures of `saw` pixels, (H, W), by default a
    square; with None for `shape` they have the input's own already. A distilled DeiT has
    two classifiers, and its output is their mean. They become one classifier on both tokens, which computes the same
    function. If the file has only the classifier on the class token, it is padded with zeros for the other token.
    """
    changed: dict[str, Callable[[], np.ndarray] | None] = {}
    heads = ("head.weight", "head_dist.weight", "head.bias", "head_dist.bias")
    if all(name in arrays for name in heads):
        weight, weight_dist, bias, bias_dist = (arrays[name] for name in heads)
        changed["head.weight"] = lambda: np.concatenate([weight, weight_dist], axis=1) / 2  # (K, 2 D)
        changed["head.bias"] = lambda: (bias + bias_dist) / 2
        changed |= {"head_dist.weight": None, "head_dist.bias": None}
    elif "dist_token" in arrays and "head.weight" in arrays:
        single, width = arrays["head.weight"], arrays["dist_token"].shape[-1]
        changed["head.weight"] = lambda: np.pad(single, ((0, 0), (0, 2 * width - single.shape[1])))  # (K, 2 D)
    if shape and "pos_embed" in arrays and "patch_embed.proj.weight" in arrays:
        patch = arrays["patch_embed.proj.weight"].shape[-1]
        tokens = sum(name in arrays for name in ("cls_token", "dist_token"))
        grid, old = (shape[1] // patch, shape[2] // patch), (saw[0] // patch, saw[1] // patch) if saw else None
        covered = arrays["pos_embed"].shape[1] == tokens + old[0] * old[1] if old else _covers_tokens(arrays)
        before = tokens if covered else 0
        changed["pos_embed"] = partial(resize_positions, arrays["pos_embed"], grid, before, old)
    return Arrays.of(arrays, changed)


def size_of(arrays: Mapping[str, np.ndarray]) -> int:
    """Pixels on a side of the pictures in pretraining, from the grid of positions; 0: the grid is not a square."""
    before = 0 if "reg_token" in arrays else sum(name in arrays for name in ("cls_token", "dist_token"))
    patches = arrays["pos_embed"].shape[1] - before
    side = math.isqrt(patches)
    return side * arrays["patch_embed.proj.weight"].shape[-1] if side * side == patches else 0


def as_published(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inverse of `adapt` for two joined classifiers: a classifier of twice the width becomes two again.

    The mean of the two is the joined classifier, bit for bit, so timm's distilled DeiT can load them.
    """
    arrays, width = dict(arrays), arrays["cls_token"].shape[-1] if "dist_token" in arrays else 0
    if width and arrays["head.weight"].shape[-1] == 2 * width:
        halves = np.split(arrays["head.weight"] * 2, 2, axis=1)
        arrays["head.weight"], arrays["head_dist.weight"] = (np.ascontiguousarray(half) for half in halves)
        arrays["head_dist.bias"] = arrays["head.bias"].copy()
    return arrays


def resize_positions(
    positions: np.ndarray, grid: tuple[int, int], before: int, old: tuple[int, int] | None = None
) -> np.ndarray:
    """Position embeddings (1, before + n, D) of the grid `old` for one of (rows, columns): (1, before + rows * columns,
    D).

    timm's resample_abs_pos_embed: bicubic (Keys 1981, a = -0.5), antialiased when it shrinks, half-pixel
    centres, weights normalised at the borders. As in timm, a published grid is a square, if `old` says nothing else.
    Positions that do not make up the grid are left unchanged; placement then checks their shape.
    """
    patches = positions.shape[1] - before
    side = math.isqrt(patches)
    old = old or (side, side)
    if old[0] * old[1] != patches or grid == old:
        return positions
    places = positions[0, before:].astype(np.float32).reshape(*old, -1)
    resized = np.asarray(jax.image.resize(places, (*grid, places.shape[-1]), "cubic", antialias=True))
    resized = resized.reshape(1, -1, places.shape[-1]).astype(positions.dtype)
    return np.concatenate([positions[:, :before], resized], axis=1)
