"""ModernBERT (Warner et al. 2024, arXiv:2412.13663): rotary positions, gated GELU, attention that is mostly local.

Every third block attends to all tokens; the others to those at most window / 2 away. LayerNorm comes before attention
and MLP, and no layer has a bias. The first block has no LayerNorm before its attention: that of the embeddings is it.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from tljax.core.errors import ConfigError
from tljax.core.types import Mode
from tljax.networks import encoder
from tljax.networks.backbone import RunnableStage
from tljax.networks.encoder import NORMAL, Hidden, Pool, Tokens, check_length
from tljax.networks.layers import Dense, LayerNorm, gelu


@dataclasses.dataclass(frozen=True)
class Variant(encoder.Variant):
    """Sizes of one published network."""

    vocabulary: int = 50_368
    positions: int = 8192
    types: int = 0
    epsilon: float = 1e-5
    dropout: float = 0.0
    attention_dropout: float = 0.0
    every: int = 3  # block 0 and every third from it attend to all tokens
    window: int = 128  # the others: to tokens at most half of it away, on both sides
    global_theta: float = 160_000.0  # theta of the rotary positions, of blocks that attend to all tokens
    local_theta: float = 10_000.0  # and of the others

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pooling == "pooler" or self.dropout or self.attention_dropout or self.width // self.heads % 2:
            raise ConfigError(
                f"A ModernBERT must have no pooler, no dropout and an even head width; got pooling '{self.pooling}', "
                f"dropout {self.dropout}, attention_dropout {self.attention_dropout}, {self.width // self.heads}."
            )


def rotated(x: jax.Array, theta: float) -> jax.Array:
    """Queries or keys (B, L, heads, d), rotated by their position (Su et al. 2021).

    Channels i and i + d/2 are one plane; its angle at position p is p / theta^(2 i / d).
    """
    length, half = x.shape[1], x.shape[-1] // 2
    frequencies = theta ** (-jnp.arange(half, dtype=jnp.float32) / half)
    angles = jnp.arange(length, dtype=jnp.float32)[:, None] * frequencies[None]  # (L, d / 2)
    cos, sin = (wave[None, :, None] for wave in (jnp.cos(angles), jnp.sin(angles)))  # (1, L, 1, d / 2)
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1).astype(x.dtype)


class Stage(nn.Module):
    """What a stage knows of its network."""

    shape: Variant
    dtype: DTypeLike

    def norm(self, name: str) -> LayerNorm:
        return LayerNorm(self.shape.epsilon, use_bias=False, dtype=self.dtype, name=name)

    def dense(self, units: int, name: str) -> Dense:
        return Dense(units, use_bias=False, dtype=self.dtype, kernel_init=NORMAL, name=name)


class Embed(Stage):
    """Words, normalised: {"ids", "mask", "types"} -> {"hidden", "mask"}."""

    @nn.compact
    def __call__(self, x: Tokens, mode: Mode) -> Hidden:
        del mode  # nothing here differs between training and evaluation
        check_length(x["ids"].shape[1], self.shape)
        y = nn.Embed(self.shape.vocabulary, self.shape.width, embedding_init=NORMAL, name="word")(x["ids"])
        return {"hidden": self.norm("norm")(y.astype(jnp.promote_types(y.dtype, jnp.float32))), "mask": x["mask"]}


class Block(Stage):
    """Attention and gated MLP, each with LayerNorm before it and a residual connection."""

    number: int = 0

    @nn.compact
    def __call__(self, x: Hidden, mode: Mode) -> Hidden:
        del mode  # nothing here differs between training and evaluation
        y, mask = x["hidden"], x["mask"]
        y = y + self.attention(self.norm("norm1")(y) if self.number else y, mask)
        inner, gate = jnp.split(self.dense(2 * self.shape.units, "fc1")(self.norm("norm2")(y)), 2, axis=-1)
        return {
            "hidden": y + self.dense(self.shape.width, "fc2")(gelu(inner) * gate),
            "mask": mask,
        }

    def attention(self, x: jax.Array, mask: jax.Array) -> jax.Array:
        """(B, L, D) -> (B, L, D); one dense layer gives queries, keys and values, in the order (3, heads, -1)."""
        shape, local = self.shape, self.number % self.shape.every != 0
        qkv = self.dense(3 * shape.width, "qkv")(x).reshape(*x.shape[:2], 3, shape.heads, -1)
        q, k, v = jnp.moveaxis(qkv, 2, 0)  # each (B, L, heads, D / heads)
        q, k = (rotated(one, shape.local_theta if local else shape.global_theta) for one in (q, k))
        visible = mask[:, None, None]  # (B, 1, 1, keys)
        window = (shape.window // 2, shape.window // 2) if local else None
        y = jax.nn.dot_product_attention(q, k, v, mask=visible, local_window_size=window)
        return self.dense(shape.width, "out")(y.reshape(x.shape))


class Vector(Stage):
    """The last LayerNorm, and one vector for each text: {"hidden": (B, L, D), "mask"} -> (B, D) float32."""

    @nn.compact
    def __call__(self, x: Hidden, mode: Mode) -> jax.Array:
        return Pool(self.shape, self.dtype, name="pooled")({**x, "hidden": self.norm("norm")(x["hidden"])}, mode)


class Encoder(encoder.Encoder):
    """ModernBERT without a head; see `encoder.Encoder`."""

    def stage(self, name: str) -> RunnableStage:
        if name.startswith("block"):
            return Block(self.variant, self.dtype, int(name.removeprefix("block")), name=name)
        return {"embed": Embed, "pool": Vector}[name](self.variant, self.dtype, name=name)
