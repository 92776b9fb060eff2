"""A text encoder that predicts masked tokens: the head, and encoder and head as one module."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from tljax.core.types import EVALUATE, Mode, Tree
from tljax.networks.encoder import NORMAL, Variant
from tljax.networks.layers import Dense, LayerNorm, gelu
from tljax.networks.network import Network


class Head(nn.Module):
    """Dense, exact GELU, LayerNorm, and the word embeddings as the last layer (Press & Wolf 2017), with a bias."""

    shape: Variant
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """{"hidden": (B, K, D), "words": (V, E)} -> {"logits": (B, K, V) float32}; other entries are passed on."""
        y = Dense(self.shape.embedded, dtype=self.dtype, kernel_init=NORMAL, name="dense")(x["hidden"])
        y = LayerNorm(self.shape.epsilon, dtype=self.dtype, name="norm")(gelu(y))
        bias = self.param("bias", nn.initializers.zeros, (self.shape.vocabulary,), jnp.float32)
        words = x["words"].astype(self.dtype)
        logits = jnp.einsum("bkd,vd->bkv", y, words, preferred_element_type=jnp.float32) + bias[None, None]
        return {"logits": logits, "places": x["places"], "weight": x["weight"]}


class MaskedNetwork(Network):
    """Tokens with masked positions ("places", of `masking.hide`) -> logits at these; the encoder's pool is not run."""

    def __call__(self, x: Tree, mode: Mode = EVALUATE, *, start: str | None = None) -> Tree:
        """-> {"logits": (B, K, V), "places": (B, K), "weight": (B, K)}; with start="head", `x` is from `features`."""
        return self.head(x if start == "head" else self.features(x, mode))

    def features(self, x: Tree, mode: Mode = EVALUATE, *, stop: str | None = None) -> Tree:
        """The head's input: the last block's output at the places, (B, K, D), and the word embeddings, (V, E)."""
        del stop
        *_, last, _ = self.backbone.stages
        hidden = self.encoded(x, mode, stop=last)["hidden"]
        return {
            "hidden": jnp.take_along_axis(hidden, x["places"][..., None], axis=1),  # (B, L, D) -> (B, K, D)
            "words": self.backbone.variables["params"]["embed"]["word"]["embedding"],
            "places": x["places"],
            "weight": x["weight"],
        }
