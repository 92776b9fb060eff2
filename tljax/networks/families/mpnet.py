"""MPNet (Song et al. 2020, arXiv:2004.09297): BERT's blocks, RoBERTa's positions, and a bias by distance in attention.

Hugging Face's naming. All blocks add the same bias to their scores: one number for each head and bucket of distances,
as in T5 (Raffel et al. 2020, section 2.1). The table is a parameter of the stage embed: if embed is frozen, so is the
table. A run that starts at a later stage reads the table from embed's parameters. A text's vector is its first token;
the poolings are BERT's.
"""

import dataclasses
import math
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from tljax.core.types import Mode
from tljax.networks import encoder
from tljax.networks.backbone import RunnableStage
from tljax.networks.disentangled import skewed, widened
from tljax.networks.encoder import NORMAL, Block, Hidden, Pool, Tokens
from tljax.networks.encoder_family import BERT_KEYS, BERT_LAYERS, Family, pooled
from tljax.networks.layers import LayerNorm

INPUT = "tokens"
# Buffers, the pooler (not needed with another pooling), and the heads of pretraining, classification and answering.
UNUSED = (
    r"mpnet\.embeddings\.position_ids",
    r"mpnet\.pooler\.dense\.(weight|bias)",
    r"lm_head\..*",
    r"classifier\.(dense|out_proj)\..*",
    r"qa_outputs\..*",
)
BUCKETS, NEAR, FURTHEST = 32, 8, 128  # of distances; those below NEAR have their own; from FURTHEST on all share one
OWN = {
    "embed/distance": "encoder.relative_attention_bias",
    "block{i}/attention/query": "encoder.layer.{i}.attention.attn.q",
    "block{i}/attention/key": "encoder.layer.{i}.attention.attn.k",
    "block{i}/attention/value": "encoder.layer.{i}.attention.attn.v",
    "block{i}/attention/out": "encoder.layer.{i}.attention.attn.o",
    "block{i}/norm1": "encoder.layer.{i}.attention.LayerNorm",
}
LAYERS = {ours: theirs for ours, theirs in (BERT_LAYERS | OWN).items() if ours != "embed/type"}
KEYS = {ours: key for ours, key in BERT_KEYS.items() if ours != "types"}


@dataclasses.dataclass(frozen=True)
class Variant(encoder.Variant):
    """Sizes of one published network."""

    vocabulary: int = 30_527
    positions: int = 514
    types: int = 0
    padding: int | None = 1
    epsilon: float = 1e-5


VARIANTS = pooled({"base": Variant(768, 12, 12, 3072)})
MASKED = {
    "dense": "lm_head.dense",
    "norm": "lm_head.layer_norm",
    "bias": "lm_head.bias",
    "decoder": "lm_head.decoder.weight",
}


def buckets(length: int) -> np.ndarray:
    """The bucket of each distance 1 - length ... length - 1, key minus query: (2 length - 1,).

    The first half of the buckets is for keys before the query. In either half, distances below NEAR have a bucket of
    their own; beyond that, buckets grow with the logarithm of the distance.
    """
    distances = np.arange(1 - length, length)
    half, far = BUCKETS // 2, np.maximum(np.abs(distances), NEAR).astype(np.float32)
    growth = np.log(far / np.float32(NEAR)) / np.float32(math.log(FURTHEST / NEAR)) * np.float32(half - NEAR)
    logarithmic = np.minimum(NEAR + growth.astype(int), half - 1)
    return np.where(np.abs(distances) < NEAR, np.abs(distances), logarithmic) + half * (distances > 0)


class Embed(encoder.Embed):
    """Words and positions: {"ids", "mask", "types"} -> {"hidden", "mask"}. It also holds the table of distances."""

    def setup(self) -> None:
        shape = self.shape
        self.word = nn.Embed(shape.vocabulary, shape.width, embedding_init=NORMAL)
        self.position = nn.Embed(shape.positions, shape.width, embedding_init=NORMAL)
        self.norm = LayerNorm(shape.epsilon, dtype=self.dtype)
        self.dropout = nn.Dropout(shape.dropout)
        self.distance = nn.Embed(BUCKETS, shape.heads, embedding_init=NORMAL)

    def __call__(self, x: Tokens, mode: Mode) -> Hidden:
        encoder.check_length(x["ids"].shape[1], self.shape)
        y = widened(self.word(x["ids"])) + widened(self.position(self.places(x["mask"])))
        return {"hidden": self.dropout(self.norm(y), deterministic=not mode.trains(self.path)), "mask": x["mask"]}

    def bias(self, length: int) -> jax.Array:
        """What every block adds to its scores: (1, heads, L, L)."""
        rows = widened(self.distance(buckets(length))).T  # (heads, 2 L - 1)
        return skewed(jnp.broadcast_to(rows[:, None], (len(rows), length, rows.shape[1])))[None]


class Encoder(encoder.Encoder):
    """MPNet without a head; see `encoder.Encoder`."""

    def setup(self) -> None:
        self.embed = Embed(self.variant, self.dtype)

    def stage(self, name: str) -> RunnableStage:
        """As in `Backbone`; the blocks also get the bias."""
        if name == "embed":
            return self.embed
        if name == "pool":
            return Pool(self.variant, self.dtype, name=name)
        return partial(Block(self.variant, self.dtype, name=name), bias=self.embed.bias)


FAMILY = Family(
    "mpnet",
    LAYERS,
    KEYS,
    VARIANTS,
    MASKED,
    classifies=False,
    encoder=Encoder,
    must={"relative_attention_num_buckets": BUCKETS, "pad_token_id": 1},
)
build, names, adapt, infer, describe = FAMILY.build, FAMILY.names, FAMILY.adapt, FAMILY.infer, FAMILY.describe
variant_of, unpooled = FAMILY.variant_of, FAMILY.unpooled
masked_names, has_masked_head = FAMILY.masked_names, FAMILY.has_masked_head
