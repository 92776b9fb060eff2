"""Linen layers that families share: convolution and BatchNorm with torch's conventions, dense layers, GELU, a stem."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from tljax.core.types import Mode
from tljax.networks import ops, pooling

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
    dilation: int = 1  # places between two taps

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.size, self.size, x.shape[-1] // self.groups, self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        options = {"stride": self.stride, "padding": self.padding, "groups": self.groups}
        options |= {"dilation": self.dilation} if self.dilation > 1 else {}
        x = (ops.dilated_conv if self.dilation > 1 else ops.conv)(
            x.astype(self.dtype), kernel.astype(self.dtype), **options
        )
        if self.bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
            x = x + bias.astype(self.dtype)[None, None, None]  # (B, H, W, features)
        return x


def rows(x: jax.Array) -> jax.Array:
    """(..., D) -> (N, D) on a CPU; elsewhere x. A block adds its branches to this form, see `dense_product`.

    A branch takes it in its own shape (`reshape`), so that the branch's gradient is whole before it is added. XLA
    writes such a sum out once if a product reads it as it is; else it computes it again for each of its uses.
    """
    return x.reshape(-1, x.shape[-1]) if ops.on_cpu() else x


def dense_product(x: jax.Array, kernel: jax.Array, axes: lax.DotDimensionNumbers, **options: Any) -> jax.Array:
    """(..., D), (D, F) -> (..., F): `lax.dot_general`; on a CPU all positions are one axis.

    The kernel's gradient is a sum over positions. Over several axes, XLA's CPU compiler turns and copies both factors,
    and computes in each copy again all that leads to it: in a transformer, the gradients of the residual connections of
    every later block. The backward pass then grows with the square of the depth. Products of matrices need no copy.
    """
    if not ops.on_cpu() or x.ndim < 3:
        return lax.dot_general(x, kernel, axes, **options)
    y = lax.dot_general(x.reshape(-1, x.shape[-1]), kernel, (((1,), (0,)), ((), ())), **options)
    return y.reshape(*x.shape[:-1], y.shape[-1])


class Dense(nn.Dense):
    """A dense layer on (..., D), for blocks of transformers: see `dense_product`."""

    dot_general: Any = dense_product


def gelu(x: jax.Array) -> jax.Array:
    """Exact GELU, x P(X < x) of a normal X (Hendrycks and Gimpel 2016).

    On a CPU by erf as in torch: erfc, which `nn.gelu` takes, costs more. In float32 they differ by about 1e-7 x.
    """
    if not ops.on_cpu() or x.dtype != jnp.float32:
        return nn.gelu(x, approximate=False)
    return 0.5 * x * (1 + lax.erf(x * math.sqrt(0.5)))


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


class Stem(nn.Module):
    """7x7/2 convolution, BatchNorm, ReLU, 3x3/2 max-pool: (B, H, W, 3) -> (B, H/4, W/4, width)."""

    width: int
    dtype: DTypeLike
    bn_axis: str | None

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        x = Conv(self.width, 7, stride=2, padding=3, dtype=self.dtype, name="conv")(x)
        x = BatchNorm(dtype=self.dtype, axis_name=self.bn_axis, name="bn")(x, mode)
        return pooling.max_pool(nn.relu(x), window=3, stride=2, padding=1)
