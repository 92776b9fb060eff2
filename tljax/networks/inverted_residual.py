"""Networks of inverted residual blocks (Sandler et al. 2018): the common part of MobileNet and EfficientNet, NHWC.

Stages: stem; stage1 ... stageN, each with the blocks of one width; top: the last 1x1 convolution and the mean over
positions; fc, if a network has a dense layer before its classifier.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from tljax.core.errors import ConfigError
from tljax.core.types import Mode
from tljax.networks.backbone import Backbone, RunnableStage
from tljax.networks.layers import BatchNorm, Conv

ACTIVATIONS = ("relu", "relu6", "silu", "hard_swish", "sigmoid", "hard_sigmoid")  # of flax.linen
PADDINGS = ("half", "same", "after")  # see `padded`
KERNELS = range(1, 32)


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Sizes of one block: inner and output channels, depthwise kernel, units of squeeze-and-excitation."""

    inner: int
    out: int
    kernel: int = 3
    stride: int = 1
    squeezed: int = 0  # units of squeeze-and-excitation; 0: the block has none
    activation: str = "relu6"  # a function of flax.linen, as all activations here
    fused: bool = False  # whether one convolution of `kernel` stands for the first 1x1 and the depthwise one


@dataclasses.dataclass(frozen=True)
class Variant:
    """One published network: its sizes, and the other settings that its weights were trained with."""

    stem: int
    blocks: tuple[tuple[Sizes, ...], ...]  # for every stage, the sizes of its blocks
    top: int
    dense: int = 0  # units of fc; 0: no fc
    activation: str = "relu6"  # of stem, top and fc
    squeeze_activation: str = "relu"
    gate: str = "sigmoid"
    dropout: float = 0.2
    epsilon: float = 1e-5
    momentum: float = 0.9  # of BatchNorm's statistics; torch's momentum is 1 minus this
    layers: str = "block"  # torchvision's name for the layers of a block
    padding: str = "half"  # of convolutions that halve a map, see `padded`
    halves: tuple[int, ...] = ()  # blocks that always pad by "half", numbered from 0 through all stages

    def __post_init__(self) -> None:
        """Convert the lists and dicts of JSON to tuples of `Sizes`."""
        stages = [tuple(Sizes(**one) if isinstance(one, Mapping) else one for one in stage) for stage in self.blocks]
        object.__setattr__(self, "blocks", tuple(stages))
        activations = {
            self.activation,
            self.squeeze_activation,
            self.gate,
            *(one.activation for one in sum(stages, ())),
        }
        kernels = {size for one in sum(stages, ()) for size in (one.kernel, one.stride)}
        if unknown := sorted(activations - {*ACTIVATIONS}):
            raise ConfigError(f"Activations must be of {', '.join(ACTIVATIONS)}; got {', '.join(unknown)}.")
        if self.padding not in PADDINGS or not kernels <= {*KERNELS}:
            raise ConfigError(
                f"Padding must be one of {', '.join(PADDINGS)}, kernels and strides {KERNELS[0]} to {KERNELS[-1]}; got "
                f"'{self.padding}' and {sorted(kernels)}."
            )

    def __str__(self) -> str:
        blocks = "-".join(str(len(stage)) for stage in self.blocks)
        return f"its own sizes (blocks {blocks}, stem {self.stem}, top {self.top}, padding {self.padding})"

    @property
    def stages(self) -> tuple[str, ...]:
        return ("stem", *(f"stage{i + 1}" for i in range(len(self.blocks))), "top", *(("fc",) if self.dense else ()))


def padded(size: int, kernel: int, stride: int, padding: str) -> tuple[int, int]:
    """The number of zeros before and after a side of `size`.

    half: as in torchvision, half of the kernel at both ends. same: TensorFlow's SAME, the fewest zeros that give
    ceil(size / stride) outputs; if their number is odd, the extra zero is at the end. after: the padding of SAME on
    even sizes, used for every size (transformers' EfficientNet).
    """
    if padding == "half" or stride == 1:
        return kernel // 2, kernel // 2
    zeros = kernel - stride if padding == "after" else max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return zeros // 2, zeros - zeros // 2


class ConvNorm(nn.Module):
    """Convolution padded by `padded`, BatchNorm, activation: (B, H, W, C) -> (B, H/stride, W/stride, D)."""

    features: int
    kernel: int
    variant: Variant
    dtype: DTypeLike
    bn_axis: str | None
    stride: int = 1
    groups: int = 1
    activation: str = ""  # "": none
    padding: str = "half"

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        zeros = [padded(size, self.kernel, self.stride, self.padding) for size in x.shape[1:3]]
        even = len({*zeros[0], *zeros[1]}) == 1
        x = x if even else jnp.pad(x, ((0, 0), *zeros, (0, 0)))
        x = Conv(
            self.features,
            self.kernel,
            stride=self.stride,
            padding=zeros[0][0] if even else 0,
            groups=self.groups,
            dtype=self.dtype,
            name="conv",
        )(x)
        x = BatchNorm(
            epsilon=self.variant.epsilon,
            momentum=self.variant.momentum,
            dtype=self.dtype,
            axis_name=self.bn_axis,
            name="bn",
        )(x, mode)
        return getattr(nn, self.activation)(x) if self.activation else x


class SqueezeExcite(nn.Module):
    """Every channel times a gate, which is computed from the means of all channels (Hu et al. 2017); (B, H, W, C)."""

    squeezed: int
    activation: str
    gate: str
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        means = x.astype(jnp.promote_types(x.dtype, jnp.float32)).mean(axis=(1, 2), keepdims=True)  # (B, 1, 1, C)
        squeezed = Conv(self.squeezed, 1, bias=True, dtype=self.dtype, name="reduce")(means)
        squeezed = getattr(nn, self.activation)(squeezed)
        return x * getattr(nn, self.gate)(Conv(x.shape[-1], 1, bias=True, dtype=self.dtype, name="expand")(squeezed))


class InvertedResidual(nn.Module):
    """1x1 convolution to more channels, depthwise, squeeze-and-excitation, 1x1 to fewer channels.

    In a fused block (Tan and Le 2021, figure 2) one full convolution takes the place of the first two; if the channels
    do not grow, it is the only one. If input and output have the same shape, the input is added.
    """

    sizes: Sizes
    variant: Variant
    drop_path: float
    dtype: DTypeLike
    bn_axis: str | None
    padding: str = "half"

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        def conv_norm(y: jax.Array, features: int, kernel: int, name: str, **options: Any) -> jax.Array:
            return ConvNorm(features, kernel, self.variant, self.dtype, self.bn_axis, name=name, **options)(y, mode)

        y, size, shape, grows = x, self.sizes, self.variant, self.sizes.inner != x.shape[-1]
        options = {"stride": size.stride, "activation": size.activation, "padding": self.padding}
        if size.fused and grows:
            y = conv_norm(y, size.inner, size.kernel, "expand", **options)
        elif grows:
            y = conv_norm(y, size.inner, 1, "expand", activation=size.activation)
        if not size.fused:
            y = conv_norm(y, size.inner, size.kernel, "depthwise", groups=size.inner, **options)
        if size.squeezed:
            y = SqueezeExcite(size.squeezed, shape.squeeze_activation, shape.gate, self.dtype, name="squeeze_excite")(y)
        last = (1, {}) if grows or not size.fused else (size.kernel, options)
        y = conv_norm(y, size.out, last[0], "project", **last[1])
        if size.stride > 1 or x.shape[-1] != size.out:
            return y
        # One random decision for each example: torchvision's mode "row".
        drop = nn.Dropout(self.drop_path, broadcast_dims=(1, 2, 3))
        return x + drop(y, deterministic=not mode.trains(self.path))


class Stage(nn.Module):
    """Blocks of one width."""

    blocks: tuple[Sizes, ...]
    drop_paths: tuple[float, ...]  # one for every block
    variant: Variant
    dtype: DTypeLike
    bn_axis: str | None
    first: int = 0  # number of blocks before this stage

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        shape = self.variant
        for i, (sizes, drop_path) in enumerate(zip(self.blocks, self.drop_paths, strict=True)):
            padding = "half" if self.first + i in shape.halves else shape.padding
            block = InvertedResidual(sizes, shape, drop_path, self.dtype, self.bn_axis, padding, name=f"block{i}")
            x = block(x, mode)
        return x


class Top(ConvNorm):
    """1x1 convolution, BatchNorm, activation, the mean over positions in float32, dropout: (B, h, w, C) -> (B, D)."""

    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        x = super().__call__(x, mode).astype(jnp.float32).mean(axis=(1, 2))  # (B, h, w, D) -> (B, D)
        return nn.Dropout(self.dropout)(x, deterministic=not mode.trains(self.path))


class Dense(nn.Module):
    """Dense, activation, dropout: (B, C) -> (B, D)."""

    features: int
    activation: str
    dropout: float
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        # torchvision draws dense kernels from a normal distribution of 0.01.
        initial = nn.initializers.normal(0.01)
        x = nn.Dense(self.features, dtype=self.dtype, kernel_init=initial, name="dense")(x)
        x = getattr(nn, self.activation)(x)
        return nn.Dropout(self.dropout)(x, deterministic=not mode.trains(self.path))


class InvertedResidualNet(Backbone):
    """A MobileNet or an EfficientNet without its classifier. A stage gives a map (B, h, w, D); top and fc give (B, D).

    Attributes:
      dropout: the share of the features that a training step drops, unless the last stage is frozen.
      drop_path: stochastic depth (Huang et al. 2016): a training step skips block i of n for one example with
        probability drop_path i / n, unless the block is frozen. Both need an rng "dropout".
    """

    bn_axis: str | None = None
    dropout: float = 0.0
    drop_path: float = 0.0

    def stage(self, name: str) -> RunnableStage:
        shape, dtype, axis = self.variant, self.dtype, self.bn_axis
        if name == "stem":
            options = {"stride": 2, "activation": shape.activation, "padding": shape.padding}
            return ConvNorm(shape.stem, 3, shape, dtype, axis, name=name, **options)
        if name == "top":
            dropout = 0.0 if shape.dense else self.dropout
            return Top(shape.top, 1, shape, dtype, axis, activation=shape.activation, dropout=dropout, name=name)
        if name == "fc":
            return Dense(shape.dense, shape.activation, self.dropout, dtype, name=name)
        i = self.stages.index(name) - 1
        before, n = sum(map(len, shape.blocks[:i])), sum(map(len, shape.blocks))
        drop_paths = tuple(self.drop_path * (before + b) / n for b in range(len(shape.blocks[i])))
        return Stage(shape.blocks[i], drop_paths, shape, dtype, axis, before, name=name)


def divisible(channels: float) -> int:
    """The multiple of 8 nearest to `channels`, but at least 8, and at least 9/10 of `channels`."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
