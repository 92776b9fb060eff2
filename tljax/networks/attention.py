"""Multi-head attention of the text encoders."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

WEIGHTS = "intermediates"  # the collection in which a network leaves its attention weights, where that is mutable


def weights_of(q: jax.Array, k: jax.Array) -> jax.Array:
    """softmax(q k' / sqrt(d)), (B, heads, queries, keys) float32, of q and k (B, L, heads, d)."""
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k, preferred_element_type=jnp.float32)
    return jax.nn.softmax(scores / math.sqrt(q.shape[-1]))


def attended(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    mask: jax.Array,
    *,
    dropout: float,
    scale: float | None = None,
    bias: jax.Array | None = None,
) -> jax.Array:
    """softmax(q k' scale + bias) v over the keys in `mask` (B, L); q, k, v and the output are (B, L, heads, d).

    `jax.nn.dot_product_attention` has no dropout. With dropout, the attention weights are computed here.

    Args:
      scale: None means 1 / sqrt(d).
      bias: (B, heads, queries, keys) float32.
    """
    seen = mask[:, None, None]  # (B, 1, 1, keys)
    if not dropout:
        return jax.nn.dot_product_attention(q, k, v, bias, mask=seen, scale=scale)
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k, preferred_element_type=jnp.float32)
    scores = scores / math.sqrt(q.shape[-1]) if scale is None else scores * scale
    scores = scores if bias is None else scores + bias
    weights = jax.nn.softmax(jnp.where(seen, scores, jnp.finfo(jnp.float32).min)).astype(v.dtype)
    weights = nn.Dropout(dropout, deterministic=False)(weights)
    return jnp.einsum("bhqk,bkhd->bqhd", weights, v)
