"""Text encoders of BERT's kind (Devlin et al. 2018): what BERT, RoBERTa, DistilBERT and ELECTRA share.

Stages: embed, block0 ... blockN, pool. Into embed go {"ids": (B, L) int32, "mask": (B, L) bool, "types": (B, L)
int32}: the mask is True at tokens and False at the padding after them. Each stage passes {"hidden": (B, L, D),
"mask": (B, L)} to the next, so a run can start at any stage. The output of pool is (B, D).
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from tljax.core.errors import ConfigError, DataError
from tljax.core.types import Mode, Tree
from tljax.networks.attention import attended
from tljax.networks.backbone import Backbone, RunnableStage
from tljax.networks.layers import Dense, LayerNorm, gelu

# class: the first token; mean: the mean over the mask; normalised, class_normalised: the mean, and the first token,
# divided by its length (sentence embeddings); pooler: a dense layer and its activation on the first token
POOLINGS = ("class", "mean", "normalised", "class_normalised", "pooler")
ACTIVATIONS = {"tanh": jnp.tanh, "gelu": gelu}
TINY = 1e-24  # the least squared length, so that a vector of zeros is not divided by 0
NORMAL = nn.initializers.normal(0.02)
SHOWN = 5  # places in an error

Tokens = Mapping[str, jax.Array]
Hidden = dict[str, jax.Array]


class TextStages:
    """The stages of every network for texts: embed, block0 ... blockN, pool."""

    depth: int

    @property
    def stages(self) -> tuple[str, ...]:
        return ("embed", *(f"block{i}" for i in range(self.depth)), "pool")


@dataclasses.dataclass(frozen=True)
class Variant(TextStages):
    """Sizes of one published network, and the pooling that makes one vector of a text."""

    width: int
    heads: int
    depth: int
    units: int  # of the layer inside a block's MLP
    vocabulary: int = 30_522
    positions: int = 512
    types: int = 2  # number of segment types; 0: no segment embedding
    padding: int | None = None  # RoBERTa: the id of padding; a text's first position is the one after it
    epsilon: float = 1e-12
    dropout: float = 0.1
    attention_dropout: float = 0.1
    pooling: str = "class"  # one of POOLINGS
    activation: str = "tanh"  # of the pooler, one of ACTIVATIONS
    embedding: int | None = None  # ELECTRA: the width of the embeddings; a dense layer projects them to `width`

    def __post_init__(self) -> None:
        if self.pooling not in POOLINGS or self.activation not in ACTIVATIONS or self.width % self.heads:
            raise ConfigError(
                f"A text encoder's pooling must be one of {', '.join(POOLINGS)}, its pooler's activation one of "
                f"{', '.join(ACTIVATIONS)}, and its width a multiple of its heads; got pooling '{self.pooling}', "
                f"activation '{self.activation}', width {self.width}, {self.heads} heads."
            )

    @property
    def longest(self) -> int:
        """The number of tokens that have a position: the longest text."""
        return self.positions - (0 if self.padding is None else self.padding + 1)

    @property
    def embedded(self) -> int:
        """The width of the embeddings."""
        return self.width if self.embedding is None else self.embedding

    def has(self, layer: str) -> bool:
        """Whether the network has the layer with this path ("embed/type"); some networks have not."""
        optional = {
            "embed/type": self.types > 0,
            "embed/project": self.embedded != self.width,
            "pool/dense": self.pooling == "pooler",
        }
        return optional.get(layer, True)


class HasTokens(Protocol):
    """Sizes that say which tokens a network has."""

    @property
    def vocabulary(self) -> int: ...
    @property
    def types(self) -> int: ...
    @property
    def longest(self) -> int: ...


def check(tokens: Mapping[str, np.ndarray], shape: HasTokens) -> None:
    """Check on the host that the network has every token in its tables: on a device, an id beyond a table gives NaN.

    Raises:
      DataError: ids or types are out of range, a text has no tokens, or padding stands before a token.
    """
    ids, mask, types = (np.asarray(tokens[key]) for key in ("ids", "mask", "types"))
    problems = []
    for kind, values, limit in (("ids", ids, shape.vocabulary), ("types", types, shape.types)):
        if kind == "types" and limit < 2:
            continue  # there is no table for them
        rows, columns = np.nonzero((values < 0) | (values >= limit))
        if rows.size:
            places = [f"{values[r, c]} in text {r} at {c}" for r, c in zip(rows[:SHOWN], columns, strict=False)]
            problems.append(f"{rows.size} {kind} out of range 0..{limit - 1}: {', '.join(places)}")
    gaps = np.flatnonzero(~mask[:, 0] | (~mask[:, :-1] & mask[:, 1:]).any(axis=1))
    if gaps.size:
        problems.append(f"{gaps.size} texts with padding before a token: {', '.join(map(str, gaps[:SHOWN]))}")
    if problems:
        raise DataError(
            "Tokens must be in the encoder's vocabulary, with padding after the text:\n  "
            + "\n  ".join(problems)
            + "\nUse the tokenizer that was published with the weights."
        )


def check_length(length: int, shape: HasTokens) -> None:
    """Raise ConfigError if texts have more tokens than the network has positions."""
    if length > shape.longest:
        raise ConfigError(
            f"The encoder has positions for {shape.longest} tokens; texts are cut to {length}. "
            "Lower config.data.lengths."
        )


class Embed(nn.Module):
    """The sum of three embeddings, normalised: {"ids", "mask", "types"} -> {"hidden", "mask"}."""

    shape: Variant
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Tokens, mode: Mode) -> Hidden:
        shape, length = self.shape, x["ids"].shape[1]
        check_length(length, shape)

        def embedded(count: int, indices: jax.Array, name: str) -> jax.Array:
            y = nn.Embed(count, shape.embedded, embedding_init=NORMAL, name=name)(indices)  # (B or 1, L, E)
            return y.astype(jnp.promote_types(y.dtype, jnp.float32))  # stored ones may be bfloat16

        y = embedded(shape.vocabulary, x["ids"], "word")
        y = y + embedded(shape.positions, self.places(x["mask"]), "position")
        if shape.types:
            y = y + embedded(shape.types, x["types"], "type")  # of one row, nn.Embed gives that row to all
        y = LayerNorm(shape.epsilon, dtype=self.dtype, name="norm")(y)
        y = nn.Dropout(shape.dropout, deterministic=not mode.trains(self.path))(y)
        if shape.has("embed/project"):
            y = Dense(shape.width, dtype=self.dtype, kernel_init=NORMAL, name="project")(y)  # (B, L, E) -> (B, L, D)
        return {"hidden": y, "mask": x["mask"]}

    def places(self, mask: jax.Array) -> jax.Array:
        """Every token's position, (1, L). RoBERTa counts tokens only; its padding has position `padding`: (B, L)."""
        if self.shape.padding is None:
            return jnp.arange(mask.shape[1])[None]
        return jnp.cumsum(mask, axis=1) * mask + self.shape.padding


class Attention(nn.Module):
    """Multi-head self-attention on (B, L, D), and its dense layer. Padding is masked; `bias` is added to the scores."""

    shape: Variant
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array, mode: Mode, bias: jax.Array | None = None) -> jax.Array:
        shape, still = self.shape, not mode.trains(self.path)

        def heads(name: str) -> jax.Array:
            y = Dense(shape.width, dtype=self.dtype, kernel_init=NORMAL, name=name)(x)
            return y.reshape(*x.shape[:2], shape.heads, -1)  # (B, L, D) -> (B, L, heads, D / heads)

        q, k, v = heads("query"), heads("key"), heads("value")
        y = attended(q, k, v, mask, dropout=0.0 if still else shape.attention_dropout, bias=bias)
        y = Dense(shape.width, dtype=self.dtype, kernel_init=NORMAL, name="out")(y.reshape(x.shape))
        return nn.Dropout(shape.dropout, deterministic=still)(y)


class Mlp(nn.Module):
    """Dense to `units`, exact GELU, dense back to D: (B, L, D) -> (B, L, D)."""

    shape: Variant
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        x = Dense(self.shape.units, dtype=self.dtype, kernel_init=NORMAL, name="fc1")(x)
        x = gelu(x)
        x = Dense(self.shape.width, dtype=self.dtype, kernel_init=NORMAL, name="fc2")(x)
        return nn.Dropout(self.shape.dropout, deterministic=not mode.trains(self.path))(x)


class Block(nn.Module):
    """Attention and MLP, each with a residual connection and then LayerNorm.

    `bias` makes what is added to the scores of texts of a length: (1, heads, L, L).
    """

    shape: Variant
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Hidden, mode: Mode, *, bias: Callable[[int], jax.Array] | None = None) -> Hidden:
        y, mask = x["hidden"], x["mask"]
        added = bias(y.shape[1]) if bias else None
        y = y + Attention(self.shape, self.dtype, name="attention")(y, mask, mode, added)
        y = LayerNorm(self.shape.epsilon, dtype=self.dtype, name="norm1")(y)
        y = y + Mlp(self.shape, self.dtype, name="mlp")(y, mode)
        return {"hidden": LayerNorm(self.shape.epsilon, dtype=self.dtype, name="norm2")(y), "mask": mask}


class Pool(nn.Module):
    """One vector for each text: {"hidden": (B, L, D), "mask"} -> (B, D) float32."""

    shape: Variant
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Hidden, mode: Mode) -> jax.Array:
        del mode  # nothing here differs between training and evaluation
        if self.shape.pooling in ("mean", "normalised"):
            weights = x["mask"].astype(jnp.float32)[..., None]  # (B, L, 1)
            y = (x["hidden"] * weights).sum(axis=1) / jnp.maximum(weights.sum(axis=1), 1.0)
        else:
            y = x["hidden"][:, 0]
        if self.shape.pooling.endswith("normalised"):
            y = y.astype(jnp.promote_types(y.dtype, jnp.float32))
            y = y / jnp.sqrt(jnp.maximum(jnp.square(y).sum(axis=1, keepdims=True), TINY))
        if self.shape.pooling == "pooler":
            y = Dense(self.shape.width, dtype=self.dtype, kernel_init=NORMAL, name="dense")(y)
            y = ACTIVATIONS[self.shape.activation](y)
        return y.astype(jnp.float32)


class Encoder(Backbone):
    """A text encoder without a head, for tokens {"ids", "mask", "types"} that passed `check`.

    The output of a stage is {"hidden": (B, L, D), "mask"}; the last stage, pool, gives features (B, D) in float32.
    """

    def stage(self, name: str) -> RunnableStage:
        kind = {"embed": Embed, "pool": Pool}.get(name, Block)
        return kind(self.variant, self.dtype, name=name)

    def features(self, x: Tree) -> Tree:
        return x
