"""MobileNetV4 of convolutions alone, small (Qin et al. 2024, arXiv:2404.10518): timm's naming, NHWC.

Stages: stem, stage1 ... stage5, top. A block is a plain convolution, or a universal inverted bottleneck: two 1x1
convolutions, with a depthwise one before the first, between them, both, or none. top is a dense layer on the means.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from tljax.core.types import Json, Mode, Name, VariantLike
from tljax.networks import sizes
from tljax.networks.backbone import Backbone, RunnableStage
from tljax.networks.layers import BatchNorm, Conv

INPUT = "image"
# Tensors in timm's files that the network does not need to compute its output.
UNUSED = (r".*\.num_batches_tracked",)
PARTS = {"start": "dw_start", "expand": "pw_exp", "middle": "dw_mid", "project": "pw_proj"}  # ours -> timm's


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Sizes of one block."""

    out: int
    kernel: int = 0  # of a plain convolution; 0: a bottleneck
    stride: int = 1
    inner: int = 0  # channels between the 1x1 convolutions of a bottleneck
    start: int = 0  # the depthwise kernel before them; 0: none
    middle: int = 0  # and that between them

    @property
    def layers(self) -> dict[str, tuple[int, int, int, bool]]:
        """Name -> output channels (0: as many as go in), kernel, stride, and whether a ReLU follows."""
        if self.kernel:
            return {"conv": (self.out, self.kernel, self.stride, True)}
        table = {"start": (0, self.start, 1 if self.middle else self.stride, False)} if self.start else {}
        table["expand"] = (self.inner, 1, 1, True)
        if self.middle:
            table["middle"] = (0, self.middle, self.stride, True)
        return table | {"project": (self.out, 1, 1, False)}


@dataclasses.dataclass(frozen=True)
class Variant:
    """Sizes of one published network."""

    stem: int
    blocks: tuple[tuple[Sizes, ...], ...]  # of every stage
    dense: int = 1280  # units of top

    def __post_init__(self) -> None:
        """Convert the lists and dicts of JSON to tuples of `Sizes`."""
        stages = [tuple(Sizes(**one) if isinstance(one, Mapping) else one for one in stage) for stage in self.blocks]
        object.__setattr__(self, "blocks", tuple(stages))

    def __str__(self) -> str:
        return f"its own sizes (blocks {'-'.join(str(len(stage)) for stage in self.blocks)}, stem {self.stem})"

    @property
    def stages(self) -> tuple[str, ...]:
        return ("stem", *(f"stage{i + 1}" for i in range(len(self.blocks))), "top")


SMALL = Variant(
    32,
    (
        (Sizes(32, 3, 2), Sizes(32, 1)),
        (Sizes(96, 3, 2), Sizes(64, 1)),
        (
            Sizes(96, inner=192, stride=2, start=5, middle=5),
            *[Sizes(96, inner=192, middle=3)] * 4,
            Sizes(96, inner=384, start=3),
        ),
        (
            Sizes(128, inner=576, stride=2, start=3, middle=3),
            Sizes(128, inner=512, start=5, middle=5),
            Sizes(128, inner=512, middle=5),
            Sizes(128, inner=384, middle=5),
            *[Sizes(128, inner=512, middle=3)] * 2,
        ),
        (Sizes(960, 1),),
    ),
)
VARIANTS = {"conv_small": SMALL}


def variant_of(choice: VariantLike) -> Variant:
    """The sizes for a variant's name, for their fields, or for a `Variant`; ConfigError lists the names."""
    return sizes.variant(VARIANTS, choice, "model.variant of 'mobilenet_v4'")


def infer(arrays: Mapping[str, np.ndarray], config: Json | None) -> Variant:
    """The sizes of published tensors; KeyError if they do not belong to such a MobileNetV4.

    The first block of a stage halves the map, except where it is a 1x1 convolution.
    """
    del config  # the tensors show all sizes

    def kernel(name: str) -> tuple[int, ...]:
        return arrays[name].shape if name in arrays else (0, 0, 0, 0)

    def block(theirs: str, first: bool) -> Sizes:
        out, _, size, _ = kernel(f"{theirs}.conv.weight")
        if size:
            return Sizes(out, size, 2 if first and size > 1 else 1)
        start, middle = (kernel(f"{theirs}.{part}.conv.weight")[2] for part in ("dw_start", "dw_mid"))
        out, inner, *_ = arrays[f"{theirs}.pw_proj.conv.weight"].shape
        return Sizes(out, 0, 2 if first else 1, inner, start, middle)

    stages = []
    for s in itertools.takewhile(lambda s: any(n.startswith(f"blocks.{s}.0.") for n in arrays), itertools.count()):
        count = next(b for b in itertools.count() if not any(n.startswith(f"blocks.{s}.{b}.") for n in arrays))
        stages.append(tuple(block(f"blocks.{s}.{b}", b == 0) for b in range(count)))
    return Variant(arrays["conv_stem.weight"].shape[0], tuple(stages), arrays["conv_head.weight"].shape[0])


def build(variant: VariantLike, *, dtype: DTypeLike = jnp.float32, bn_axis: str | None = None) -> "MobileNetV4":
    """The backbone. `bn_axis` names the pmap axis that BatchNorm statistics span, if any."""
    return MobileNetV4(variant_of(variant), dtype=dtype, bn_axis=bn_axis)


class ConvNorm(nn.Module):
    """Convolution, BatchNorm, ReLU or none: (B, H, W, C) -> (B, H/stride, W/stride, D)."""

    features: int  # 0: depthwise
    kernel: int
    stride: int
    relu: bool
    dtype: DTypeLike
    bn_axis: str | None

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        features, groups = (self.features, 1) if self.features else (x.shape[-1], x.shape[-1])
        options = {"groups": groups, "dtype": self.dtype, "name": "conv"}
        x = Conv(features, self.kernel, self.stride, self.kernel // 2, **options)(x)
        x = BatchNorm(dtype=self.dtype, axis_name=self.bn_axis, name="bn")(x, mode)
        return nn.relu(x) if self.relu else x


class Stage(nn.Module):
    """Blocks at one resolution. A bottleneck of as many channels as go in, and stride 1, adds its input."""

    blocks: tuple[Sizes, ...]
    dtype: DTypeLike
    bn_axis: str | None

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        for i, block in enumerate(self.blocks):
            y = x
            for name, layer in block.layers.items():
                y = ConvNorm(*layer, self.dtype, self.bn_axis, name=f"block{i}_{name}")(y, mode)
            x = x + y if block.inner and block.stride == 1 and block.out == x.shape[-1] else y
        return x


class Top(ConvNorm):
    """The mean over positions, a dense layer, BatchNorm, ReLU: (B, h, w, C) -> (B, D)."""

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        means = x.astype(jnp.promote_types(x.dtype, jnp.float32)).mean(axis=(1, 2), keepdims=True)
        return super().__call__(means, mode)[:, 0, 0]


class MobileNetV4(Backbone):
    """A MobileNetV4 without its classifier. A stage gives a map (B, h, w, D); top gives (B, D)."""

    bn_axis: str | None = None

    def stage(self, name: str) -> RunnableStage:
        shape = self.variant
        if name == "stem":
            return ConvNorm(shape.stem, 3, 2, True, self.dtype, self.bn_axis, name=name)
        if name == "top":
            return Top(shape.dense, 1, 1, True, self.dtype, self.bn_axis, name=name)
        return Stage(shape.blocks[self.stages.index(name) - 1], self.dtype, self.bn_axis, name=name)


def names(variant: VariantLike) -> tuple[Name, ...]:
    """timm's name of every tensor, and its path here."""
    return tuple(_rows(variant_of(variant)))


def _rows(shape: Variant) -> Iterator[Name]:
    yield from _conv_bn("conv_stem", "bn1", "backbone/stem")
    for s, stage in enumerate(shape.blocks):
        for b, block in enumerate(stage):
            theirs, ours = f"blocks.{s}.{b}", f"backbone/stage{s + 1}/block{b}"
            for part in block.layers:
                layer = f"{theirs}.{PARTS.get(part, '')}"
                conv, bn = (f"{theirs}.conv", f"{theirs}.bn1") if block.kernel else (f"{layer}.conv", f"{layer}.bn")
                yield from _conv_bn(conv, bn, f"{ours}_{part}")
    yield from _conv_bn("conv_head", "norm_head", "backbone/top")
    yield Name("classifier.weight", "params", "head/kernel", "dense")
    yield Name("classifier.bias", "params", "head/bias")


def _conv_bn(conv: str, bn: str, ours: str) -> Iterator[Name]:
    yield Name(f"{conv}.weight", "params", f"{ours}/conv/kernel", "conv")
    yield Name(f"{bn}.weight", "params", f"{ours}/bn/scale")
    yield Name(f"{bn}.bias", "params", f"{ours}/bn/bias")
    yield Name(f"{bn}.running_mean", "batch_stats", f"{ours}/bn/mean")
    yield Name(f"{bn}.running_var", "batch_stats", f"{ours}/bn/var")
