"""Convolution in the form that is fastest on the backend; `pooling` is its neighbour.

`conv` is plain lax on an accelerator. On a CPU it takes one of the forms below; the choice depends on static shapes, at
trace time. Milliseconds below: float32, 2 cores of an AMD EPYC (Zen 4), jax 0.10.2.
"""

import contextlib
import contextvars
import functools
import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jax import lax

from tljax.networks import depthwise
from tljax.networks.depthwise import Pads

DIMENSIONS = ("NHWC", "HWIO", "NHWC")
CHUNKS = 8  # the most plain convolutions that replace one convolution in groups
_plain = contextvars.ContextVar("plain", default=False)


def on_cpu() -> bool:
    """Whether the default device is a CPU; called at trace time."""
    return not _plain.get() and jax.default_backend() == "cpu"


def is_plain() -> bool:
    """Whether the current trace is for an export or for counting FLOPs: see `plain`."""
    return _plain.get()


@contextlib.contextmanager
def plain() -> Iterator[None]:
    """In this context convolution and pooling are traced as plain lax: for exported programs, and to count FLOPs."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


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


def dilated_conv(
    x: jax.Array, kernel: jax.Array, *, stride: int = 1, padding: int = 0, groups: int = 1, dilation: int
) -> jax.Array:
    """`conv` with the kernel's taps `dilation` places apart."""
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        ((padding, padding), (padding, padding)),
        rhs_dilation=(dilation, dilation),
        feature_group_count=groups,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def lax_conv(x: jax.Array, kernel: jax.Array, stride: int, padding: int, groups: int) -> jax.Array:
    """What XLA makes of it."""
    return _direct(x, kernel, stride, ((padding, padding), (padding, padding)), groups)


def cpu_conv(x: jax.Array, kernel: jax.Array, stride: int, padding: int, groups: int) -> jax.Array:
    """The values and gradients of `lax_conv`, each computed in the form that a CPU runs fastest.

    Only reverse-mode gradients are defined: `jax.jvp` raises, as with any `custom_vjp`.
    """
    first_row, end_row, rows = _useful_taps(x.shape[1], kernel.shape[0], stride, padding)
    first_column, end_column, columns = _useful_taps(x.shape[2], kernel.shape[1], stride, padding)
    kernel = kernel[first_row:end_row, first_column:end_column]
    if groups == 1:
        return _chosen(x, kernel, stride, (rows, columns))
    if groups == x.shape[-1] == kernel.shape[-1]:
        return depthwise.conv(x, kernel, stride, (rows, columns))
    return _grouped(x, kernel, stride, (rows, columns), groups)


def _useful_taps(size: int, taps: int, stride: int, padding: int) -> tuple[int, int, tuple[int, int]]:
    """The range of the kernel's taps that meet more than padding (first, end), and the remaining padding.

    On a 1x1 map only the centre of a 3x3 kernel counts: a ninth of the arithmetic, and a matrix product.
    The padding after the map is negative if the last positions are never reached with this stride.
    """
    outputs = (size + 2 * padding - taps) // stride + 1
    starts = [stride * i - padding for i in range(outputs)]
    useful = [tap for tap in range(taps) if any(0 <= start + tap < size for start in starts)] or [0]
    first, end = useful[0], useful[-1] + 1
    return first, end, (padding - first, starts[-1] + end - size)


def _grouped(x: jax.Array, kernel: jax.Array, stride: int, pads: Pads, groups: int) -> jax.Array:
    """At most CHUNKS plain convolutions; the kernels of several groups are blocks of one larger, block-diagonal kernel.

    lax is very slow at the kernel gradient of 32 groups: 11.9 s on (4, 56, 56, 128), and 36 ms in this form, although
    it multiplies many zeros. Forward: 93 ms and 12 ms.
    """
    chunks = math.gcd(groups, CHUNKS)
    inside, outside = kernel.shape[2], kernel.shape[3] // groups
    each = groups // chunks
    blocks = kernel.reshape(*kernel.shape[:3], chunks, each, outside)
    # (K, K, inside, chunks, each, outside) -> (chunks, K, K, each, inside, each, outside), 0 off the diagonal
    wide = jnp.einsum("hwicgo,gG->chwGigo", blocks, jnp.eye(each, dtype=kernel.dtype))
    wide = wide.reshape(chunks, *kernel.shape[:2], each * inside, each * outside)
    parts = jnp.split(x, chunks, axis=-1)
    return jnp.concatenate([_chosen(part, k, stride, pads) for part, k in zip(parts, wide, strict=True)], axis=-1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _chosen(x: jax.Array, kernel: jax.Array, stride: int, pads: Pads) -> jax.Array:
    if _dot_is_faster(x, kernel):
        patches = _patches(x, kernel, stride, pads)
        return _dot(patches, kernel.reshape(-1, kernel.shape[-1]), 0).astype(x.dtype)
    return _direct(x, kernel, stride, pads)


def _forward(x: jax.Array, kernel: jax.Array, stride: int, pads: Pads) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _chosen(x, kernel, stride, pads), (x, kernel)


def _backward(stride: int, pads: Pads, saved: tuple[jax.Array, jax.Array], g: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    return _input_gradient(x, kernel, g, stride, pads), _kernel_gradient(x, kernel, g, stride, pads)


_chosen.defvjp(_forward, _backward)


def _dot_is_faster(x: jax.Array, kernel: jax.Array) -> bool:
    """Whether im2col and a matrix product are faster than lax's convolution of map `x`.

    XLA's fast path (Eigen) does not handle a map that is smaller than the kernel: 3x3 on (64, 2, 2, 512) takes
    539 ms; im2col and dot take 6.5 ms. On (64, 3, 3, 256), the next larger size, both take the same time. On larger
    maps copying the patches takes 1.1 to 3.7 times as long. A 1x1 kernel needs no patches.
    """
    return kernel.shape[:2] == (1, 1) or x.shape[1] < kernel.shape[0] or x.shape[2] < kernel.shape[1]


def _input_gradient(x: jax.Array, kernel: jax.Array, g: jax.Array, stride: int, pads: Pads) -> jax.Array:
    """The gradient of the map. With a stride, lax convolves a map dilated with zeros, which takes 123 ms for 3x3/2 on
    (64, 4, 4, 256). One matrix product, with its results added in place, takes 3.1 ms. On (16, 56, 56, 64): 18.5 ms and
    13.4 ms.
    """
    if stride == 1 and not _dot_is_faster(g, kernel):
        (dx,) = jax.linear_transpose(lambda x: _direct(x, kernel, stride, pads), x)(g)
        return dx
    products = _dot(g, kernel.reshape(-1, kernel.shape[-1]), 1)
    like_x = jax.ShapeDtypeStruct(x.shape, products.dtype)
    (dx,) = jax.linear_transpose(lambda x: _patches(x, kernel, stride, pads), like_x)(products)
    return dx.astype(x.dtype)


def _kernel_gradient(x: jax.Array, kernel: jax.Array, g: jax.Array, stride: int, pads: Pads) -> jax.Array:
    """The gradient of the kernel, by lax: it is fast on tiny maps too, 6.8 ms on (64, 2, 2, 512); im2col takes 7.9 ms.

    For a 1x1 kernel a dot is 1.3 to 2.8 times faster than lax.
    """
    if kernel.shape[:2] == (1, 1):
        pixels = _patches(x, kernel, stride, pads)
        return _product(_rows(pixels), _rows(g), 0, 0).reshape(kernel.shape).astype(kernel.dtype)
    (dk,) = jax.linear_transpose(lambda k: _direct(x, k, stride, pads), kernel)(g)
    return dk


def _direct(x: jax.Array, kernel: jax.Array, stride: int, pads: Pads, groups: int = 1) -> jax.Array:
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), pads, dimension_numbers=DIMENSIONS, feature_group_count=groups
    )


def _patches(x: jax.Array, kernel: jax.Array, stride: int, pads: Pads) -> jax.Array:
    """The patch of the map under the kernel for every output position: (B, H, W, C) -> (B, h, w, K K C)."""
    return jnp.concatenate(depthwise.views(depthwise.padded(x, pads), kernel, stride), axis=-1)


def _dot(x: jax.Array, kernel: jax.Array, axis: int) -> jax.Array:
    """(B, H, W, C) times a kernel (C, D), or (D, C) with `axis` 1: -> (B, H, W, D)."""
    y = _product(_rows(x), kernel, 1, axis)
    return y.reshape(*x.shape[:-1], y.shape[-1])


def _rows(x: jax.Array) -> jax.Array:
    """(B, H, W, C) -> (B H W, C). Over several axes, XLA turns and copies both factors of a product of matrices."""
    return x.reshape(-1, x.shape[-1])


def _product(a: jax.Array, b: jax.Array, axis: int, with_axis: int) -> jax.Array:
    """A contraction that sums in float32 or wider: for bfloat16 it is 1.7 times faster than summing in bfloat16."""
    wide = jnp.promote_types(a.dtype, jnp.float32)
    return lax.dot_general(a, b, (((axis,), (with_axis,)), ((), ())), preferred_element_type=wide)
