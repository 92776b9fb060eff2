"""ResNet v1.5 (He et al. 2015; stride in the 3x3 convolution), its wide form (Zagoruyko and Komodakis 2016) and
ResNeXt (Xie et al. 2017): torchvision's naming, NHWC.

Stages: stem, stage1, stage2, stage3, stage4; in the paper: conv1, conv2_x ... conv5_x.
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
from tljax.networks.layers import BatchNorm, Conv, Stem

INPUT = "image"


@dataclasses.dataclass(frozen=True)
class Variant:
    """Sizes of one published network."""

    blocks: tuple[int, ...]
    bottleneck: bool
    width: int = 64  # channels of the stem
    inner: int = 1  # channels of a bottleneck's 3x3 convolution, in units of its stage's width
    groups: int = 1  # of a bottleneck's 3x3 convolution
    widths: tuple[int, ...] = ()  # of the stages; (): the stem's width, doubled from stage to stage
    dilated: int = 0  # the last stages whose 3x3 convolutions are dilated instead of strided (torchvision's FCN: 2)

    def __post_init__(self) -> None:
        if self.dilated >= len(self.blocks):
            raise ConfigError(
                f"A ResNet's dilated stages must be fewer than its {len(self.blocks)}; got {self.dilated}."
            )

    @property
    def stages(self) -> tuple[str, ...]:
        return ("stem", *(f"stage{i + 1}" for i in range(len(self.blocks))))

    @property
    def outputs(self) -> tuple[int, ...]:
        """Channels of each stage's output, without the stem."""
        widths = self.widths or tuple(self.width * 2**i for i in range(len(self.blocks)))
        return tuple(width * (4 if self.bottleneck else 1) for width in widths)

    @property
    def features(self) -> int:
        """Channels of the last stage."""
        return self.outputs[-1]


VARIANTS = {
    "18": Variant((2, 2, 2, 2), bottleneck=False),
    "34": Variant((3, 4, 6, 3), bottleneck=False),
    "50": Variant((3, 4, 6, 3), bottleneck=True),
    "101": Variant((3, 4, 23, 3), bottleneck=True),
    "152": Variant((3, 8, 36, 3), bottleneck=True),
    "wide50_2": Variant((3, 4, 6, 3), bottleneck=True, inner=2),
    "resnext50_32x4d": Variant((3, 4, 6, 3), bottleneck=True, inner=2, groups=32),
}
VARIANTS |= {f"{name}_dilated": dataclasses.replace(VARIANTS[name], dilated=2) for name in ("50", "101")}
# Tensors in torchvision's files that the network does not need to compute its output.
UNUSED = (r".*\.num_batches_tracked",)


def variant_of(choice: VariantLike) -> Variant:
    """The sizes for a variant's name, for their fields, or for a `Variant`; ConfigError lists the names."""
    return sizes.variant(VARIANTS, choice, "model.variant of 'resnet'")


def infer(arrays: Mapping[str, np.ndarray], config: Json | None) -> Variant:
    """The sizes of published tensors; KeyError or IndexError if they do not belong to a ResNet."""
    blocks = sizes.depths(arrays, r"layer(\d+)\.\d+\.conv1\.weight")
    bottleneck, width = "layer1.0.conv3.weight" in arrays, arrays["conv1.weight"].shape[0]
    last, expansion = ("conv3", 4) if bottleneck else ("conv2", 1)
    widths = tuple(arrays[f"layer{s + 1}.0.{last}.weight"].shape[0] // expansion for s in range(len(blocks)))
    middle = arrays["layer1.0.conv2.weight"].shape  # (O, I / groups, 3, 3)
    shape = Variant(blocks, bottleneck, width, dilated=(config or {}).get("dilated", 0))  # tensors show all other sizes
    if bottleneck:
        shape = dataclasses.replace(shape, inner=middle[0] // widths[0], groups=middle[0] // middle[1])
    doubled = tuple(width * 2**i for i in range(len(blocks)))
    return shape if widths == doubled else dataclasses.replace(shape, widths=widths)


def build(variant: VariantLike, *, dtype: DTypeLike = jnp.float32, bn_axis: str | None = None) -> "ResNet":
    """The backbone. `bn_axis` names the pmap axis that BatchNorm statistics span, if any."""
    return ResNet(variant_of(variant), dtype=dtype, bn_axis=bn_axis)


class Block(nn.Module):
    """One residual block, basic (3x3, 3x3) or bottleneck (1x1, 3x3, 1x1 to 4 times the width)."""

    shape: Variant
    width: int  # of the stage
    stride: int
    dtype: DTypeLike
    bn_axis: str | None
    dilation: int = 1  # places between the taps of a 3x3 convolution

    def convs(self) -> tuple[tuple[int, int, int, int], ...]:
        """(features, kernel size, stride, groups) of every convolution on the residual branch."""
        width, shape = self.width, self.shape
        if shape.bottleneck:
            inner = shape.inner * width
            return (inner, 1, 1, 1), (inner, 3, self.stride, shape.groups), (4 * width, 1, 1, 1)
        return (width, 3, self.stride, 1), (width, 3, 1, 1)

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        def conv_bn(y: jax.Array, conv: Conv, bn: str) -> jax.Array:
            return BatchNorm(dtype=self.dtype, axis_name=self.bn_axis, name=bn)(conv(y), mode)

        y, last = x, len(self.convs())
        for i, (features, size, stride, groups) in enumerate(self.convs(), start=1):
            spread = self.dilation if size > 1 else 1
            conv = Conv(
                features, size, stride, spread * (size // 2), groups, dilation=spread, dtype=self.dtype, name=f"conv{i}"
            )
            y = conv_bn(y, conv, f"bn{i}")
            y = nn.relu(y) if i < last else y
        if self.stride > 1 or x.shape[-1] != y.shape[-1]:
            conv = Conv(y.shape[-1], 1, stride=self.stride, dtype=self.dtype, name="downsample_conv")
            x = conv_bn(x, conv, "downsample_bn")
        return nn.relu(x + y)


class Stage(nn.Module):
    """Blocks at one resolution; the first one halves it, except in stage1 and in dilated stages."""

    shape: Variant
    index: int  # 0 for stage1
    dtype: DTypeLike
    bn_axis: str | None

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        width = self.shape.outputs[self.index] // (4 if self.shape.bottleneck else 1)
        wider = self.index - (len(self.shape.blocks) - self.shape.dilated)  # 0 in the first dilated stage
        for i in range(self.shape.blocks[self.index]):
            stride = 2 if i == 0 and self.index > 0 and wider < 0 else 1
            spread = 2 ** max(0, wider + (i > 0)) if wider >= 0 else 1  # a first block's is that of the stage before
            x = Block(self.shape, width, stride, self.dtype, self.bn_axis, spread, name=f"block{i}")(x, mode)
        return x


class ResNet(Backbone):
    """A ResNet without its classifier. A stage gives a map (B, h, w, D); features are the last map's mean, (B, D)."""

    bn_axis: str | None = None

    def features(self, x: jax.Array) -> jax.Array:
        return x.astype(jnp.float32).mean(axis=(1, 2))

    def stage(self, name: str) -> RunnableStage:
        if name == "stem":
            return Stem(self.variant.width, self.dtype, self.bn_axis, name=name)
        return Stage(self.variant, self.stages.index(name) - 1, self.dtype, self.bn_axis, name=name)


def names(variant: VariantLike) -> tuple[Name, ...]:
    """Torchvision's name of every tensor, and its path here."""
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
            if b == 0 and (s > 1 or shape.width != shape.outputs[0]):
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
