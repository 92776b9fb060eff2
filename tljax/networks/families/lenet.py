"""A small convolutional network after LeNet-5 (LeCun et al. 1998), for 8x8 to 32x32 pictures on a CPU.

Stages: conv1, conv2, fc1. The tensor names are our own, in torch's spelling and layout.
"""

import dataclasses
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from tljax.core.types import Json, Mode, Name, VariantLike
from tljax.networks import pooling, sizes
from tljax.networks.backbone import Backbone, RunnableStage
from tljax.networks.layers import TORCH_LINEAR, Conv

INPUT = "image"
STAGES = ("conv1", "conv2", "fc1")
UNUSED = ()


@dataclasses.dataclass(frozen=True)
class Variant:
    """Channels of the two convolutions, units of the dense layer."""

    conv1: int
    conv2: int
    fc1: int

    @property
    def stages(self) -> tuple[str, ...]:
        return STAGES


VARIANTS = {"small": Variant(16, 32, 64), "medium": Variant(32, 64, 128)}


def variant_of(choice: VariantLike) -> Variant:
    """The sizes for a variant's name, for their fields, or for a `Variant`; ConfigError lists the names."""
    return sizes.variant(VARIANTS, choice, "model.variant of 'lenet'")


def infer(arrays: Mapping[str, np.ndarray], config: Json | None) -> Variant:
    """The sizes of published tensors; KeyError or IndexError if they do not belong to a LeNet."""
    del config  # the tensors show all sizes
    return Variant(*(arrays[f"{stage}.weight"].shape[0] for stage in STAGES))


def build(variant: VariantLike, *, dtype: DTypeLike = jnp.float32, bn_axis: str | None = None) -> "LeNet":
    """The backbone; it has no BatchNorm, so `bn_axis` has no effect."""
    del bn_axis
    return LeNet(variant_of(variant), dtype=dtype)


class ConvStage(nn.Module):
    """3x3 convolution, ReLU, 2x2 max-pool: (B, H, W, C) -> (B, H/2, W/2, features)."""

    features: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        del mode  # nothing here differs between training and evaluation
        x = nn.relu(Conv(self.features, 3, padding=1, bias=True, dtype=self.dtype, name="conv")(x))
        return pooling.max_pool(x, window=2, stride=2)


class DenseStage(nn.Module):
    """Flatten, dense, ReLU: (B, H, W, C) -> (B, features)."""

    features: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        del mode  # nothing here differs between training and evaluation
        x = x.reshape(x.shape[0], -1)
        return nn.relu(nn.Dense(self.features, dtype=self.dtype, kernel_init=TORCH_LINEAR, name="dense")(x))


class LeNet(Backbone):
    """A LeNet without its classifier: pixels (B, H, W, C) to features (B, D)."""

    def stage(self, name: str) -> RunnableStage:
        kind = DenseStage if name == "fc1" else ConvStage
        return kind(getattr(self.variant, name), self.dtype, name=name)


def names(variant: VariantLike) -> tuple[Name, ...]:
    """The name of every tensor in a file, and its path here."""
    del variant
    convs = [
        row
        for name in ("conv1", "conv2")
        for row in (
            Name(f"{name}.weight", "params", f"backbone/{name}/conv/kernel", "conv"),
            Name(f"{name}.bias", "params", f"backbone/{name}/conv/bias"),
        )
    ]
    return (
        *convs,
        Name("fc1.weight", "params", "backbone/fc1/dense/kernel", "dense"),
        Name("fc1.bias", "params", "backbone/fc1/dense/bias"),
        Name("fc.weight", "params", "head/kernel", "dense"),
        Name("fc.bias", "params", "head/bias"),
    )
