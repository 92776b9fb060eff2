"""BiT (Big Transfer, Kolesnikov et al. 2020): a pre-activation ResNet (He et al. 2016) with GroupNorm (Wu and He
2018) and weight standardisation (Qiao et al. 2019); the naming of the published npz, NHWC.

Stages: stem, stage1 ... stage4, norm; norm is the GroupNorm and ReLU after the last block.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from tljax.core.types import EVALUATE, Json, Mode, Name, VariantLike
from tljax.networks import ops, pooling, sizes
from tljax.networks.backbone import Backbone, RunnableStage
from tljax.networks.layers import KAIMING

INPUT = "image"
UNUSED = ()
GROUPS = 32  # groups of channels in every GroupNorm


@dataclasses.dataclass(frozen=True)
class Variant:
    """Sizes of one published network: units of every block, and channels of the stem."""

    units: tuple[int, ...]
    width: int
    eps: float = 1e-10  # of weight standardisation; transformers and timm have 1e-8

    @property
    def stages(self) -> tuple[str, ...]:
        return ("stem", *(f"stage{i + 1}" for i in range(len(self.units))), "norm")


UNITS = {"50": (3, 4, 6, 3), "101": (3, 4, 23, 3), "152": (3, 8, 36, 3)}
VARIANTS = {
    f"R{depth}x{factor}": Variant(UNITS[depth], width=64 * factor)
    for depth, factor in (("50", 1), ("101", 1), ("50", 3), ("101", 3), ("152", 2), ("152", 4))
}


def variant_of(choice: VariantLike) -> Variant:
    """The sizes for a variant's name, for their fields, or for a `Variant`; ConfigError lists the names."""
    return sizes.variant(VARIANTS, choice, "model.variant of 'bit'")


def infer(arrays: Mapping[str, np.ndarray], config: Json | None) -> Variant:
    """The sizes of published tensors; KeyError if they do not belong to a BiT."""
    del config  # the tensors show all sizes
    units = sizes.depths(arrays, r"resnet/block(\d+)/unit\d+/a/group_norm/gamma")
    return Variant(units, width=arrays["resnet/block1/unit01/a/group_norm/gamma"].shape[0])


def build(variant: VariantLike, *, dtype: DTypeLike = jnp.float32, bn_axis: str | None = None) -> "BiT":
    """The backbone; it has no BatchNorm, so `bn_axis` has no effect."""
    del bn_axis
    return BiT(variant_of(variant), dtype=dtype)


def adapt(arrays: Mapping[str, np.ndarray], shape: tuple[int, ...], saw: tuple[int, ...] = ()) -> dict[str, np.ndarray]:
    """Published arrays under the names of `names`: some files number their convolutions, standardized_conv2d_7."""
    del shape, saw  # the arrays fit every size of picture
    renamed = {re.sub(r"/standardized_conv2d_\d+/", "/standardized_conv2d/", name): arrays[name] for name in arrays}
    return renamed if len(renamed) == len(arrays) else dict(arrays)  # two tensors with one name: an error lists them


class StdConv(nn.Module):
    """Convolution with a standardised kernel: (B, H, W, C) -> (B, H / stride, W / stride, features).

    Every output channel's weights have mean 0 and variance 1 (Qiao et al. 2019), eps 1e-10 as published.
    """

    features: int
    size: int
    stride: int = 1
    dtype: DTypeLike = jnp.float32
    eps: float = 1e-10

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        # The scale of a kernel does not change the output, only how fast the kernel learns.
        kernel = self.param("kernel", KAIMING, (self.size, self.size, x.shape[-1], self.features), jnp.float32)
        kernel = kernel.astype(jnp.promote_types(kernel.dtype, jnp.float32))  # stored ones may be bfloat16
        kernel = kernel - kernel.mean((0, 1, 2), keepdims=True)
        kernel = kernel / jnp.sqrt(jnp.square(kernel).mean((0, 1, 2), keepdims=True) + self.eps)
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        return ops.conv(x, kernel, stride=self.stride, padding=self.size // 2)


class GroupNorm(nn.Module):
    """GroupNorm over 32 groups of channels with eps 1e-5, in float32, then ReLU: (B, H, W, C).

    The variance is computed in two passes, as published. Both means are taken over positions first and then over a
    group's channels: on a CPU this is 1.7 to 4 times faster, backward included, than over both at once.
    """

    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode = EVALUATE) -> jax.Array:
        del mode  # nothing here differs between training and evaluation
        channels = x.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (channels,), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (channels,), jnp.float32)
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        x = x - group_means(x)
        x = x * (jax.lax.rsqrt(group_means(jnp.square(x)) + 1e-5) * scale[None, None, None])
        return nn.relu(x + bias[None, None, None]).astype(self.dtype)


def group_means(x: jax.Array) -> jax.Array:
    """Each channel's mean over its group and all positions: (B, H, W, C) -> (B, 1, 1, C)."""
    batch, channels = x.shape[0], x.shape[-1]
    means = x.mean((1, 2)).reshape(batch, GROUPS, -1).mean(-1)  # (B, H, W, C) -> (B, C) -> (B, groups)
    return jnp.repeat(means, channels // GROUPS, axis=-1)[:, None, None]


class Stem(nn.Module):
    """7x7/2 convolution, 3x3/2 max-pool: (B, H, W, 3) -> (B, H/4, W/4, width)."""

    width: int
    dtype: DTypeLike
    eps: float

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode = EVALUATE) -> jax.Array:
        del mode  # nothing here differs between training and evaluation
        x = StdConv(self.width, 7, stride=2, dtype=self.dtype, eps=self.eps, name="conv")(x)
        # As published: the pool sees zeros as padding, which are larger than negative values. A ResNet's pool ignores
        # its padding.
        return pooling.max_pool(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), window=3, stride=2)


class Unit(nn.Module):
    """Pre-activation bottleneck: three times GroupNorm, ReLU and convolution: 1x1, 3x3, 1x1 to 4 times the width.

    The 3x3 convolution has the stride. If the shape changes, the shortcut is a 1x1 convolution of the normalised input.
    """

    width: int
    stride: int
    dtype: DTypeLike
    eps: float

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        out, conv = 4 * self.width, partial(StdConv, dtype=self.dtype, eps=self.eps)
        y = GroupNorm(self.dtype, name="norm1")(x)
        if self.stride > 1 or x.shape[-1] != out:
            x = conv(out, 1, stride=self.stride, name="project")(y)
        y = conv(self.width, 1, name="conv1")(y)
        y = GroupNorm(self.dtype, name="norm2")(y)
        y = conv(self.width, 3, stride=self.stride, name="conv2")(y)
        y = GroupNorm(self.dtype, name="norm3")(y)
        return x + conv(out, 1, name="conv3")(y)


class Stage(nn.Module):
    """Units at one resolution; the first one halves it, except in stage1."""

    units: int
    width: int
    stride: int
    dtype: DTypeLike
    eps: float

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode = EVALUATE) -> jax.Array:
        del mode  # nothing here differs between training and evaluation
        for i in range(self.units):
            x = Unit(self.width, self.stride if i == 0 else 1, self.dtype, self.eps, name=f"unit{i}")(x)
        return x


class BiT(Backbone):
    """A BiT without its classifier. A stage gives a map (B, h, w, D); features are the last map's mean, (B, D)."""

    def features(self, x: jax.Array) -> jax.Array:
        return x.astype(jnp.float32).mean(axis=(1, 2))

    def stage(self, name: str) -> RunnableStage:
        shape = self.variant
        if name == "stem":
            return Stem(shape.width, self.dtype, shape.eps, name=name)
        if name == "norm":
            return GroupNorm(self.dtype, name=name)
        i = self.stages.index(name) - 1
        return Stage(shape.units[i], shape.width * 2**i, 1 if i == 0 else 2, self.dtype, shape.eps, name=name)


def names(variant: VariantLike) -> tuple[Name, ...]:
    """The name of every tensor in the published npz, and its path here."""
    return tuple(rows(variant_of(variant)))


def rows(shape: Variant) -> Iterator[Name]:
    """The name table of a network of these sizes."""
    yield _kernel("resnet/root_block", "backbone/stem/conv")
    for s, units in enumerate(shape.units, start=1):
        for u in range(units):
            theirs, ours = f"resnet/block{s}/unit{u + 1:02d}", f"backbone/stage{s}/unit{u}"
            for i, letter in enumerate("abc", start=1):
                yield from _norm(f"{theirs}/{letter}", f"{ours}/norm{i}")
                yield _kernel(f"{theirs}/{letter}", f"{ours}/conv{i}")
            if u == 0:
                yield _kernel(f"{theirs}/a/proj", f"{ours}/project")
    yield from _norm("resnet", "backbone/norm")
    yield Name("resnet/head/conv2d/kernel", "params", "head/kernel", "dense as 1x1")
    yield Name("resnet/head/conv2d/bias", "params", "head/bias")


def _kernel(theirs: str, ours: str) -> Name:
    """A kernel: published as (H, W, in, out), which is our layout too."""
    return Name(f"{theirs}/standardized_conv2d/kernel", "params", f"{ours}/kernel")


def _norm(theirs: str, ours: str) -> Iterator[Name]:
    yield Name(f"{theirs}/group_norm/gamma", "params", f"{ours}/scale")
    yield Name(f"{theirs}/group_norm/beta", "params", f"{ours}/bias")
