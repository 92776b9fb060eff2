"""ConvNeXt (Liu et al. 2022): torchvision's naming, NHWC; and ConvNeXt V2 (Woo et al. 2023): timm's naming.

Stages: stem, stage1 ... stage4, norm. The downsampling between two stages is a part of the later stage.
norm is the mean over positions and the LayerNorm; in torchvision this LayerNorm is a part of the classifier.
"""

import dataclasses
from collections.abc import Mapping

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
from tljax.networks.naming import convnext as published

INPUT = "image"
UNUSED = ()
# torchvision truncates this normal distribution at +-2, that is at a hundred standard deviations: no difference.
NORMAL = nn.initializers.normal(0.02)


@dataclasses.dataclass(frozen=True)
class Variant:
    """Sizes of one published network: blocks and channels of every stage."""

    blocks: tuple[int, ...]
    widths: tuple[int, ...]
    eps: float = 1e-6  # of the last LayerNorm; all others have 1e-6
    layer_scale: bool = True  # a learned factor for each channel of a block's residual branch
    response_norm: bool = False  # V2: global response normalisation inside of a block's MLP, no layer_scale
    convolutions: bool = False  # V2: whether the dense layers of blocks are published as 1x1 convolutions

    @property
    def stages(self) -> tuple[str, ...]:
        return ("stem", *(f"stage{i + 1}" for i in range(len(self.blocks))), "norm")


SIZES = {
    "tiny": ((3, 3, 9, 3), (96, 192, 384, 768)),
    "small": ((3, 3, 27, 3), (96, 192, 384, 768)),
    "base": ((3, 3, 27, 3), (128, 256, 512, 1024)),
    "large": ((3, 3, 27, 3), (192, 384, 768, 1536)),
}
SMALLER = {  # timm's, and those of V2
    "atto": ((2, 2, 6, 2), (40, 80, 160, 320)),
    "femto": ((2, 2, 6, 2), (48, 96, 192, 384)),
    "pico": ((2, 2, 6, 2), (64, 128, 256, 512)),
    "nano": ((2, 2, 8, 2), (80, 160, 320, 640)),
}
HUGE = {"huge": ((3, 3, 27, 3), (352, 704, 1408, 2816))}
VARIANTS = {
    **{name: Variant(*shape) for name, shape in (SIZES | SMALLER).items()},
    **{
        f"v2_{name}": Variant(*shape, layer_scale=False, response_norm=True, convolutions=name in SMALLER)
        for name, shape in (SMALLER | SIZES | HUGE).items()
    },
}


def variant_of(choice: VariantLike) -> Variant:
    """The sizes for a variant's name, for their fields, or for a `Variant`; ConfigError lists the names."""
    return sizes.variant(VARIANTS, choice, "model.variant of 'convnext'")


def infer(arrays: Mapping[str, np.ndarray], config: Json | None) -> Variant:
    """The sizes of published tensors; KeyError if they do not belong to a ConvNeXt."""
    del config  # the tensors show all sizes
    if "stages.0.blocks.0.mlp.grn.weight" in arrays:
        blocks = sizes.depths(arrays, r"stages\.(\d+)\.blocks\.\d+\.norm\.weight")
        widths = tuple(arrays[f"stages.{s}.blocks.0.norm.weight"].shape[0] for s in range(len(blocks)))
        convolutions = arrays["stages.0.blocks.0.mlp.fc1.weight"].ndim == 4
        return Variant(blocks, widths, layer_scale=False, response_norm=True, convolutions=convolutions)
    blocks = sizes.depths(arrays, r"features\.(\d+)\.\d+\.block\.2\.weight")
    widths = tuple(arrays[f"features.{2 * s + 1}.0.block.2.weight"].shape[0] for s in range(len(blocks)))
    return Variant(blocks, widths, layer_scale="features.1.0.layer_scale" in arrays)


def build(
    variant: VariantLike, *, dtype: DTypeLike = jnp.float32, bn_axis: str | None = None, drop_path: float = 0.0
) -> "ConvNeXt":
    """The backbone; it has no BatchNorm, so `bn_axis` has no effect.

    Args:
      drop_path: stochastic depth (Huang et al. 2016): the probability that a training step skips the
        last block for one example. It falls linearly to 0 at the first block. Frozen blocks are never
        skipped. It needs an rng "dropout". torchvision trained tiny, small and base for 600 epochs with
        0.1, 0.4 and 0.5. The default is 0: stochastic depth helps against overfitting in long training
        from scratch; in a short fine-tuning it mostly takes blocks away from the pretrained network.
    """
    del bn_axis
    return ConvNeXt(variant_of(variant), dtype=dtype, drop_path=drop_path)


class Stem(nn.Module):
    """4x4/4 convolution, LayerNorm: (B, H, W, 3) -> (B, H/4, W/4, width)."""

    width: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        del mode  # nothing here differs between training and evaluation
        x = Conv(self.width, 4, stride=4, bias=True, dtype=self.dtype, kernel_init=NORMAL, name="conv")(x)
        return LayerNorm(dtype=self.dtype, name="norm")(x)


class ResponseNorm(nn.Module):
    """Global response normalisation (Woo et al. 2023, algorithm 1): a channel's share of its map's energy scales it.

    y = x + bias + scale * x * g / (mean of g over channels + 1e-6), where g is a channel's L2 norm over positions.
    """

    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        scale, bias = (
            self.param(name, nn.initializers.zeros, (x.shape[-1],), jnp.float32) for name in ("scale", "bias")
        )
        whole = x.astype(jnp.float32)
        energy = jnp.sqrt(jnp.square(whole).sum(axis=(1, 2), keepdims=True))  # (B, 1, 1, C)
        share = energy / (energy.mean(axis=-1, keepdims=True) + 1e-6)
        return (whole + bias[None, None, None] + scale[None, None, None] * whole * share).astype(self.dtype)


class Block(nn.Module):
    """7x7 depthwise convolution, LayerNorm, dense to 4 times the width, exact GELU, dense back; scaled and added."""

    width: int
    drop_path: float
    variant: Variant
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        depthwise = {"groups": self.width, "padding": 3, "bias": True, "kernel_init": NORMAL}
        y = Conv(self.width, 7, dtype=self.dtype, name="conv", **depthwise)(x)
        y = LayerNorm(dtype=self.dtype, name="norm")(y)
        y = Dense(4 * self.width, dtype=self.dtype, kernel_init=NORMAL, name="expand")(y)
        y = gelu(y)
        if self.variant.response_norm:
            y = ResponseNorm(self.dtype, name="response_norm")(y)
        y = Dense(self.width, dtype=self.dtype, kernel_init=NORMAL, name="project")(y)
        if self.variant.layer_scale:
            scale = self.param("layer_scale", nn.initializers.constant(1e-6), (self.width,), jnp.float32)
            y = y * scale.astype(self.dtype)[None, None, None]  # (B, H, W, width)
        # One random decision for each example: torchvision's mode "row".
        drop = nn.Dropout(self.drop_path, broadcast_dims=(1, 2, 3))
        return x + drop(y, deterministic=not mode.trains(self.path))


class Stage(nn.Module):
    """Blocks at one resolution: half that of the stage before; stage1 keeps that of the stem."""

    width: int
    halves: bool
    drop_paths: tuple[float, ...]  # one for every block
    variant: Variant
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        if self.halves:
            if min(x.shape[1:3]) < 2:
                raise ConfigError(
                    f"A ConvNeXt divides its picture by 32, so config.data.size must be at least 32; "
                    f"'{self.name}' is given a map of {x.shape[1]}x{x.shape[2]}."
                )
            x = LayerNorm(dtype=self.dtype, name="down_norm")(x)
            x = Conv(self.width, 2, stride=2, bias=True, dtype=self.dtype, kernel_init=NORMAL, name="down_conv")(x)
        for i, drop_path in enumerate(self.drop_paths):
            x = Block(self.width, drop_path, self.variant, self.dtype, name=f"block{i}")(x, mode)
        return x


class Norm(LayerNorm):
    """The mean over positions, in float32, then LayerNorm: (B, h, w, D) -> (B, D)."""

    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        del mode
        return super().__call__(x.astype(jnp.float32).mean(axis=(1, 2)))


class ConvNeXt(Backbone):
    """A ConvNeXt without its classifier, for pictures of at least 32 pixels a side.

    A stage gives a map (B, h, w, D); the last stage, norm, gives (B, D).
    """

    drop_path: float = 0.0

    def stage(self, name: str) -> RunnableStage:
        blocks, widths = self.variant.blocks, self.variant.widths
        if name == "stem":
            return Stem(widths[0], self.dtype, name=name)
        if name == "norm":
            return Norm(epsilon=self.variant.eps, dtype=self.dtype, name=name)
        i = self.stages.index(name) - 1
        before, steps = sum(blocks[:i]), max(sum(blocks) - 1, 1)
        drop_paths = tuple(self.drop_path * (before + b) / steps for b in range(blocks[i]))
        return Stage(widths[i], i > 0, drop_paths, self.variant, self.dtype, name=name)


def names(variant: VariantLike) -> tuple[Name, ...]:
    """The published name of every tensor, and its path here: torchvision's, of a V2 timm's."""
    return tuple(published.rows(variant_of(variant)))
