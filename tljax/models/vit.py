"""ViT (Dosovitskiy et al. 2020), DeiT and AugReg's sizes of it: timm's naming, tokens (B, N, D).

Stages: embed, block0 ... blockN, norm. Tokens lie in timm's order: class, distillation, registers, patches.
LayerNorm's eps is 1e-6 and GELU is exact (erf), as in timm. DeiT without distillation is tiny16, small16, base16.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from tljax import sizes
from tljax.errors import ConfigError, WeightsError
from tljax.layers import TORCH_LINEAR, Conv, LayerNorm
from tljax.types import EVALUATE, Arrays, Mode, Name, between

INPUT = "image"
UNUSED = ()
# timm's trunc_normal_(std=.02) cuts at +-2, a hundred deviations: a plain normal.
NORMAL = nn.initializers.normal(0.02)


@dataclasses.dataclass(frozen=True)
class Variant:
    """Sizes of one published network, and what its tokens are."""

    patch: int
    width: int
    heads: int
    depth: int
    class_token: bool = True
    distilled: bool = False  # DeiT: a distillation token; features are both tokens, 2 D wide
    registers: int = 0  # Darcet et al. 2023; then positions are added to patches only, timm's no_embed_class
    average: bool = False  # features are the mean of the patches, normalised after it: timm's fc_norm
    hidden: int = 0  # units of the MLP; 0: 4 times the width
    qkv_bias: bool = True
    eps: float = 1e-6  # of every LayerNorm

    @property
    def stages(self) -> tuple[str, ...]:
        return ("embed", *(f"block{i}" for i in range(self.depth)), "norm")

    @property
    def tokens(self) -> dict[str, int]:
        """How many of each kind stand before the patches, in order."""
        counts = {"cls_token": int(self.class_token), "dist_token": int(self.distilled), "reg_token": self.registers}
        return {name: count for name, count in counts.items() if count}


SIZES = {"tiny": (192, 3, 12), "small": (384, 6, 12), "base": (768, 12, 12), "large": (1024, 16, 24)}
PLAIN = {f"{size}{patch}": Variant(patch, *SIZES[size]) for patch in (16, 32) for size in SIZES}
VARIANTS = {
    **PLAIN,
    **{f"{name}_gap": dataclasses.replace(shape, average=True) for name, shape in PLAIN.items()},
    **{f"deit_{name}_distilled": dataclasses.replace(PLAIN[name], distilled=True) for name in PLAIN if "16" in name},
    "base16_reg8_gap": dataclasses.replace(PLAIN["base16"], class_token=False, registers=8, average=True),
}
del VARIANTS["deit_large16_distilled"]  # never published


def variant_of(said: Any) -> Variant:
    """The sizes that a variant's name, or their fields, or they themselves mean; ConfigError lists the names."""
    return sizes.variant(VARIANTS, said, "model.variant of 'vit'")


def infer(arrays: Mapping[str, np.ndarray], config: Mapping[str, Any] | None) -> Variant:
    """The sizes that published tensors have; KeyError or IndexError where they are of no ViT.

    The number of heads does not show in them: it is `config`'s "heads", or that of the table's width.

    Raises:
      WeightsError: neither tells it.
    """
    width, _, _, patch = arrays["patch_embed.proj.weight"].shape  # (D, C, size, size)
    table = {row[0]: row[1] for row in SIZES.values()}
    heads = (config or {}).get("heads") or table.get(width)
    if heads is None:
        raise WeightsError(
            f"How many heads a ViT of width {width} has must stand in a config.json beside its file, as "
            f"num_attention_heads: its tensors do not show it."
        )
    hidden = arrays["blocks.0.mlp.fc1.weight"].shape[0]
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
    )


def build(variant: Any, *, dtype: Any = jnp.float32, bn_axis: str | None = None) -> "ViT":
    """The backbone; it has no BatchNorm, so `bn_axis` has no effect."""
    del bn_axis
    return ViT(variant_of(variant), dtype=dtype)


class Embed(nn.Module):
    """Patches, the tokens before them, positions: (B, H, W, C) -> (B, N, D)."""

    variant: Variant
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        del mode  # nothing here differs between training and evaluation
        shape, size = self.variant, self.variant.patch
        if x.shape[1] % size or x.shape[2] % size:
            raise ConfigError(
                f"Height and width of the input (config.data.size) must be multiples of the patch, {size} pixels; "
                f"got {x.shape[1]} x {x.shape[2]}."
            )
        patches = Conv(
            shape.width, size, stride=size, bias=True, dtype=self.dtype, kernel_init=TORCH_LINEAR, name="proj"
        )
        x = patches(x).reshape(x.shape[0], -1, shape.width)  # (B, H, W, C) -> (B, H/size * W/size, D)
        before = []
        for name, count in shape.tokens.items():
            init = NORMAL if name == "dist_token" else nn.initializers.normal(1e-6)
            token = self.param(name, init, (1, count, shape.width), jnp.float32).astype(self.dtype)
            before.append(jnp.broadcast_to(token, (x.shape[0], count, shape.width)))
        if not shape.registers:
            x = jnp.concatenate([*before, x], axis=1)
        positions = self.param("pos_embed", NORMAL, (1, *x.shape[1:]), jnp.float32)
        x = x + positions.astype(self.dtype)
        return jnp.concatenate([*before, x], axis=1) if shape.registers else x


class Attention(nn.Module):
    """Multi-head self-attention on (B, N, D); queries, keys and values are one map, in timm's order (3, heads, -1)."""

    variant: Variant
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        batch, tokens, width = x.shape
        shape = self.variant
        qkv = nn.Dense(3 * width, use_bias=shape.qkv_bias, dtype=self.dtype, kernel_init=NORMAL, name="qkv")(x)
        q, k, v = jnp.moveaxis(qkv.reshape(batch, tokens, 3, shape.heads, -1), 2, 0)  # each (B, N, heads, D / heads)
        x = jax.nn.dot_product_attention(q, k, v).reshape(batch, tokens, width)
        return nn.Dense(width, dtype=self.dtype, kernel_init=NORMAL, name="proj")(x)


class Mlp(nn.Module):
    """Dense to 4 D (or as many as the variant says), exact GELU, dense back to D."""

    dtype: Any
    hidden: int = 0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        width = x.shape[-1]
        x = nn.Dense(self.hidden or 4 * width, dtype=self.dtype, kernel_init=NORMAL, name="fc1")(x)
        x = nn.gelu(x, approximate=False)
        return nn.Dense(width, dtype=self.dtype, kernel_init=NORMAL, name="fc2")(x)


class Block(nn.Module):
    """Attention and MLP, each on normalised tokens and added to them: (B, N, D) -> (B, N, D).

    In training, each of the two is left out of an example with probability `drop_path` (Huang et al. 2016).
    """

    variant: Variant
    drop_path: float
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        still = not mode.trains(self.path)

        def kept(branch: jax.Array, name: str) -> jax.Array:
            return nn.Dropout(self.drop_path, broadcast_dims=(1, 2), deterministic=still, name=name)(branch)

        y = LayerNorm(epsilon=self.variant.eps, dtype=self.dtype, name="norm1")(x)
        x = x + kept(Attention(self.variant, self.dtype, name="attn")(y), "drop_path1")
        y = LayerNorm(epsilon=self.variant.eps, dtype=self.dtype, name="norm2")(x)
        return x + kept(Mlp(self.dtype, self.variant.hidden, name="mlp")(y), "drop_path2")


class Norm(LayerNorm):
    """The last LayerNorm: (B, N, D) -> (B, N, D); of averaging variants, of the patches' mean: -> (B, D)."""

    average_from: int | None = None  # the first patch

    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        del mode
        if self.average_from is not None:
            x = x[:, self.average_from :].mean(axis=1)
        return super().__call__(x)


class ViT(nn.Module):
    """A vision transformer without its classifier.

    `drop_path` is the last block's rate; the first one's is 0, linear in between (DeiT, Touvron et al. 2020).
    """

    variant: Variant
    dtype: Any = jnp.float32
    drop_path: float = 0.0

    @property
    def stages(self) -> tuple[str, ...]:
        return self.variant.stages

    @nn.compact
    def __call__(
        self, x: jax.Array, mode: Mode = EVALUATE, *, start: str | None = None, stop: str | None = None
    ) -> jax.Array:
        """Run the stages from `start` to `stop`, both included; by default all of them.

        Args:
          x: normalised pixels (B, H, W, C), or, with `start`, the output of the stage before it. The
            position embeddings take the grid of the input that the variables were made for.

        Returns:
          The output of stage `stop`, (B, N, D); without `stop`, features (B, D) in float32: the class token
          (distilled: and the distillation token, (B, 2 D)), or the patches' normalised mean.
        """
        for name in between(self.stages, start, stop):
            x = self.stage(name)(x, mode)
        if stop is None:
            if not self.variant.average:
                x = x[:, : 1 + self.variant.distilled].reshape(x.shape[0], -1)  # (B, N, D) -> (B, D or 2 D)
            x = x.astype(jnp.float32)
        return x

    def stage(self, name: str) -> nn.Module:
        shape = self.variant
        if name == "embed":
            return Embed(shape, self.dtype, name=name)
        if name == "norm":
            average_from = sum(shape.tokens.values()) if shape.average else None
            return Norm(epsilon=shape.eps, dtype=self.dtype, average_from=average_from, name=name)
        rate = self.drop_path * int(name.removeprefix("block")) / max(shape.depth - 1, 1)
        return Block(shape, rate, self.dtype, name=name)


def names(variant: Any) -> tuple[Name, ...]:
    """timm's name of every tensor, and where it lies here."""
    return tuple(_rows(variant_of(variant)))


def _rows(shape: Variant) -> Iterator[Name]:
    for token in (*shape.tokens, "pos_embed"):
        yield Name(token, "params", f"backbone/embed/{token}")
    yield from _affine("patch_embed.proj", "backbone/embed/proj", "kernel", "conv")
    for i in range(shape.depth):
        for norm, *dense in (("norm1", "attn.qkv", "attn.proj"), ("norm2", "mlp.fc1", "mlp.fc2")):
            yield from _affine(f"blocks.{i}.{norm}", f"backbone/block{i}/{norm}", "scale")
            for layer in dense:
                path = f"backbone/block{i}/{layer.replace('.', '/')}"
                bias = shape.qkv_bias or layer != "attn.qkv"
                yield from _affine(f"blocks.{i}.{layer}", path, "kernel", "dense", bias=bias)
    yield from _affine("fc_norm" if shape.average else "norm", "backbone/norm", "scale")
    yield from _affine("head", "head", "kernel", "dense")


def _affine(theirs: str, ours: str, weight: str, layout: str = "same", *, bias: bool = True) -> Iterator[Name]:
    yield Name(f"{theirs}.weight", "params", f"{ours}/{weight}", layout)
    if bias:
        yield Name(f"{theirs}.bias", "params", f"{ours}/bias")


def adapt(arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> Arrays:
    """Published arrays as the network on inputs of `shape`, (B, H, W, C), takes them.

    Position embeddings of another grid are resized. The two classifiers of a distilled DeiT, whose mean is
    its answer, become one on both tokens, as does a single one, on the class token: the same function.
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
    if "pos_embed" in arrays and "patch_embed.proj.weight" in arrays:
        patch = arrays["patch_embed.proj.weight"].shape[-1]
        before = 0 if "reg_token" in arrays else sum(name in arrays for name in ("cls_token", "dist_token"))
        grid = shape[1] // patch, shape[2] // patch
        changed["pos_embed"] = partial(resize_positions, arrays["pos_embed"], grid, before)
    return Arrays.of(arrays, changed)


def as_published(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inverse of `adapt` where it joined two classifiers: on twice the width, they are two again.

    Their mean is the joined one, bit for bit, so timm's distilled DeiT takes them.
    """
    arrays, width = dict(arrays), arrays["cls_token"].shape[-1] if "dist_token" in arrays else 0
    if width and arrays["head.weight"].shape[-1] == 2 * width:
        halves = np.split(arrays["head.weight"] * 2, 2, axis=1)
        arrays["head.weight"], arrays["head_dist.weight"] = (np.ascontiguousarray(half) for half in halves)
        arrays["head_dist.bias"] = arrays["head.bias"].copy()
    return arrays


def resize_positions(positions: np.ndarray, grid: tuple[int, int], before: int) -> np.ndarray:
    """Position embeddings (1, before + side * side, D) for a grid of (rows, columns): (1, before + rows * columns, D).

    timm's resample_abs_pos_embed: bicubic (Keys 1981, a = -0.5), antialiased when it shrinks, half-pixel
    centres, weights normalised at the borders. As in timm, a published grid is taken to be square; one
    that cannot be is left as it is, and fits or does not.
    """
    side = math.isqrt(positions.shape[1] - before)
    if side * side != positions.shape[1] - before or grid == (side, side):
        return positions
    square = positions[0, before:].astype(np.float32).reshape(side, side, -1)
    resized = np.asarray(jax.image.resize(square, (*grid, square.shape[-1]), "cubic", antialias=True))
    resized = resized.reshape(1, -1, square.shape[-1]).astype(positions.dtype)
    return np.concatenate([positions[:, :before], resized], axis=1)
