"""Attention of all heads, by hand; with dropout the same, written out. More of it: test_encoder.py."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import draw, ours

from tljax.networks.attention import attended

Q, K, V = (draw.uniform(name, (2, 5, 3, 4), -1, 1) for name in "qkv")
MASK = np.arange(5)[None] < np.array([[5], [3]])
BIAS = draw.uniform("bias", (2, 3, 5, 5), -2, 2)


class Written(nn.Module):
    """With a dropout that drops nothing."""

    @nn.compact
    def __call__(self, **options):
        return attended(*map(jnp.asarray, (Q, K, V, MASK)), dropout=1e-30, **options)


@pytest.mark.parametrize("scale", [None, 0.3])
@pytest.mark.parametrize("bias", [None, BIAS], ids=["plain", "biased"])
def test_by_hand_fused_and_written_out(scale, bias):
    scores = np.einsum("bihd,bjhd->bhij", Q, K, dtype=np.float64) * (scale or 0.5)  # 1 / sqrt(4)
    weights = np.exp(scores + (0 if bias is None else bias)) * MASK[:, None, None]
    expected = np.einsum("bhij,bjhd->bihd", weights / weights.sum(-1, keepdims=True), V)
    options = {"scale": scale, "bias": bias if bias is None else jnp.asarray(bias)}
    fused = attended(*map(jnp.asarray, (Q, K, V, MASK)), dropout=0.0, **options)
    assert ours.difference(fused, expected) < 1e-6
    written = Written().apply({}, rngs={"dropout": jax.random.key(0)}, **options)
    assert ours.difference(written, expected) < 1e-6
