"""ResNet v1.5 (He et al. 2015; stride in the 3x3 convolution): torchvision's naming, NHWC.

Stages: stem, stage1, stage2, stage3, stage4; the papers' and slides' conv1, conv2_x ... conv5_x.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from tljax import ops, plugins
from tljax.layers import BatchNorm, Conv
from tljax.types import EVALUATE, Mode, Name

INPUT = "image"


@dataclasses.dataclass(frozen=True)
class Variant:
    """Sizes of one published network."""

    blocks: tuple[int, ...]
    bottleneck: bool
    width: int = 64  # channels of the stem

    @property
    def stages(self) -> tuple[str, ...]:
        return ("stem", *(f"stage{i + 1}" for i in range(len(self.blocks))))

    @property
    def features(self) -> int:
        """Channels of the last stage."""
        return self.width * 2 ** (len(self.blocks) - 1) * (4 if self.bottleneck else 1)


VARIANTS = {
    "18": Variant((2, 2, 2, 2), bottleneck=False),
    "34": Variant((3, 4, 6, 3), bottleneck=False),
    "50": Variant((3, 4, 6, 3), bottleneck=True),
}
# Tensors that torchvision's files hold and a function of the input does not need.
UNUSED = (r".*\.num_batches_tracked",)


def variant_of(name: str) -> Variant:
    """The sizes of variant `name`; ConfigError lists those that exist."""
    return plugins.entry(VARIANTS, name, "model.variant of 'resnet'")


def build(variant: str, *, dtype: Any = jnp.float32, bn_axis: str | None = None) -> "ResNet":
    """The backbone. `bn_axis` names the pmap axis that BatchNorm statistics span, if any."""
    return ResNet(variant_of(variant), dtype=dtype, bn_axis=bn_axis)


class Stem(nn.Module):
    """7x7/2 convolution, BatchNorm, ReLU, 3x3/2 max-pool: (B, H, W, 3) -> (B, H/4, W/4, width)."""

    width: int
    dtype: Any
    bn_axis: str | None

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        x = Conv(self.width, 7, stride=2, padding=3, dtype=self.dtype, name="conv")(x)
        x = BatchNorm(dtype=self.dtype, axis_name=self.bn_axis, name="bn")(x, mode)
        return ops.max_pool(nn.relu(x), window=3, stride=2, padding=1)


class Block(nn.Module):
    """One residual block, basic (3x3, 3x3) or bottleneck (1x1, 3x3, 1x1 to 4 times the width)."""

    width: int
    stride: int
    bottleneck: bool
    dtype: Any
    bn_axis: str | None

    def convs(self) -> tuple[tuple[int, int, int], ...]:
        """(features, kernel size, stride) of every convolution on the residual branch."""
        if self.bottleneck:
            return (self.width, 1, 1), (self.width, 3, self.stride), (4 * self.width, 1, 1)
        return (self.width, 3, self.stride), (self.width, 3, 1)

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        def conv_bn(y: jax.Array, features: int, size: int, stride: int, conv: str, bn: str) -> jax.Array:
            y = Conv(features, size, stride=stride, padding=size // 2, dtype=self.dtype, name=conv)(y)
            return BatchNorm(dtype=self.dtype, axis_name=self.bn_axis, name=bn)(y, mode)

        y, last = x, len(self.convs())
        for i, (features, size, stride) in enumerate(self.convs(), start=1):
            y = conv_bn(y, features, size, stride, f"conv{i}", f"bn{i}")
            y = nn.relu(y) if i < last else y
        if x.shape != y.shape:
            x = conv_bn(x, y.shape[-1], 1, self.stride, "downsample_conv", "downsample_bn")
        return nn.relu(x + y)


class Stage(nn.Module):
    """Blocks at one resolution; the first one halves it, except in stage1."""

    blocks: int
    width: int
    stride: int
    bottleneck: bool
    dtype: Any
    bn_axis: str | None

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        for i in range(self.blocks):
            stride = self.stride if i == 0 else 1
            block = Block(self.width, stride, self.bottleneck, self.dtype, self.bn_axis, name=f"block{i}")
            x = block(x, mode)
        return x


class ResNet(nn.Module):
    """A ResNet without its classifier."""

    variant: Variant
    dtype: Any = jnp.float32
    bn_axis: str | None = None

    @property
    def stages(self) -> tuple[str, ...]:
        return self.variant.stages

    @nn.compact
    def __call__(
        self, x: jax.Array, mode: Mode = EVALUATE, *, start: str | None = None, stop: str | None = None
    ) -> jax.Array:
        """Run the stages from `start` to `stop`, both included; by default all of them.

        Args:
          x: normalised pixels (B, H, W, C), or, with `start`, the output of the stage before it.

        Returns:
          The output of stage `stop`, (B, h, w, D); without `stop`, features (B, D): its mean over
          positions, in float32.
        """
        first = 0 if start is None else self.stages.index(start)
        last = len(self.stages) if stop is None else self.stages.index(stop) + 1
        for name in self.stages[first:last]:
            x = self.stage(name)(x, mode)
        if stop is None:
            x = x.astype(jnp.float32).mean(axis=(1, 2))  # (B, h, w, D) -> (B, D)
        return x

    def stage(self, name: str) -> nn.Module:
        shape = self.variant
        if name == "stem":
            return Stem(shape.width, self.dtype, self.bn_axis, name=name)
        i = self.stages.index(name) - 1
        return Stage(
            blocks=shape.blocks[i],
            width=shape.width * 2**i,
            stride=1 if i == 0 else 2,
            bottleneck=shape.bottleneck,
            dtype=self.dtype,
            bn_axis=self.bn_axis,
            name=name,
        )


def names(variant: str) -> tuple[Name, ...]:
    """Torchvision's name of every tensor, and where it lies here."""
    return tuple(_rows(variant_of(variant)))


def _rows(shape: Variant) -> Iterator[Name]:
    yield Name("conv1.weight", "params", "backbone/stem/conv/kernel", "conv")
    yield from _bn_rows("bn1", "backbone/stem/bn")
    for s, blocks in enumerate(shape.blocks, start=1):
        for b in range(blocks):
            theirs, ours = f"layer{s}.{b}", f"backbone/stage{s}/block{b}"
            for c in range(1, 4 if shape.bottleneck else 3):
                yield Name(f"{theirs}.conv{c}.weight", "params", f"{ours}/conv{c}/kernel", "conv")
                yield from _bn_rows(f"{theirs}.bn{c}", f"{ours}/bn{c}")
            if b == 0 and (s > 1 or shape.bottleneck):
                kernel = f"{ours}/downsample_conv/kernel"
                yield Name(f"{theirs}.downsample.0.weight", "params", kernel, "conv")
                yield from _bn_rows(f"{theirs}.downsample.1", f"{ours}/downsample_bn")
    yield Name("fc.weight", "params", "head/kernel", "dense")
    yield Name("fc.bias", "params", "head/bias")


def _bn_rows(theirs: str, ours: str) -> Iterator[Name]:
    yield Name(f"{theirs}.weight", "params", f"{ours}/scale")
    yield Name(f"{theirs}.bias", "params", f"{ours}/bias")
    yield Name(f"{theirs}.running_mean", "batch_stats", f"{ours}/mean")
    yield Name(f"{theirs}.running_var", "batch_stats", f"{ours}/var")
