"""ConvNeXt (Liu et al. 2022): torchvision's naming, NHWC.

Stages: stem, stage1 ... stage4, norm. The downsampling between two stages is a part of the later stage.
norm is the mean over positions and the LayerNorm; in torchvision this LayerNorm is a part of the classifier.
"""

import dataclasses
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
from tljax.networks.layers import Conv, LayerNorm

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

    @property
    def stages(self) -> tuple[str, ...]:
        return ("stem", *(f"stage{i + 1}" for i in range(len(self.blocks))), "norm")


VARIANTS = {
    "tiny": Variant((3, 3, 9, 3), (96, 192, 384, 768)),
    "small": Variant((3, 3, 27, 3), (96, 192, 384, 768)),
    "base": Variant((3, 3, 27, 3), (128, 256, 512, 1024)),
    "large": Variant((3, 3, 27, 3), (192, 384, 768, 1536)),
}


def variant_of(choice: VariantLike) -> Variant:
    """The sizes for a variant's name, for their fields, or for a `Variant`; ConfigError lists the names."""
    return sizes.variant(VARIANTS, choice, "model.variant of 'convnext'")


def infer(arrays: Mapping[str, np.ndarray], config: Json | None) -> Variant:
    """The sizes of published tensors; KeyError if they do not belong to a ConvNeXt."""
    del config  # the tensors show all sizes
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


class Block(nn.Module):
    """7x7 depthwise convolution, LayerNorm, dense to 4 times the width, exact GELU, dense back; scaled and added."""

    width: int
    drop_path: float
    layer_scale: bool
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        depthwise = {"groups": self.width, "padding": 3, "bias": True, "kernel_init": NORMAL}
        y = Conv(self.width, 7, dtype=self.dtype, name="conv", **depthwise)(x)
        y = LayerNorm(dtype=self.dtype, name="norm")(y)
        y = nn.Dense(4 * self.width, dtype=self.dtype, kernel_init=NORMAL, name="expand")(y)
        y = nn.gelu(y, approximate=False)
        y = nn.Dense(self.width, dtype=self.dtype, kernel_init=NORMAL, name="project")(y)
        if self.layer_scale:
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
    layer_scale: bool
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
            x = Block(self.width, drop_path, self.layer_scale, self.dtype, name=f"block{i}")(x, mode)
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
        scaled = self.variant.layer_scale
        return Stage(widths[i], i > 0, drop_paths, scaled, self.dtype, name=name)


def names(variant: VariantLike) -> tuple[Name, ...]:
    """Torchvision's name of every tensor, and its path here."""
    return tuple(rows(variant_of(variant)))


def rows(shape: Variant) -> Iterator[Name]:
    """The name table of a network of these sizes."""
    yield from _pair("features.0.0", "backbone/stem/conv/kernel", "conv")
    yield from _pair("features.0.1", "backbone/stem/norm/scale")
    for s, blocks in enumerate(shape.blocks, start=1):
        if s > 1:  # in torchvision the downsampling between two stages has an index of its own
            yield from _pair(f"features.{2 * s - 2}.0", f"backbone/stage{s}/down_norm/scale")
            yield from _pair(f"features.{2 * s - 2}.1", f"backbone/stage{s}/down_conv/kernel", "conv")
        for b in range(blocks):
            theirs, ours = f"features.{2 * s - 1}.{b}", f"backbone/stage{s}/block{b}"
            if shape.layer_scale:
                yield Name(f"{theirs}.layer_scale", "params", f"{ours}/layer_scale", "channels")
            yield from _pair(f"{theirs}.block.0", f"{ours}/conv/kernel", "conv")
            yield from _pair(f"{theirs}.block.2", f"{ours}/norm/scale")
            yield from _pair(f"{theirs}.block.3", f"{ours}/expand/kernel", "dense")
            yield from _pair(f"{theirs}.block.5", f"{ours}/project/kernel", "dense")
    yield from _pair("classifier.0", "backbone/norm/scale")
    yield from _pair("classifier.2", "head/kernel", "dense")


def _pair(theirs: str, ours: str, layout: str = "same") -> Iterator[Name]:
    """The rows of a weight and its bias."""
    yield Name(f"{theirs}.weight", "params", ours, layout)
    yield Name(f"{theirs}.bias", "params", f"{ours.rpartition('/')[0]}/bias")
