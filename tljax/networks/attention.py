"""Multi-head attention."""

import contextlib
import contextvars
import math
import warnings
from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from tljax.networks import ops

_kernel = contextvars.ContextVar("kernel", default="xla")
WEIGHTS = "intermediates"  # the collection in which a network leaves its attention weights, where that is mutable


def weights_of(q: jax.Array, k: jax.Array) -> jax.Array:
    """softmax(q k' / sqrt(d)), (B, heads, queries, keys) float32, of q and k (B, L, heads, d)."""
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k, preferred_element_type=jnp.float32)
    return jax.nn.softmax(scores / math.sqrt(q.shape[-1]))


@contextlib.contextmanager
def kernel(name: str) -> Iterator[None]:
    """In this context `attended` is traced with the kernel of that name, where it can be."""
    token = _kernel.set(name)
    try:
        yield
    finally:
        _kernel.reset(token)


def attended(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    mask: jax.Array | None = None,
    *,
    dropout: float = 0.0,
    scale: float | None = None,
    bias: jax.Array | None = None,
) -> jax.Array:
    """softmax(q k' scale + bias) v over the keys in `mask` (B, L); q, k, v and the output are (B, L, heads, d).

    `jax.nn.dot_product_attention` has no dropout; with dropout the attention is computed here. So it is on a CPU, where
    that function takes 1.5 times as long, forward and backward: it gives products an axis of groups of heads.

    Args:
      mask: None: all keys.
      scale: None means 1 / sqrt(d).
      bias: (B, heads, queries, keys) float32.
    """
    visible = None if mask is None else mask[:, None, None]  # (B, 1, 1, keys)
    if not (dropout or ops.on_cpu()):
        return _by_kernel(q, k, v, bias, mask=visible, scale=scale)
    if dropout and _kernel.get() != "xla" and not ops.on_cpu():
        _tell("it has no dropout of attention weights")
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k, preferred_element_type=jnp.float32)
    scores = scores / math.sqrt(q.shape[-1]) if scale is None else scores * scale
    scores = scores if bias is None else scores + bias
    scores = scores if visible is None else jnp.where(visible, scores, jnp.finfo(jnp.float32).min)
    weights = jax.nn.softmax(scores).astype(v.dtype)
    weights = nn.Dropout(dropout, deterministic=False)(weights) if dropout else weights
    return jnp.einsum("bhqk,bkhd->bqhd", weights, v)


def _by_kernel(q: jax.Array, k: jax.Array, v: jax.Array, bias: jax.Array | None, **rest: Any) -> jax.Array:
    """`jax.nn.dot_product_attention` with the kernel that is asked for; where it cannot, with XLA's and a warning.

    cudnn's flash attention takes float16 and bfloat16, and heads of some sizes; jax says which, when it is traced.
    """
    if _kernel.get() == "cudnn" and not ops.is_plain():
        try:
            return jax.nn.dot_product_attention(q, k, v, bias, implementation="cudnn", **rest)
        except (NotImplementedError, RuntimeError, ValueError) as error:
            _tell(str(error).strip().partition("\n")[0])
    return jax.nn.dot_product_attention(q, k, v, bias, **rest)


def _tell(why: str) -> None:
    warnings.warn(f"attention: XLA computes it, not {_kernel.get()} (config.model.attention): {why}", stacklevel=3)
