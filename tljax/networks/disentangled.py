"""DeBERTa's text encoder (He et al. 2021, arXiv:2006.03654, section 3.1): attention by content and by distance.

The stages and their inputs and outputs are those of `encoder.py`. There are no position embeddings: the attention of
every block looks up the distance between two tokens in one table. The table is a parameter of the stage embed: if
embed is frozen, so is the table. A run that starts at a later stage reads the table from embed's parameters.
"""

import dataclasses
import math
from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from tljax.core.errors import ConfigError
from tljax.core.types import Mode
from tljax.networks import encoder
from tljax.networks.attention import attended
from tljax.networks.backbone import RunnableStage
from tljax.networks.encoder import ACTIVATIONS, NORMAL, Hidden, Mlp, Pool, Tokens
from tljax.networks.layers import Dense, LayerNorm

KINDS = ("c2p", "p2c")  # of attention scores, besides content to content: content to distance, distance to content
NORMS = ("none", "layer_norm")
Table = Callable[[], jax.Array]


@dataclasses.dataclass(frozen=True)
class Variant(encoder.Variant):
    """Sizes of one published network. Keys that a config.json may leave out have the defaults of transformers."""

    types: int = 0
    epsilon: float = 1e-7
    activation: str = "gelu"
    buckets: int = -1  # number of buckets of distances on each side of 0, see `rows`; below 1: one for every distance
    furthest: int = -1  # the largest distance; all larger ones share its row; below 1: `positions`
    kinds: str = ""  # names of KINDS, separated by "|"
    shared: bool = False  # whether distances use the query and key layers of the content, or layers of their own
    distance_norm: str = "none"  # normalisation of the table of distances, one of NORMS
    kernel: int = 0  # width of the convolution beside the first block, in tokens; 0: no convolution
    convolution_groups: int = 1
    convolution_activation: str = "tanh"  # one of ACTIVATIONS

    def __post_init__(self) -> None:
        super().__post_init__()
        wrong = [
            f"{field} '{value}', must be of {', '.join(known)}"
            for field, value, known in (
                ("pos_att_type", self.kinds, KINDS),
                ("norm_rel_ebd", self.distance_norm, NORMS),
                ("conv_act", self.convolution_activation, ACTIVATIONS),
            )
            if not set(split(value)) <= set(known)
        ]
        if self.kernel and self.kernel % 2 == 0:
            wrong.append(f"conv_kernel_size {self.kernel}, must be odd")
        if wrong:
            raise ConfigError(f"A DeBERTa of other kinds is not built here: {'; '.join(wrong)}. Choose other weights.")

    @property
    def span(self) -> int:
        """Rows of the table for the distances on one side of 0."""
        return self.buckets if self.buckets > 0 else self.reach

    @property
    def reach(self) -> int:
        return self.furthest if self.furthest > 0 else self.positions

    def has(self, layer: str) -> bool:
        """As in `encoder.Variant`."""
        name = layer.rpartition("/")[2]
        optional = {
            "distance_norm": self.distance_norm == "layer_norm",
            "distance_key": "c2p" in split(self.kinds) and not self.shared,
            "distance_query": "p2c" in split(self.kinds) and not self.shared,
            "conv": self.kernel > 0,
            "norm3": self.kernel > 0,
        }
        return optional[name] if name in optional else super().has(layer)


def split(kinds: str) -> list[str]:
    """The kinds in "p2c|c2p"."""
    return [word for part in kinds.split("|") if (word := part.strip())]


def rows(shape: Variant) -> np.ndarray:
    """The table's row for each distance 1 - positions ... positions - 1, query minus key: (2 positions - 1,) int32.

    With buckets, each distance below half the number of buckets has its own row. Beyond that, buckets grow with the
    logarithm of the distance, and `reach` - 1 falls into the last one: `make_log_bucket_position` of the authors'
    code, from version 2 on.
    """
    distances = np.arange(1 - shape.positions, shape.positions)
    buckets, middle = distances, shape.buckets // 2
    if shape.buckets > 0:
        far = np.maximum(np.abs(distances), middle)
        growth = np.log(far / middle) / math.log((shape.reach - 1) / middle)
        logarithmic = middle + np.ceil(growth * (middle - 1)).astype(int)
        buckets = np.where(np.abs(distances) <= middle, distances, np.sign(distances) * logarithmic)
    return np.clip(buckets + shape.span, 0, 2 * shape.span - 1).astype(np.int32)


def skewed(x: jax.Array) -> jax.Array:
    """(..., L, 2 L - 1) -> (..., L, L): entry j of row i becomes entry L - 1 - i + j. Only reshapes, no gather."""
    *front, length, _ = x.shape
    x = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, 1)]).reshape(*front, 2 * length * length)
    return x[..., length - 1 : -1].reshape(*front, length, 2 * length - 1)[..., :length]


class Embed(nn.Module):
    """{"ids", "mask", "types"} -> {"hidden", "mask"}, with 0 at padding. It also holds the table of distances."""

    shape: Variant
    dtype: DTypeLike

    def setup(self) -> None:
        shape = self.shape
        self.word = nn.Embed(shape.vocabulary, shape.width, embedding_init=NORMAL)
        if shape.types:
            self.type = nn.Embed(shape.types, shape.width, embedding_init=NORMAL)
        self.norm = LayerNorm(shape.epsilon, dtype=self.dtype)
        self.dropout = nn.Dropout(shape.dropout)
        self.distance = nn.Embed(2 * shape.span, shape.width, embedding_init=NORMAL)
        if shape.has("embed/distance_norm"):
            self.distance_norm = LayerNorm(shape.epsilon, dtype=self.dtype)

    def __call__(self, x: Tokens, mode: Mode) -> Hidden:
        encoder.check_length(x["ids"].shape[1], self.shape)
        y = widened(self.word(x["ids"]))
        if self.shape.types:
            y = y + widened(self.type(x["types"]))
        y = self.norm(y) * x["mask"][..., None]
        return {"hidden": self.dropout(y, deterministic=not mode.trains(self.path)), "mask": x["mask"]}

    def distances(self) -> jax.Array:
        """A row for every bucket of distances: (2 span, D)."""
        table = widened(self.distance.embedding)
        return self.distance_norm(table) if self.shape.has("embed/distance_norm") else table.astype(self.dtype)


class Attention(nn.Module):
    """Disentangled self-attention on (B, L, D), and its dense layer. Padding is masked.

    The score of query i and key j, where k is the row of their distance in the table: (q_i k_j' + q_i key_k' +
    query_k k_j') / sqrt(d (1 + number of kinds)). The products with the table are computed for all 2 L - 1 distances,
    then `skewed`.
    """

    shape: Variant
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array, table: jax.Array, mode: Mode) -> jax.Array:
        shape, still, length = self.shape, not mode.trains(self.path), x.shape[1]
        dense = {
            name: Dense(shape.width, dtype=self.dtype, kernel_init=NORMAL, name=name)
            for name in ("query", "key", "value", "distance_key", "distance_query")
            if shape.has(name)
        }

        def heads(name: str, y: jax.Array) -> jax.Array:
            return dense[name](y).reshape(*y.shape[:-1], shape.heads, -1)  # (..., D) -> (..., heads, D / heads)

        q, k, v = (heads(name, x) for name in ("query", "key", "value"))
        kinds = split(shape.kinds)
        scale = 1 / math.sqrt(shape.width // shape.heads * (1 + len(kinds)))
        table = nn.Dropout(shape.dropout, deterministic=still)(table)
        offsets = jnp.asarray(rows(shape))[
            shape.positions - length : shape.positions + length - 1
        ]  # from far behind on
        by_distance, bias = table[offsets], None  # (2 L - 1, D)
        if "p2c" in kinds:
            y = heads("query" if shape.shared else "distance_query", by_distance)
            bias = skewed(_scores("bkhd,uhd->bhku", k, y)).swapaxes(2, 3)
        if "c2p" in kinds:
            y = heads("key" if shape.shared else "distance_key", by_distance[::-1])
            to_distance = skewed(_scores("bqhd,uhd->bhqu", q, y))
            bias = to_distance if bias is None else bias + to_distance
        bias = None if bias is None else bias * scale
        y = attended(q, k, v, mask, dropout=0.0 if still else shape.attention_dropout, scale=scale, bias=bias)
        y = Dense(shape.width, dtype=self.dtype, kernel_init=NORMAL, name="out")(y.reshape(x.shape))
        return nn.Dropout(shape.dropout, deterministic=still)(y)


class Block(nn.Module):
    """Attention and MLP, each with a residual connection and then LayerNorm; the first block also has a convolution."""

    shape: Variant
    dtype: DTypeLike
    first: bool

    @nn.compact
    def __call__(self, x: Hidden, mode: Mode, *, table: Table) -> Hidden:
        shape, mask, norm = self.shape, x["mask"], partial(LayerNorm, self.shape.epsilon, dtype=self.dtype)
        y = x["hidden"] + Attention(shape, self.dtype, name="attention")(x["hidden"], mask, table(), mode)
        y = norm(name="norm1")(y)
        y = norm(name="norm2")(y + Mlp(shape, self.dtype, name="mlp")(y, mode))
        if self.first and shape.kernel:
            y = norm(name="norm3")(y + self.convolved(x["hidden"], mask, mode)) * mask[..., None]
        return {"hidden": y, "mask": mask}

    def convolved(self, x: jax.Array, mask: jax.Array, mode: Mode) -> jax.Array:
        """The convolution over neighbouring tokens, (B, L, D) -> (B, L, D); `x` is 0 at padding."""
        shape, sides = self.shape, (self.shape.kernel - 1) // 2
        options = {"padding": [(sides, sides)], "feature_group_count": shape.convolution_groups, "dtype": self.dtype}
        y = nn.Conv(shape.width, (shape.kernel,), kernel_init=NORMAL, name="conv", **options)(x)
        y = nn.Dropout(shape.dropout, deterministic=not mode.trains(self.path))(y * mask[..., None])
        return ACTIVATIONS[shape.convolution_activation](y)


class Encoder(encoder.Encoder):
    """DeBERTa without a head; see `encoder.Encoder`."""

    def setup(self) -> None:
        self.embed = Embed(self.variant, self.dtype)

    def stage(self, name: str) -> RunnableStage:
        """As in `Backbone`; the blocks also get the table of distances."""
        if name == "embed":
            return self.embed
        if name == "pool":
            return Pool(self.variant, self.dtype, name=name)
        return partial(Block(self.variant, self.dtype, name == "block0", name=name), table=self.embed.distances)


def widened(x: jax.Array) -> jax.Array:
    """In float32 or wider: stored arrays may be bfloat16."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _scores(axes: str, x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.einsum(axes, x, y, preferred_element_type=jnp.float32)
