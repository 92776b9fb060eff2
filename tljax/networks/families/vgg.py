"""VGG (Simonyan and Zisserman 2014), with and without BatchNorm: torchvision's naming, NHWC.

Stages: conv1 ... conv5, each a block of convolutions and its max-pool; then fc6 and fc7. The paper's
conv3_2 is backbone/conv3/conv2 here, and its fc8 is the head.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from tljax.core.errors import ConfigError
from tljax.core.types import Json, Mode, Name, VariantLike
from tljax.networks import pooling, sizes
from tljax.networks.backbone import Backbone, RunnableStage
from tljax.networks.layers import BatchNorm, Conv

INPUT = "image"
STAGES = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7")
MAP = 7  # fc6 gets a 7x7 map for every size of picture
# Tensors in torchvision's files that the network does not need to compute its output.
UNUSED = (r".*\.num_batches_tracked",)


@dataclasses.dataclass(frozen=True)
class Variant:
    """Sizes of one published network: convolutions and channels of every block, units of fc6 and fc7."""

    blocks: tuple[int, ...]
    batch_norm: bool
    widths: tuple[int, ...] = (64, 128, 256, 512, 512)
    dense: int = 4096

    @property
    def stages(self) -> tuple[str, ...]:
        return STAGES


BLOCKS = {"11": (1, 1, 2, 2, 2), "13": (2, 2, 2, 2, 2), "16": (2, 2, 3, 3, 3), "19": (2, 2, 4, 4, 4)}
VARIANTS = {
    f"{depth}{suffix}": Variant(blocks, batch_norm=bool(suffix))
    for depth, blocks in BLOCKS.items()
    for suffix in ("", "_bn")
}


def variant_of(choice: VariantLike) -> Variant:
    """The sizes for a variant's name, for their fields, or for a `Variant`; ConfigError lists the names."""
    return sizes.variant(VARIANTS, choice, "model.variant of 'vgg'")


def infer(arrays: Mapping[str, np.ndarray], config: Json | None) -> Variant:
    """The sizes of published tensors; KeyError or IndexError if they do not belong to a VGG."""
    del config  # the tensors show all sizes
    batch_norm = any(name.endswith(".running_mean") for name in arrays)
    kernels = {name: arrays[name].shape for name in arrays if re.fullmatch(r"features\.\d+\.weight", name)}
    widths = {int(name.split(".")[1]): shape[0] for name, shape in kernels.items() if len(shape) == 4}
    blocks: list[list[int]] = []  # a list for each block: the channels of its convolutions
    before = -9
    for n in sorted(widths):  # a pool between two blocks makes the distance of their numbers larger by one
        if n - before > (3 if batch_norm else 2):
            blocks.append([])
        blocks[-1].append(widths[n])
        before = n
    dense = arrays["classifier.0.weight"].shape[0]
    return Variant(tuple(map(len, blocks)), batch_norm, tuple(block[0] for block in blocks), dense)


def build(
    variant: VariantLike, *, dtype: DTypeLike = jnp.float32, bn_axis: str | None = None, dropout: float = 0.5
) -> "VGG":
    """The backbone.

    Args:
      bn_axis: the pmap axis that BatchNorm statistics span, if any.
      dropout: the share of the outputs of fc6 and fc7 that a training step drops, unless the stage is
        frozen; it needs an rng "dropout". 0.5 as in the paper, section 3.1.
    """
    return VGG(variant_of(variant), dtype=dtype, bn_axis=bn_axis, dropout=dropout)


class ConvStage(nn.Module):
    """3x3 convolutions with ReLU (and BatchNorm), 2x2 max-pool: (B, H, W, C) -> (B, H/2, W/2, width)."""

    convs: int
    width: int
    batch_norm: bool
    dtype: DTypeLike
    bn_axis: str | None

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        for i in range(1, self.convs + 1):
            x = Conv(self.width, 3, padding=1, bias=True, dtype=self.dtype, name=f"conv{i}")(x)
            if self.batch_norm:
                x = BatchNorm(dtype=self.dtype, axis_name=self.bn_axis, name=f"bn{i}")(x, mode)
            x = nn.relu(x)
        if min(x.shape[1:3]) < 2:
            raise ConfigError(
                f"A VGG halves its picture five times, so config.data.size must be at least 32; "
                f"'{self.name}' is left with a map of {x.shape[1]}x{x.shape[2]}."
            )
        return pooling.max_pool(x, window=2, stride=2)


class DenseStage(nn.Module):
    """Dense, ReLU, dropout: (B, C) -> (B, width). A map (B, H, W, C) is averaged to 7x7 and flattened first."""

    width: int
    dropout: float
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        if x.ndim == 4:
            x = adaptive_mean(x, MAP)  # (B, H, W, C) -> (B, 7, 7, C)
        axes = tuple(range(1, x.ndim))
        # torchvision draws dense kernels from a normal distribution of 0.01.
        initial = nn.initializers.normal(0.01)
        x = nn.DenseGeneral(self.width, axis=axes, dtype=self.dtype, kernel_init=initial, name="dense")(x)
        return nn.Dropout(self.dropout)(nn.relu(x), deterministic=not mode.trains(self.path))


def adaptive_mean(x: jax.Array, size: int) -> jax.Array:
    """torch's adaptive_avg_pool2d: (B, H, W, C) -> (B, size, size, C).

    Output i is the mean of positions floor(i n / size) up to, but not including, ceil((i + 1) n / size), where n
    is H or W. The ranges overlap if size does not divide n, and repeat if n is less than size.
    """
    for axis in (1, 2):
        n = x.shape[axis]
        spans = [(i * n // size, -(-(i + 1) * n // size)) for i in range(size)]
        if n != size:
            x = jnp.concatenate(
                [jax.lax.slice_in_dim(x, *span, axis=axis).mean(axis, keepdims=True) for span in spans], axis
            )
    return x


class VGG(Backbone):
    """A VGG without its classifier, for pictures of at least 32 pixels a side.

    A conv stage gives a map (B, h, w, D); fc6 and fc7 give (B, D).
    """

    bn_axis: str | None = None
    dropout: float = 0.5

    def stage(self, name: str) -> RunnableStage:
        shape = self.variant
        if name.startswith("fc"):
            return DenseStage(shape.dense, self.dropout, self.dtype, name=name)
        i = STAGES.index(name)
        return ConvStage(shape.blocks[i], shape.widths[i], shape.batch_norm, self.dtype, self.bn_axis, name=name)


def names(variant: VariantLike) -> tuple[Name, ...]:
    """Torchvision's name of every tensor, and its path here."""
    return tuple(rows(variant_of(variant)))


def rows(shape: Variant) -> Iterator[Name]:
    """The name table of a network of these sizes."""
    n = 0  # torchvision numbers every layer of `features`: convolutions, BatchNorms, ReLUs and pools
    for s, convs in enumerate(shape.blocks, start=1):
        for c in range(1, convs + 1):
            ours = f"backbone/conv{s}"
            yield Name(f"features.{n}.weight", "params", f"{ours}/conv{c}/kernel", "conv")
            yield Name(f"features.{n}.bias", "params", f"{ours}/conv{c}/bias")
            if shape.batch_norm:
                yield from _bn_rows(f"features.{n + 1}", f"{ours}/bn{c}")
            n += 3 if shape.batch_norm else 2
        n += 1
    for theirs, ours, layout in (("0", "fc6", "dense on map"), ("3", "fc7", "dense")):
        yield Name(f"classifier.{theirs}.weight", "params", f"backbone/{ours}/dense/kernel", layout)
        yield Name(f"classifier.{theirs}.bias", "params", f"backbone/{ours}/dense/bias")
    yield Name("classifier.6.weight", "params", "head/kernel", "dense")
    yield Name("classifier.6.bias", "params", "head/bias")


def _bn_rows(theirs: str, ours: str) -> Iterator[Name]:
    yield Name(f"{theirs}.weight", "params", f"{ours}/scale")
    yield Name(f"{theirs}.bias", "params", f"{ours}/bias")
    yield Name(f"{theirs}.running_mean", "batch_stats", f"{ours}/mean")
    yield Name(f"{theirs}.running_var", "batch_stats", f"{ours}/var")
