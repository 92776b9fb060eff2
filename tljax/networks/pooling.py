"""Max-pooling in the form that is fastest on the backend: plain lax on an accelerator, slices on a CPU."""

import contextlib
import contextvars
import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jax import lax

from tljax.core.errors import ConfigError
from tljax.networks import ops

_slices = contextvars.ContextVar("slices", default=False)


@contextlib.contextmanager
def pooled_by_slices() -> Iterator[None]:
    """In this context `max_pool` is traced as the maximum of slices: what jax2onnx 0.17.1 makes of a reduce_window
    over (B, H, W, C) is a node that onnxruntime 1.32.0 refuses ("Unsupported pooling size").
    """
    token = _slices.set(True)
    try:
        yield
    finally:
        _slices.reset(token)


def max_pool(x: jax.Array, *, window: int, stride: int, padding: int = 0) -> jax.Array:
    """Maximum over windows: (B, H, W, C) -> (B, (H + 2 padding - window) // stride + 1, ..., C).

    Raises:
      ConfigError: the map is smaller than a window.
    """
    if min(x.shape[1:3]) + 2 * padding < window:
        raise ConfigError(
            f"Pictures must be larger for this network: a max-pool over {window} x {window} gets a map of "
            f"{x.shape[1]} x {x.shape[2]}. Raise config.data.size."
        )
    form = sliced_max_pool if _slices.get() else cpu_max_pool if ops.on_cpu() else lax_max_pool
    return form(x, window, stride, padding)


def lax_max_pool(x: jax.Array, window: int, stride: int, padding: int) -> jax.Array:
    """What XLA makes of it."""
    pads = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, window, window, 1), (1, stride, stride, 1), pads)


def cpu_max_pool(x: jax.Array, window: int, stride: int, padding: int) -> jax.Array:
    """The maximum of strided slices, along columns and then along rows.

    The gradient of XLA's reduce_window is a select_and_scatter: forward and backward of a 3x3/2 pool on
    (128, 16, 16, 64) take 41 ms; these slices take 2.7 ms, all nine slices at once 6.4 ms. If several elements
    of a window are the largest, they share the gradient; select_and_scatter gives it to the first. After a ReLU
    such ties are zeros, and ReLU stops their gradient.
    """
    lowest = jnp.array(-jnp.inf, x.dtype)
    for axis in (2, 1):
        pads = [(0, 0, 0)] * 4
        pads[axis] = (padding, padding, 0)
        padded = lax.pad(x, lowest, pads)
        last = (padded.shape[axis] - window) // stride * stride
        x = functools.reduce(lax.max, (lax.slice_in_dim(padded, i, i + last + 1, stride, axis) for i in range(window)))
    return x


def sliced_max_pool(x: jax.Array, window: int, stride: int, padding: int) -> jax.Array:
    """The values of `lax_max_pool` in operations that jax2onnx writes for batches of unknown size: neither lax.pad nor
    slice_in_dim is among them.
    """
    for axis in (2, 1):
        edge = jnp.full_like(_cut(x, axis, 0, padding, 1), -jnp.inf)
        x = jnp.concatenate([edge, x, edge], axis) if padding else x
        last = (x.shape[axis] - window) // stride * stride
        x = functools.reduce(lax.max, (_cut(x, axis, i, i + last + 1, stride) for i in range(window)))
    return x


def _cut(x: jax.Array, axis: int, start: int, stop: int, stride: int) -> jax.Array:
    """x[start:stop:stride] along an axis."""
    ends = [(0, size, 1) for size in x.shape]
    ends[axis] = (start, stop, stride)
    return lax.slice(x, *map(tuple, zip(*ends, strict=True)))
