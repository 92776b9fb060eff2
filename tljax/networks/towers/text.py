"""The towers for texts of CLIP (Radford et al. 2021), SigLIP (Zhai et al. 2023; SigLIP 2, Tschannen et al. 2025) and
TIPSv2 (Cao et al. 2026, arXiv:2604.12012).

Stages, inputs and outputs are those of `encoder.py`: embed, block0 ... blockN, pool. LayerNorm comes before attention
and MLP. CLIP's tokens see only the tokens before them, and a text's vector is that of its last token. SigLIP's tokens
see all, padding too: it was trained on texts padded to a fixed length, and its vector is that of the last position.
TIPSv2's tokens see all but padding; its positions are not learned, and its vector is the mean of a text's tokens.
"""

import dataclasses
import math
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from tljax.core.errors import ConfigError
from tljax.core.types import Mode
from tljax.networks.backbone import Backbone, RunnableStage
from tljax.networks.encoder import Hidden, TextStages, Tokens, check_length
from tljax.networks.latent_attention import ACTIVATIONS, NORMAL, Mlp
from tljax.networks.layers import Dense, LayerNorm


@dataclasses.dataclass(frozen=True)
class Variant(TextStages):
    """Sizes of one published tower."""

    width: int
    heads: int
    depth: int
    units: int  # of the layer inside a block's MLP
    vocabulary: int = 49_408
    positions: int = 77
    projection: int = 0  # width of the space shared with pictures; 0: no projection to it
    causal: bool = True  # CLIP's; False: SigLIP's, whose projection has a bias
    activation: str = "gelu"  # of the MLP, one of `latent_attention.ACTIVATIONS`
    epsilon: float = 1e-5
    padding: int | None = None  # SigLIP: the id of padding, which its tokens see
    average: bool = False  # TIPSv2: positions of sines and cosines; the vector is the mean of the tokens
    types: int = 0  # no segment types

    def __post_init__(self) -> None:
        kinds = self.causal + (self.padding is not None) + self.average
        if self.width % self.heads or self.width % 2 or self.activation not in ACTIVATIONS or kinds != 1:
            raise ConfigError(
                f"A tower for texts needs an even width that is a multiple of its heads, an activation of "
                f"{', '.join(ACTIVATIONS)}, and must be one of causal (CLIP), with an id of padding (SigLIP), average "
                f"(TIPSv2); got width {self.width}, {self.heads} heads, '{self.activation}', causal {self.causal}, "
                f"padding {self.padding}, average {self.average}."
            )

    @property
    def longest(self) -> int:
        """The number of tokens that have a position: the longest text."""
        return self.positions


class Embed(nn.Module):
    """Words and positions: {"ids", "mask", "types"} -> {"hidden", "mask"}. SigLIP's texts are padded to the end.

    TIPSv2's words are multiplied by the root of the width first.
    """

    shape: Variant
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Tokens, mode: Mode) -> Hidden:
        del mode  # nothing here differs between training and evaluation
        shape, ids, mask = self.shape, x["ids"], x["mask"]
        check_length(ids.shape[1], shape)
        if shape.padding is not None:
            rest = ((0, 0), (0, shape.positions - ids.shape[1]))
            ids = jnp.pad(jnp.where(mask, ids, shape.padding), rest, constant_values=shape.padding)
            mask = jnp.pad(mask, rest)

        def embedded(count: int, indices: jax.Array, name: str) -> jax.Array:
            y = nn.Embed(count, shape.width, embedding_init=NORMAL, name=name)(indices)  # (B or 1, L, D)
            return y.astype(self.dtype)

        y = embedded(shape.vocabulary, ids, "word")
        if shape.average:
            return {"hidden": math.sqrt(shape.width) * y + sinusoids(ids.shape[1], shape.width, y.dtype), "mask": mask}
        return {"hidden": y + embedded(shape.positions, jnp.arange(ids.shape[1])[None], "position"), "mask": mask}


def sinusoids(length: int, width: int, dtype: DTypeLike) -> jax.Array:
    """Positions that are not learned, (1, L, D): sines, then cosines, as tensor2tensor has them.

    Frequencies fall from 1 to 1 / 10,000, geometrically (Vaswani et al. 2017, 3.5, has sine and cosine side by side).
    """
    half = width // 2
    frequencies = jnp.exp(-math.log(10_000) / max(half - 1, 1) * jnp.arange(half, dtype=jnp.float32))
    angles = jnp.outer(jnp.arange(length, dtype=jnp.float32), frequencies)
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=1)[None].astype(dtype)


class Attention(nn.Module):
    """Multi-head self-attention on (B, L, D), and its dense layer.

    `mask` (B, L) says which tokens are no padding; None: all are seen, as SigLIP's, or padding comes after a text and
    is no part of its past, as CLIP's.
    """

    shape: Variant
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None) -> jax.Array:
        dense = partial(Dense, self.shape.width, dtype=self.dtype, kernel_init=NORMAL)
        q, k, v = (
            dense(name=name)(x).reshape(*x.shape[:2], self.shape.heads, -1)  # (B, L, D) -> (B, L, heads, D / heads)
            for name in ("query", "key", "value")
        )
        seen = None if mask is None else mask[:, None, None, :]  # (B, 1, 1, L)
        y = jax.nn.dot_product_attention(q, k, v, mask=seen, is_causal=self.shape.causal)
        return dense(name="out")(y.reshape(x.shape))


class Block(nn.Module):
    """Attention and MLP, each with LayerNorm before it and a residual connection."""

    shape: Variant
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Hidden, mode: Mode) -> Hidden:
        del mode  # nothing here differs between training and evaluation
        shape, y = self.shape, x["hidden"]
        norm = partial(LayerNorm, shape.epsilon, dtype=self.dtype)
        y = y + Attention(shape, self.dtype, name="attention")(
            norm(name="norm1")(y), x["mask"] if shape.average else None
        )
        y = y + Mlp(self.dtype, shape.units, shape.activation, name="mlp")(norm(name="norm2")(y))
        return {"hidden": y, "mask": x["mask"]}


class Pool(nn.Module):
    """The vector of each text, in the space shared with pictures: {"hidden": (B, L, D), "mask"} -> (B, P) float32."""

    shape: Variant
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Hidden, mode: Mode) -> jax.Array:
        del mode  # nothing here differs between training and evaluation
        shape = self.shape
        if shape.average:
            y = LayerNorm(shape.epsilon, dtype=self.dtype, name="norm")(x["hidden"]).astype(jnp.float32)
            mask = x["mask"][..., None].astype(jnp.float32)
            return (y * mask).sum(axis=1) / (mask.sum(axis=1) + 1e-8)  # transformers' pooling_epsilon
        last = x["mask"].sum(axis=1) - 1 if shape.causal else jnp.full(len(x["hidden"]), -1)  # (B,)
        y = jnp.take_along_axis(x["hidden"], last[:, None, None], axis=1)[:, 0]  # (B, L, D) -> (B, D)
        y = LayerNorm(shape.epsilon, dtype=self.dtype, name="norm")(y)
        if shape.projection:
            y = Dense(shape.projection, not shape.causal, dtype=self.dtype, kernel_init=NORMAL, name="project")(y)
        return y.astype(jnp.float32)


class TextTower(Backbone):
    """A tower for texts without a head, for tokens that passed `encoder.check`. Features are (B, P) in float32."""

    def stage(self, name: str) -> RunnableStage:
        kind = {"embed": Embed, "pool": Pool}.get(name, Block)
        return kind(self.variant, self.dtype, name=name)
