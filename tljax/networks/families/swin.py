"""Swin Transformer (Liu et al. 2021, arXiv:2103.14030): torchvision's naming, NHWC.

Stages: embed, stage1 ... stage4, norm. A stage after the first begins with the merging of 2x2 patches. Attention is
within windows; in every second block they are shifted by half a window. Any size of picture is taken: maps are padded
to whole windows, as torchvision does it.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from tljax.core.errors import ConfigError
from tljax.core.types import Json, Mode, Name, VariantLike
from tljax.networks import sizes
from tljax.networks.backbone import Backbone, RunnableStage
from tljax.networks.layers import Conv, Dense, LayerNorm, gelu

INPUT = "image"
UNUSED = (r".*\.(relative_position_index|attn_mask)",)  # buffers
TABLE = "relative_position_bias_table"
NORMAL = nn.initializers.truncated_normal(0.02)
EPSILON = 1e-5


@dataclasses.dataclass(frozen=True)
class Variant:
    """Sizes of one published network."""

    width: int  # of stage1; doubled from stage to stage
    blocks: tuple[int, ...]
    heads: tuple[int, ...]
    window: int = 7  # patches on a side of a window
    patch: int = 4

    def __post_init__(self) -> None:
        if len(self.heads) != len(self.blocks) or any(w % h for w, h in zip(self.channels, self.heads, strict=True)):
            raise ConfigError(
                f"A Swin Transformer must have for every stage a number of heads that divides its width; got heads "
                f"{self.heads} for widths {self.channels}."
            )

    @property
    def channels(self) -> tuple[int, ...]:
        return tuple(self.width * 2**i for i in range(len(self.blocks)))

    @property
    def stages(self) -> tuple[str, ...]:
        return ("embed", *(f"stage{i + 1}" for i in range(len(self.blocks))), "norm")


VARIANTS = {
    "tiny": Variant(96, (2, 2, 6, 2), (3, 6, 12, 24)),
    "small": Variant(96, (2, 2, 18, 2), (3, 6, 12, 24)),
    "base": Variant(128, (2, 2, 18, 2), (4, 8, 16, 32)),
}


def variant_of(choice: VariantLike) -> Variant:
    """The sizes for a variant's name, for their fields, or for a `Variant`; ConfigError lists the names."""
    return sizes.variant(VARIANTS, choice, "model.variant of 'swin'")


def infer(arrays: Mapping[str, np.ndarray], config: Json | None) -> Variant:
    """The sizes of published tensors; KeyError if they do not belong to a Swin Transformer."""
    del config  # the tensors show all sizes
    blocks = sizes.depths(arrays, r"features\.(\d+)\.\d+\.norm1\.weight")
    tables = [arrays[f"features.{2 * s + 1}.0.attn.relative_position_bias_table"].shape for s in range(len(blocks))]
    windows = {(math.isqrt(rows) + 1) // 2 for rows, _ in tables}
    if len(windows) != 1 or any(rows != (2 * window - 1) ** 2 for rows, _ in tables for window in windows):
        raise KeyError(f"tables of positions of {', '.join(str(rows) for rows, _ in tables)} rows")
    width, _, patch, _ = arrays["features.0.0.weight"].shape
    return Variant(width, blocks, tuple(heads for _, heads in tables), windows.pop(), patch)


def as_published(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays, and the rows of each table as a buffer, which torchvision's strict loading asks for."""
    published = dict(arrays)
    for name, table in arrays.items():
        if name.endswith(TABLE):
            window = (math.isqrt(len(table)) + 1) // 2
            published[name.removesuffix(TABLE) + "relative_position_index"] = distances(window).reshape(-1)
    return published


def build(variant: VariantLike, *, dtype: DTypeLike = jnp.float32, bn_axis: str | None = None) -> "Swin":
    """The backbone; it has no BatchNorm, so `bn_axis` has no effect."""
    del bn_axis
    return Swin(variant_of(variant), dtype=dtype)


class Embed(nn.Module):
    """Patches and LayerNorm: (B, H, W, 3) -> (B, H/4, W/4, D); what does not fill a patch is left out."""

    shape: Variant
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        del mode  # nothing here differs between training and evaluation
        patch = self.shape.patch
        x = Conv(self.shape.width, patch, stride=patch, bias=True, dtype=self.dtype, name="proj")(x)
        return LayerNorm(EPSILON, dtype=self.dtype, name="norm")(x)


def distances(window: int) -> np.ndarray:
    """The row of the table of positions for each query and key in a window: (L, L), with L = window * window."""
    places = np.stack(np.meshgrid(np.arange(window), np.arange(window), indexing="ij"), axis=-1).reshape(-1, 2)
    rows, columns = np.moveaxis(places[:, None] - places[None] + window - 1, -1, 0)
    return rows * (2 * window - 1) + columns


def together(sides: tuple[int, ...], window: int, shifts: tuple[int, ...]) -> np.ndarray:
    """Which pairs of patches in each window of a shifted map were neighbours before the shift: (windows, L, L) bool."""
    region = np.zeros(sides, int)
    for axis, (side, shift) in enumerate(zip(sides, shifts, strict=True)):
        place = np.arange(side)
        part = ((place >= side - window).astype(int) + (place >= side - shift)) if shift else np.zeros(side, int)
        region += 3**axis * (part[:, None] if axis == 0 else part[None])
    regions = _windows(region[None, :, :, None], window)[0, ..., 0]
    return regions[:, :, None] == regions[:, None]


def _windows(x, window: int):
    """(B, H, W, C) -> (B, windows, L, C)."""
    b, height, width, c = x.shape
    x = x.reshape(b, height // window, window, width // window, window, c).swapaxes(2, 3)
    return x.reshape(b, -1, window * window, c)


class Attention(nn.Module):
    """Attention within windows, shifted or not: (B, H, W, C) -> (B, H, W, C)."""

    heads: int
    window: int
    shifted: bool
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        (b, height, width, c), window = x.shape, self.window
        x = jnp.pad(x, ((0, 0), (0, -height % window), (0, -width % window), (0, 0)))
        sides = x.shape[1:3]
        shifts = tuple(window // 2 if self.shifted and side > window else 0 for side in sides)
        x = _windows(jnp.roll(x, (-shifts[0], -shifts[1]), (1, 2)), window)
        count, length = x.shape[1:3]
        qkv = Dense(3 * c, dtype=self.dtype, kernel_init=NORMAL, name="qkv")(x)
        qkv = qkv.reshape(b * count, length, 3, self.heads, c // self.heads)
        table = self.param("bias_table", NORMAL, ((2 * window - 1) ** 2, self.heads), jnp.float32)
        bias = jnp.moveaxis(table[distances(window)], -1, 0)[None]  # (1, heads, L, L)
        mask = jnp.tile(together(sides, window, shifts)[:, None], (b, 1, 1, 1)) if any(shifts) else None
        x = jax.nn.dot_product_attention(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2], bias, mask)
        x = Dense(c, dtype=self.dtype, kernel_init=NORMAL, name="proj")(x.reshape(b, count, length, c))
        x = x.reshape(b, sides[0] // window, sides[1] // window, window, window, c).swapaxes(2, 3)
        return jnp.roll(x.reshape(b, *sides, c), shifts, (1, 2))[:, :height, :width]


class Block(nn.Module):
    """Attention and MLP, each with LayerNorm before it and a residual connection: (B, H, W, C) -> (B, H, W, C)."""

    attention: Attention
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self.attention(LayerNorm(EPSILON, dtype=self.dtype, name="norm1")(x))
        y = LayerNorm(EPSILON, dtype=self.dtype, name="norm2")(x)
        y = Dense(4 * x.shape[-1], dtype=self.dtype, kernel_init=NORMAL, name="fc1")(y)
        y = gelu(y)
        return x + Dense(x.shape[-1], dtype=self.dtype, kernel_init=NORMAL, name="fc2")(y)


class Stage(nn.Module):
    """Blocks at one resolution; before those of every stage but the first, 2x2 patches are merged."""

    shape: Variant
    index: int  # 0 for stage1
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        del mode  # nothing here differs between training and evaluation
        if self.index:
            x = jnp.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)))
            x = jnp.concatenate([x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)], axis=-1)  # (B, H/2, W/2, 4 C)
            x = LayerNorm(EPSILON, dtype=self.dtype, name="down_norm")(x)
            x = Dense(x.shape[-1] // 2, use_bias=False, dtype=self.dtype, kernel_init=NORMAL, name="down")(x)
        heads, window = self.shape.heads[self.index], self.shape.window
        for i in range(self.shape.blocks[self.index]):
            attention = Attention(heads, window, i % 2 == 1, self.dtype, parent=None)
            x = Block(attention, self.dtype, name=f"block{i}")(x)
        return x


class Norm(nn.Module):
    """LayerNorm: (B, h, w, D) -> (B, h, w, D)."""

    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        del mode  # nothing here differs between training and evaluation
        return LayerNorm(EPSILON, dtype=self.dtype, name="norm")(x)


class Swin(Backbone):
    """A Swin Transformer without its classifier. A stage gives a map (B, h, w, D); features are the last one's mean."""

    def features(self, x: jax.Array) -> jax.Array:
        return x.astype(jnp.float32).mean(axis=(1, 2))

    def stage(self, name: str) -> RunnableStage:
        if name == "embed":
            return Embed(self.variant, self.dtype, name=name)
        if name == "norm":
            return Norm(self.dtype, name=name)
        return Stage(self.variant, self.stages.index(name) - 1, self.dtype, name=name)


def names(variant: VariantLike) -> tuple[Name, ...]:
    """Torchvision's name of every tensor, and its path here."""
    return tuple(_rows(variant_of(variant)))


def _rows(shape: Variant) -> Iterator[Name]:
    yield from _layer("features.0.0", "backbone/embed/proj", "conv")
    yield from _layer("features.0.2", "backbone/embed/norm")
    for s, blocks in enumerate(shape.blocks):
        stage = f"backbone/stage{s + 1}"
        if s:
            yield Name(f"features.{2 * s}.reduction.weight", "params", f"{stage}/down/kernel", "dense")
            yield from _layer(f"features.{2 * s}.norm", f"{stage}/down_norm")
        for b in range(blocks):
            theirs, ours = f"features.{2 * s + 1}.{b}", f"{stage}/block{b}"
            table = f"{theirs}.attn.relative_position_bias_table"
            yield Name(table, "params", f"{ours}/attention/bias_table")
            for layer, path in (("attn.qkv", "attention/qkv"), ("attn.proj", "attention/proj"), ("mlp.0", "fc1"),
                                ("mlp.3", "fc2")):  # fmt: skip
                yield from _layer(f"{theirs}.{layer}", f"{ours}/{path}", "dense")
            for norm in ("norm1", "norm2"):
                yield from _layer(f"{theirs}.{norm}", f"{ours}/{norm}")
    yield from _layer("norm", "backbone/norm/norm")
    yield from _layer("head", "head", "dense")


def _layer(theirs: str, ours: str, layout: str = "") -> Iterator[Name]:
    weight = Name(f"{theirs}.weight", "params", f"{ours}/kernel", layout)
    yield weight if layout else Name(f"{theirs}.weight", "params", f"{ours}/scale")
    yield Name(f"{theirs}.bias", "params", f"{ours}/bias")
