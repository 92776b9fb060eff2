"""Linen layers that the families share: convolution and BatchNorm with torch's conventions."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from tljax.core.types import Mode
from tljax.networks import ops

# He et al. 2015, equation 10, with fan_out as torchvision initialises its ResNets.
KAIMING = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
# torch.nn.Linear's default: uniform in +-1/sqrt(fan_in), a variance of 1/(3 fan_in).
TORCH_LINEAR = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


class Conv(nn.Module):
    """(B, H, W, C) -> (B, H', W', features); explicit symmetric padding, as torch's `padding=`."""

    features: int
    size: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    bias: bool = False
    dtype: DTypeLike = jnp.float32
    kernel_init: nn.initializers.Initializer = KAIMING

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.size, self.size, x.shape[-1] // self.groups, self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        x = ops.conv(
            x.astype(self.dtype),
            kernel.astype(self.dtype),
            stride=self.stride,
            padding=self.padding,
            groups=self.groups,
        )
        if self.bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
            x = x + bias.astype(self.dtype)[None, None, None]  # (B, H, W, features)
        return x


class BatchNorm(nn.BatchNorm):
    """BatchNorm over (B, H, W) with eps 1e-5; a step moves the stored statistics by 0.1 towards the batch's.

    Flax's momentum 0.9 is torch's 0.1. The stored variance is a mean of biased batch variances; torch's is a mean of
    unbiased ones. They differ by n/(n-1), which is under 0.2 % from 1,000 positions in a batch on.
    """

    epsilon: float = 1e-5
    momentum: float = 0.9

    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().__call__(x, use_running_average=not mode.trains(self.path))


class LayerNorm(nn.LayerNorm):
    """LayerNorm over the last axis with eps 1e-6; the variance takes two passes as in torch, not E[x^2] - E[x]^2."""

    epsilon: float = 1e-6
    use_fast_variance: bool = False
