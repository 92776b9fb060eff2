"""The MLPs of vision transformers, and the pooling of tokens by one learned query (Lee et al. 2019)."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from tljax.core.types import Mode
from tljax.networks.attention import attended
from tljax.networks.layers import Dense, LayerNorm, gelu

# timm's trunc_normal_(std=.02) cuts at +-2, a hundred standard deviations: the same as a plain normal distribution.
NORMAL = nn.initializers.normal(0.02)


def quick_gelu(x: jax.Array) -> jax.Array:
    """CLIP's approximation, x sigmoid(1.702 x) (Hendrycks and Gimpel 2016); it differs from GELU by up to 0.02."""
    return x * nn.sigmoid(1.702 * x)


ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "gelu": gelu,  # exact, by erf
    "gelu_tanh": partial(nn.gelu, approximate=True),
    "quick_gelu": quick_gelu,
    "relu": nn.relu,
}


class Mlp(nn.Module):
    """Dense to `hidden` units (0: 4 D), activation, dense to D. Gated: SiLU of `hidden` more units multiplies them."""

    dtype: DTypeLike
    hidden: int = 0
    activation: str = "gelu"
    gated: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        width = x.shape[-1]
        hidden = self.hidden or 4 * width
        x = Dense(hidden * (1 + self.gated), dtype=self.dtype, kernel_init=NORMAL, name="fc1")(x)
        if self.gated:
            gate, x = jnp.split(x, 2, axis=-1)
            x = nn.silu(gate) * x
        else:
            x = ACTIVATIONS[self.activation](x)
        return Dense(width, dtype=self.dtype, kernel_init=NORMAL, name="fc2")(x)


class LatentAttention(nn.Module):
    """Attention of one learned query over the tokens, then an MLP: (B, N, D) -> (B, D)."""

    heads: int
    hidden: int
    activation: str
    eps: float
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        del mode  # nothing here differs between training and evaluation
        batch, tokens, width = x.shape
        dense = partial(Dense, dtype=self.dtype, kernel_init=NORMAL)
        latent = self.param("latent", nn.initializers.normal(width**-0.5), (1, 1, width), jnp.float32)
        q = dense(width, name="q")(latent.astype(self.dtype)).reshape(1, 1, self.heads, -1)
        k, v = jnp.moveaxis(dense(2 * width, name="kv")(x).reshape(batch, tokens, 2, self.heads, -1), 2, 0)
        q = jnp.broadcast_to(q, (batch, *q.shape[1:]))  # (B, 1, heads, D / heads)
        pooled = attended(q, k, v).reshape(batch, 1, width)
        pooled = dense(width, name="proj")(pooled)
        y = LayerNorm(epsilon=self.eps, dtype=self.dtype, name="norm")(pooled)
        return (pooled + Mlp(self.dtype, self.hidden, self.activation, name="mlp")(y))[:, 0]
