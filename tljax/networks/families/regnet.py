"""RegNetX and RegNetY (Radosavovic et al. 2020, arXiv:2003.13678): torchvision's naming, NHWC.

Stages: stem, stage1 ... stage4. Each of them halves the map. RegNetY has squeeze-and-excitation in every block.
"""

import dataclasses
from collections.abc import Iterator, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from tljax.core.types import Json, Mode, Name, VariantLike
from tljax.networks import sizes
from tljax.networks.backbone import Backbone, RunnableStage
from tljax.networks.inverted_residual import SqueezeExcite
from tljax.networks.layers import BatchNorm, Conv

INPUT = "image"
# Tensors in torchvision's files that the network does not need to compute its output.
UNUSED = (r".*\.num_batches_tracked",)
FIRST = "trunk_output.block1.block1-0.f"


@dataclasses.dataclass(frozen=True)
class Variant:
    """Sizes of one published network."""

    blocks: tuple[int, ...]  # of every stage, as the next two
    widths: tuple[int, ...]
    group_widths: tuple[int, ...]  # channels in a group of the 3x3 convolutions
    stem: int = 32
    squeeze: float = 0.25  # units of squeeze-and-excitation, in units of the block's input channels; 0: none

    @property
    def stages(self) -> tuple[str, ...]:
        return ("stem", *(f"stage{i + 1}" for i in range(len(self.blocks))))

    def squeezed(self, channels: int) -> int:
        """Units of squeeze-and-excitation in a block with these input channels."""
        return round(self.squeeze * channels)


def _y(group_width: int, blocks: tuple[int, ...], widths: tuple[int, ...]) -> Variant:
    return Variant(blocks, widths, (group_width,) * len(blocks))


VARIANTS = {  # torchvision's names
    "y_400mf": _y(8, (1, 3, 6, 6), (48, 104, 208, 440)),
    "y_800mf": _y(16, (1, 3, 8, 2), (64, 144, 320, 784)),
    "y_1_6gf": _y(24, (2, 6, 17, 2), (48, 120, 336, 888)),
    "y_3_2gf": _y(24, (2, 5, 13, 1), (72, 216, 576, 1512)),
    "y_8gf": _y(56, (2, 4, 10, 1), (224, 448, 896, 2016)),
    "y_16gf": _y(112, (2, 4, 11, 1), (224, 448, 1232, 3024)),
    "x_400mf": Variant((1, 2, 7, 12), (32, 64, 160, 400), (16,) * 4, squeeze=0.0),
}


def variant_of(choice: VariantLike) -> Variant:
    """The sizes for a variant's name, for their fields, or for a `Variant`; ConfigError lists the names."""
    return sizes.variant(VARIANTS, choice, "model.variant of 'regnet'")


def infer(arrays: Mapping[str, np.ndarray], config: Json | None) -> Variant:
    """The sizes of published tensors; KeyError if they do not belong to a RegNet."""
    del config  # the tensors show all sizes
    blocks = sizes.depths(arrays, r"trunk_output\.block(\d+)\.block\d+-\d+\.f\.b\.0\.weight")
    kernels = [arrays[f"trunk_output.block{s}.block{s}-0.f.b.0.weight"].shape for s in range(1, len(blocks) + 1)]
    stem = arrays["stem.0.weight"].shape[0]
    squeezed = arrays[f"{FIRST}.se.fc1.weight"].shape[0] if f"{FIRST}.se.fc1.weight" in arrays else 0
    widths, group_widths = zip(*((shape[0], shape[1]) for shape in kernels), strict=True)
    return Variant(blocks, widths, group_widths, stem, squeezed / stem)


def build(variant: VariantLike, *, dtype: DTypeLike = jnp.float32, bn_axis: str | None = None) -> "RegNet":
    """The backbone. `bn_axis` names the pmap axis that BatchNorm statistics span, if any."""
    return RegNet(variant_of(variant), dtype=dtype, bn_axis=bn_axis)


class Part(nn.Module):
    """What a part of the network knows of it."""

    dtype: DTypeLike
    bn_axis: str | None

    def conv_bn(self, x: jax.Array, mode: Mode, conv: Conv, bn: str) -> jax.Array:
        return BatchNorm(dtype=self.dtype, axis_name=self.bn_axis, name=bn)(conv(x), mode)


class Stem(Part):
    """3x3/2 convolution, BatchNorm, ReLU: (B, H, W, 3) -> (B, H/2, W/2, width)."""

    width: int = 0

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        conv = Conv(self.width, 3, stride=2, padding=1, dtype=self.dtype, name="conv")
        return nn.relu(self.conv_bn(x, mode, conv, "bn"))


class Block(Part):
    """1x1, 3x3 in groups, squeeze-and-excitation, 1x1, and the input: (B, H, W, C) -> (B, H/stride, W/stride, D)."""

    width: int = 0
    group_width: int = 1
    stride: int = 1
    squeezed: int = 0

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        y, grouped = x, self.width // self.group_width
        for i, (size, stride, groups) in enumerate(((1, 1, 1), (3, self.stride, grouped), (1, 1, 1)), start=1):
            conv = Conv(self.width, size, stride, size // 2, groups, dtype=self.dtype, name=f"conv{i}")
            if i == 3 and self.squeezed:
                y = SqueezeExcite(self.squeezed, "relu", "sigmoid", self.dtype, name="squeeze_excite")(y)
            y = self.conv_bn(y, mode, conv, f"bn{i}")
            y = nn.relu(y) if i < 3 else y
        if self.stride > 1 or x.shape[-1] != self.width:
            conv = Conv(self.width, 1, stride=self.stride, dtype=self.dtype, name="downsample_conv")
            x = self.conv_bn(x, mode, conv, "downsample_bn")
        return nn.relu(x + y)


class Stage(Part):
    """Blocks at one resolution; the first one halves it."""

    shape: Variant | None = None
    index: int = 0  # 0 for stage1

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        assert self.shape is not None
        shape, i = self.shape, self.index
        for b in range(shape.blocks[i]):
            stride, squeezed = 1 if b else 2, shape.squeezed(x.shape[-1])
            block = Block(
                self.dtype, self.bn_axis, shape.widths[i], shape.group_widths[i], stride, squeezed, name=f"block{b}"
            )
            x = block(x, mode)
        return x


class RegNet(Backbone):
    """A RegNet without its classifier. A stage gives a map (B, h, w, D); features are the last map's mean, (B, D)."""

    bn_axis: str | None = None

    def features(self, x: jax.Array) -> jax.Array:
        return x.astype(jnp.float32).mean(axis=(1, 2))

    def stage(self, name: str) -> RunnableStage:
        if name == "stem":
            return Stem(self.dtype, self.bn_axis, self.variant.stem, name=name)
        return Stage(self.dtype, self.bn_axis, self.variant, self.stages.index(name) - 1, name=name)


def names(variant: VariantLike) -> tuple[Name, ...]:
    """Torchvision's name of every tensor, and its path here."""
    return tuple(_rows(variant_of(variant)))


def _rows(shape: Variant) -> Iterator[Name]:
    yield from _conv_bn("stem", "backbone/stem/conv", "backbone/stem/bn")
    channels = shape.stem
    for s, (blocks, width) in enumerate(zip(shape.blocks, shape.widths, strict=True), start=1):
        for b in range(blocks):
            theirs, ours = f"trunk_output.block{s}.block{s}-{b}", f"backbone/stage{s}/block{b}"
            if b == 0:
                yield from _conv_bn(f"{theirs}.proj", f"{ours}/downsample_conv", f"{ours}/downsample_bn")
            for i, letter in enumerate("abc", start=1):
                yield from _conv_bn(f"{theirs}.f.{letter}", f"{ours}/conv{i}", f"{ours}/bn{i}")
            for fc, part in (("fc1", "reduce"), ("fc2", "expand")) if shape.squeezed(channels) else ():
                yield Name(f"{theirs}.f.se.{fc}.weight", "params", f"{ours}/squeeze_excite/{part}/kernel", "conv")
                yield Name(f"{theirs}.f.se.{fc}.bias", "params", f"{ours}/squeeze_excite/{part}/bias")
            channels = width
    yield Name("fc.weight", "params", "head/kernel", "dense")
    yield Name("fc.bias", "params", "head/bias")


def _conv_bn(theirs: str, conv: str, bn: str) -> Iterator[Name]:
    yield Name(f"{theirs}.0.weight", "params", f"{conv}/kernel", "conv")
    yield Name(f"{theirs}.1.weight", "params", f"{bn}/scale")
    yield Name(f"{theirs}.1.bias", "params", f"{bn}/bias")
    yield Name(f"{theirs}.1.running_mean", "batch_stats", f"{bn}/mean")
    yield Name(f"{theirs}.1.running_var", "batch_stats", f"{bn}/var")
