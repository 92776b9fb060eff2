"""Depthwise convolution as sums of shifted maps: the form that a CPU runs fastest, forward and backward.

lax leaves its fast path where every channel is a group of its own. Milliseconds are of float32 and batch
16 on 2 cores of an AMD EPYC (Zen 4), jax 0.10.2, with XLA's YNNPACK convolutions off as in training steps.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

AT_ONCE = 14  # taps whose gradients one pass over the maps adds up: more sums than this leave the registers
Pads = tuple[tuple[int, int], tuple[int, int]]  # (before, after) of rows, of columns


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv(x: jax.Array, kernel: jax.Array, stride: int, pads: Pads) -> jax.Array:
    """A sum over taps of the map as a tap meets it, times the tap: 7x7 on (56, 56, 96) takes lax 915 ms, this 19.

    3x3 and 5x5 of MobileNetV2 and EfficientNet-B0, with stride 1 and 2, take 1/18 to 1/68 of lax's processor
    time, in the tiny maps of small pictures no more. Reverse mode only.

    Args:
      x: (B, H, W, C).
      kernel: (K, K, 1, C), the dtype of x.

    Returns:
      (B, h, w, C) in the dtype of x, summed in float32 or wider.
    """
    return _tap_sum(padded(x, pads), kernel, stride)


def _forward(x: jax.Array, kernel: jax.Array, stride: int, pads: Pads) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return conv(x, kernel, stride, pads), (x, kernel)


def _backward(stride: int, pads: Pads, saved: tuple[jax.Array, jax.Array], g: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    return _input_gradient(x, kernel, g, stride, pads), _kernel_gradient(x, kernel, g, stride, pads)


conv.defvjp(_forward, _backward)


def _tap_sum(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Of a map that is padded already."""
    maps = views(_wide(x), kernel, stride)
    taps = _wide(kernel).reshape(len(maps), 1, 1, 1, -1)
    return functools.reduce(lax.add, [one * tap for one, tap in zip(maps, taps, strict=True)]).astype(x.dtype)


def _input_gradient(x: jax.Array, kernel: jax.Array, g: jax.Array, stride: int, pads: Pads) -> jax.Array:
    """The same sum over the flipped kernel, of `g` with zeros between its positions where there is a stride.

    3x3/2 is twice as fast with every tap's products added in place: 45 ms of processor time and 97 on
    (112, 112, 96); 5x5/2 is not: 83 and 16 on (56, 56, 144).
    """
    if stride > 1 and kernel.shape[0] * kernel.shape[1] <= 9:
        (dx,) = jax.linear_transpose(lambda x: _tap_sum(padded(x, pads), kernel, stride), x)(g)
        return dx
    sizes = zip(x.shape[1:3], g.shape[1:3], kernel.shape[:2], pads, strict=True)
    rows, columns = (
        (taps - 1 - before, size + before - (positions - 1) * stride - 1)
        for size, positions, taps, (before, _) in sizes
    )
    return _tap_sum(padded(g, (rows, columns), zeros_between=stride - 1), kernel[::-1, ::-1], 1)


def _kernel_gradient(x: jax.Array, kernel: jax.Array, g: jax.Array, stride: int, pads: Pads) -> jax.Array:
    """Products summed over positions, AT_ONCE taps in one pass, and then over the batch.

    On (14, 14, 384) lax takes 460 ms, 49 sums one by one 230, 14 at once 15. Over positions and batch at
    once it takes up to three times as long, and errs more: 7e-6 of the largest, where this errs by 1e-6.
    """
    g, sums = _wide(g), []
    products = [one * g for one in views(_wide(padded(x, pads)), kernel, stride)]
    for first in range(0, len(products), AT_ONCE):
        some = products[first : first + AT_ONCE]
        zeros = [jnp.zeros((), g.dtype)] * len(some)
        sums += lax.reduce(some, zeros, lambda a, b: [lax.add(*pair) for pair in zip(a, b, strict=True)], (1, 2))
    return jnp.stack(sums).sum(1).reshape(kernel.shape).astype(kernel.dtype)  # (K K, B, C) -> (K, K, 1, C)


def padded(x: jax.Array, pads: Pads, zeros_between: int = 0) -> jax.Array:
    """Zeros around the map (B, H, W, C) and between its positions; a negative pad cuts."""
    rows, columns = ((*pair, zeros_between) for pair in pads)
    return lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), rows, columns, (0, 0, 0)))


def views(x: jax.Array, kernel: jax.Array, stride: int) -> list[jax.Array]:
    """What every tap of the kernel meets in a padded map (B, H, W, C): K K maps (B, h, w, C)."""
    height, width = kernel.shape[:2]
    rows = (x.shape[1] - height) // stride * stride + 1
    columns = (x.shape[2] - width) // stride * stride + 1
    return [x[:, i : i + rows : stride, j : j + columns : stride] for i in range(height) for j in range(width)]


def _wide(x: jax.Array) -> jax.Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
