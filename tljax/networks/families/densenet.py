"""DenseNet (Huang et al. 2017): torchvision's naming, NHWC.

Stages: stem, stage1 ... stage4, norm. The transition between two dense blocks is a part of the later stage; norm is the
BatchNorm and ReLU after the last dense block.
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
# Tensors in torchvision's files that the network does not need to compute its output.
UNUSED = (r".*\.num_batches_tracked",)


@dataclasses.dataclass(frozen=True)
class Variant:
    """Sizes of one published network."""

    blocks: tuple[int, ...]  # number of layers in every dense block
    growth: int = 32  # channels that each layer adds
    width: int = 64  # channels of the stem
    inner: int = 4  # channels of a layer's 1x1 convolution, in units of the growth

    @property
    def stages(self) -> tuple[str, ...]:
        return ("stem", *(f"stage{i + 1}" for i in range(len(self.blocks))), "norm")

    @property
    def inputs(self) -> tuple[int, ...]:
        """Channels at the input of each dense block: a transition halves the number of channels."""
        channels = [self.width]
        for layers in self.blocks[:-1]:
            channels.append((channels[-1] + layers * self.growth) // 2)
        return tuple(channels)


VARIANTS = {
    "121": Variant((6, 12, 24, 16)),
    "161": Variant((6, 12, 36, 24), growth=48, width=96),
    "169": Variant((6, 12, 32, 32)),
    "201": Variant((6, 12, 48, 32)),
}


def variant_of(choice: VariantLike) -> Variant:
    """The sizes for a variant's name, for their fields, or for a `Variant`; ConfigError lists the names."""
    return sizes.variant(VARIANTS, choice, "model.variant of 'densenet'")


def infer(arrays: Mapping[str, np.ndarray], config: Json | None) -> Variant:
    """The sizes of published tensors; KeyError if they do not belong to a DenseNet."""
    del config  # the tensors show all sizes
    blocks = sizes.depths(arrays, r"features\.denseblock(\d+)\.denselayer\d+\.conv1\.weight")
    growth, inner = arrays["features.denseblock1.denselayer1.conv2.weight"].shape[:2]  # (O, I, 3, 3)
    return Variant(blocks, growth, arrays["features.conv0.weight"].shape[0], inner // growth)


def build(variant: VariantLike, *, dtype: DTypeLike = jnp.float32, bn_axis: str | None = None) -> "DenseNet":
    """The backbone. `bn_axis` names the pmap axis that BatchNorm statistics span, if any."""
    return DenseNet(variant_of(variant), dtype=dtype, bn_axis=bn_axis)


class Layer(nn.Module):
    """BatchNorm, ReLU, 1x1, BatchNorm, ReLU, 3x3; joined to the input: (B, h, w, C) -> (B, h, w, C + growth)."""

    shape: Variant
    dtype: DTypeLike
    bn_axis: str | None

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        growth, y = self.shape.growth, x
        for i, (features, size) in enumerate(((self.shape.inner * growth, 1), (growth, 3)), start=1):
            y = nn.relu(BatchNorm(dtype=self.dtype, axis_name=self.bn_axis, name=f"bn{i}")(y, mode))
            y = Conv(features, size, padding=size // 2, dtype=self.dtype, name=f"conv{i}")(y)
        return jnp.concatenate([x, y], axis=-1)


class Stage(nn.Module):
    """A dense block at one resolution. Except in stage1, a transition before it halves the map and the channels."""

    shape: Variant
    index: int  # 0 for stage1
    dtype: DTypeLike
    bn_axis: str | None

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        if self.index:
            x = nn.relu(BatchNorm(dtype=self.dtype, axis_name=self.bn_axis, name="down_bn")(x, mode))
            x = Conv(self.shape.inputs[self.index], 1, dtype=self.dtype, name="down_conv")(x)
            x = halved(x, f"'{self.name}'")
        for i in range(self.shape.blocks[self.index]):
            x = Layer(self.shape, self.dtype, self.bn_axis, name=f"layer{i}")(x, mode)
        return x


def halved(x: jax.Array, where: str) -> jax.Array:
    """The mean over 2x2 positions; an odd last row or column is dropped: (B, H, W, C) -> (B, H // 2, W // 2, C)."""
    batch, height, width, channels = x.shape
    if min(height, width) < 2:
        raise ConfigError(
            f"A DenseNet divides its picture by 32, so config.data.size must be at least 29; {where} is given a map "
            f"of {height}x{width}."
        )
    rows, columns = height // 2, width // 2
    even = x[:, : 2 * rows, : 2 * columns].reshape(batch, rows, 2, columns, 2, channels)
    return even.mean(axis=(2, 4))


class Norm(nn.Module):
    """BatchNorm and ReLU: (B, h, w, D) -> (B, h, w, D)."""

    dtype: DTypeLike
    bn_axis: str | None

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        return nn.relu(BatchNorm(dtype=self.dtype, axis_name=self.bn_axis, name="bn")(x, mode))


class DenseNet(Backbone):
    """A DenseNet without its classifier. A stage gives a map (B, h, w, D); features are the last map's mean, (B, D)."""

    bn_axis: str | None = None

    def features(self, x: jax.Array) -> jax.Array:
        return x.astype(jnp.float32).mean(axis=(1, 2))

    def stage(self, name: str) -> RunnableStage:
        if name == "stem":
            return Stem(self.variant.width, self.dtype, self.bn_axis, name=name)
        if name == "norm":
            return Norm(self.dtype, self.bn_axis, name=name)
        return Stage(self.variant, self.stages.index(name) - 1, self.dtype, self.bn_axis, name=name)


def names(variant: VariantLike) -> tuple[Name, ...]:
    """Torchvision's name of every tensor, and its path here."""
    return tuple(_rows(variant_of(variant)))


def _rows(shape: Variant) -> Iterator[Name]:
    yield Name("features.conv0.weight", "params", "backbone/stem/conv/kernel", "conv")
    yield from _bn_rows("features.norm0", "backbone/stem/bn")
    for s, layers in enumerate(shape.blocks, start=1):
        if s > 1:  # torchvision numbers a transition after the block before it
            yield from _bn_rows(f"features.transition{s - 1}.norm", f"backbone/stage{s}/down_bn")
            kernel = f"backbone/stage{s}/down_conv/kernel"
            yield Name(f"features.transition{s - 1}.conv.weight", "params", kernel, "conv")
        for i in range(layers):
            theirs, ours = f"features.denseblock{s}.denselayer{i + 1}", f"backbone/stage{s}/layer{i}"
            for c in (1, 2):
                yield from _bn_rows(f"{theirs}.norm{c}", f"{ours}/bn{c}")
                yield Name(f"{theirs}.conv{c}.weight", "params", f"{ours}/conv{c}/kernel", "conv")
    yield from _bn_rows("features.norm5", "backbone/norm/bn")
    yield Name("classifier.weight", "params", "head/kernel", "dense")
    yield Name("classifier.bias", "params", "head/bias")


def _bn_rows(theirs: str, ours: str) -> Iterator[Name]:
    yield Name(f"{theirs}.weight", "params", f"{ours}/scale")
    yield Name(f"{theirs}.bias", "params", f"{ours}/bias")
    yield Name(f"{theirs}.running_mean", "batch_stats", f"{ours}/mean")
    yield Name(f"{theirs}.running_var", "batch_stats", f"{ours}/var")
