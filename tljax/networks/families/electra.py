"""ELECTRA (Clark et al. 2020): BERT's network without a pooler; "small" has embeddings of half the network's width.

Hugging Face's naming. A text's vector is its first token. "base_mean" takes the mean over all tokens,
"base_normalised" that mean divided by its length. In "base_pooler" the stage pool is the hidden layer of the published
classifier (dense, GELU); files of `ElectraForSequenceClassification` hold it, files of discriminators do not. With
those, `model.copied_stages` of 13 (embed and 12 blocks) initialises this layer at random. For generators,
`model.variant` "auto" reads the sizes.
"""

import dataclasses

from tljax.networks import encoder
from tljax.networks.encoder_family import BERT_KEYS, BERT_LAYERS, Family, pooled

INPUT = "tokens"
# Buffers, the classifier's hidden layer (not needed with another pooling), and the heads of pretraining
# (discriminator, generator) and of question answering.
UNUSED = (
    r"electra\.embeddings\.(position_ids|token_type_ids)",
    r"classifier\.(dense|out_proj)\..*",
    r"discriminator_predictions\..*",
    r"generator_(predictions|lm_head)\..*",
    r"qa_outputs\..*",
)
LAYERS = {**BERT_LAYERS, "embed/project": "embeddings_project", "pool/dense": "/classifier.dense"}


@dataclasses.dataclass(frozen=True)
class Variant(encoder.Variant):
    """Sizes of one published network."""

    activation: str = "gelu"


VARIANTS = pooled(
    {
        "small": Variant(256, 4, 12, 1024, embedding=128),
        "base": Variant(768, 12, 12, 3072, embedding=768),
        "large": Variant(1024, 16, 24, 4096, embedding=1024),
    }
)
MASKED = {
    "dense": "generator_predictions.dense",
    "norm": "generator_predictions.LayerNorm",
    "bias": "generator_lm_head.bias",
    "decoder": "generator_lm_head.weight",
}
KEYS = {**BERT_KEYS, "embedding": "embedding_size"}
FAMILY = Family("electra", LAYERS, KEYS, VARIANTS, MASKED, pooled_head="classifier.out_proj")
build, names, adapt, infer, describe = FAMILY.build, FAMILY.names, FAMILY.adapt, FAMILY.infer, FAMILY.describe
variant_of, unpooled = FAMILY.variant_of, FAMILY.unpooled
masked_names, has_masked_head = FAMILY.masked_names, FAMILY.has_masked_head
