"""Convolution and max-pooling, written so that no backend pays for another's slow path.

`conv` and `max_pool` are plain lax on an accelerator. On a CPU they take the forms below, chosen from
static shapes while tracing; each says what it saves.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

DIMENSIONS = ("NHWC", "HWIO", "NHWC")
Pads = tuple[tuple[int, int], tuple[int, int]]  # (before, after) of rows, of columns


def on_cpu() -> bool:
    """Whether arrays live on a CPU by default, asked at trace time."""
    return jax.default_backend() == "cpu"


def conv(x: jax.Array, kernel: jax.Array, *, stride: int = 1, padding: int = 0, groups: int = 1) -> jax.Array:
    """2-D convolution as torch defines it: `padding` zeros on every side.

    Args:
      x: (B, H, W, C).
      kernel: (K, K, C // groups, D), the dtype of x.

    Returns:
      (B, (H + 2 padding - K) // stride + 1, ..., D).
    """
    form = cpu_conv if on_cpu() else lax_conv
    return form(x, kernel, stride, padding, groups)


def max_pool(x: jax.Array, *, window: int, stride: int, padding: int = 0) -> jax.Array:
    """Maximum over windows: (B, H, W, C) -> (B, (H + 2 padding - window) // stride + 1, ..., C)."""
    form = cpu_max_pool if on_cpu() else lax_max_pool
    return form(x, window, stride, padding)


def lax_conv(x: jax.Array, kernel: jax.Array, stride: int, padding: int, groups: int) -> jax.Array:
    return _direct(x, kernel, stride, ((padding, padding), (padding, padding)), groups)


def lax_max_pool(x: jax.Array, window: int, stride: int, padding: int) -> jax.Array:
    pads = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, window, window, 1), (1, stride, stride, 1), pads)


def cpu_max_pool(x: jax.Array, window: int, stride: int, padding: int) -> jax.Array:
    """Maximum of strided slices, along columns and then rows.

    The gradient of reduce_window is a select_and_scatter. Where several elements of a window are equal
    and largest, this form splits the gradient between them.
    """
    for axis in (2, 1):
        pads = [(0, 0, 0)] * 4
        pads[axis] = (padding, padding, 0)
        padded = lax.pad(x, jnp.array(-jnp.inf, x.dtype), pads)
        size = padded.shape[axis]
        last = (size - window) // stride * stride
        slices = [lax.slice_in_dim(padded, i, i + last + 1, stride, axis) for i in range(window)]
        x = functools.reduce(lax.max, slices)
    return x


def cpu_conv(x: jax.Array, kernel: jax.Array, stride: int, padding: int, groups: int) -> jax.Array:
    rows = _useful_taps(x.shape[1], kernel.shape[0], stride, padding)
    columns = _useful_taps(x.shape[2], kernel.shape[1], stride, padding)
    kernel = kernel[rows[0] : rows[1], columns[0] : columns[1]]
    pads = (rows[2], columns[2])
    if groups > 1:
        return _direct(x, kernel, stride, pads, groups)
    return _mixed(x, kernel, stride, pads)


def _useful_taps(size: int, taps: int, stride: int, padding: int) -> tuple[int, int, tuple[int, int]]:
    """First and last (excluded) tap that meets more than padding, and the pads that remain.

    On a 1x1 map only the centre of a 3x3 kernel counts, a ninth of the arithmetic.
    """
    outputs = (size + 2 * padding - taps) // stride + 1
    starts = [stride * o - padding for o in range(outputs)]
    useful = [t for t in range(taps) if any(0 <= start + t < size for start in starts)]
    first, end = useful[0], useful[-1] + 1
    before = padding - first
    return first, end, (before, starts[-1] + end - size)


def _direct(x: jax.Array, kernel: jax.Array, stride: int, pads: Pads, groups: int = 1) -> jax.Array:
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), pads, dimension_numbers=DIMENSIONS, feature_group_count=groups
    )


def _by_dot(x: jax.Array, kernel: jax.Array, stride: int, pads: Pads) -> jax.Array:
    """im2col and one matrix product; a 1x1 kernel needs no patches."""
    x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), (*pads[0], 0), (*pads[1], 0), (0, 0, 0)))
    height, width = kernel.shape[:2]
    rows = (x.shape[1] - height) // stride * stride + 1
    columns = (x.shape[2] - width) // stride * stride + 1
    patches = [x[:, i : i + rows : stride, j : j + columns : stride] for i in range(height) for j in range(width)]
    x = jnp.concatenate(patches, axis=-1)  # (B, H, W, C) -> (B, h, w, K K C)
    kernel = kernel.reshape(-1, kernel.shape[-1])
    return lax.dot_general(x, kernel, (((3,), (0,)), ((), ())))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _mixed(x: jax.Array, kernel: jax.Array, stride: int, pads: Pads) -> jax.Array:
    return _form(x, kernel)(x, kernel, stride, pads)


def _form(x: jax.Array, kernel: jax.Array):
    return _by_dot if kernel.shape[0] == 1 or min(x.shape[1:3]) <= 3 else _direct


def _mixed_forward(x, kernel, stride, pads):
    return _mixed(x, kernel, stride, pads), (x, kernel)


def _mixed_backward(stride, pads, residuals, g):
    x, kernel = residuals
    by_x = _by_dot if stride > 1 else _form(x, kernel)
    by_kernel = _form(x, kernel)
    (dx,) = jax.linear_transpose(lambda x: by_x(x, kernel, stride, pads), x)(g)
    (dk,) = jax.linear_transpose(lambda k: by_kernel(x, k, stride, pads), kernel)(g)
    return dx, dk


_mixed.defvjp(_mixed_forward, _mixed_backward)
