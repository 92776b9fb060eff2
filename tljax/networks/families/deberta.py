"""DeBERTa from version 2 on, DeBERTa-v3 (He et al. 2021, arXiv:2006.03654 and 2111.09543): attention by distance.

Hugging Face's naming. A text's vector is its first token. "base_mean" takes the mean over all tokens,
"base_normalised" that mean divided by its length. In "base_pooler" the stage pool is the hidden layer of the published
classifier (dense, GELU); files of `DebertaV2ForSequenceClassification` hold it, pretrained files do not. With those,
`model.copied_stages` of 13 (embed and 12 blocks; 7 for "small") initialises this layer at random.
"""

from collections.abc import Sequence

from tljax.core.types import Record, VariantLike
from tljax.networks import encoder_family
from tljax.networks.disentangled import Encoder, Variant
from tljax.networks.encoder_family import BERT_KEYS, BERT_LAYERS, Family, pooled

INPUT = "tokens"
# Buffers, the classifier's hidden layer (not needed with another pooling), and the heads of pretraining (of words, and
# of replaced tokens) and of question answering.
UNUSED = (
    r"deberta\.embeddings\.(position_ids|position_embeddings\.weight)",
    r"pooler\.dense\.(weight|bias)",
    r"lm_predictions\..*",
    r"mask_predictions\..*",
    r"qa_outputs\..*",
)
OWN = {
    "embed/distance": "encoder.rel_embeddings",
    "embed/distance_norm": "encoder.LayerNorm",
    "block{i}/attention/query": "encoder.layer.{i}.attention.self.query_proj",
    "block{i}/attention/key": "encoder.layer.{i}.attention.self.key_proj",
    "block{i}/attention/value": "encoder.layer.{i}.attention.self.value_proj",
    "block{i}/attention/distance_key": "encoder.layer.{i}.attention.self.pos_key_proj",
    "block{i}/attention/distance_query": "encoder.layer.{i}.attention.self.pos_query_proj",
    "block0/conv": "encoder.conv.conv",
    "block0/norm3": "encoder.conv.LayerNorm",
    "pool/dense": "/pooler.dense",
}
LAYERS = {ours: theirs for ours, theirs in (BERT_LAYERS | OWN).items() if ours != "embed/position"}
# Field of `Variant` -> its key in config.json: first the keys that have a default in transformers, then BERT's.
DEFAULTED = {
    "buckets": "position_buckets",
    "furthest": "max_relative_positions",
    "kinds": "pos_att_type",
    "shared": "share_att_key",
    "distance_norm": "norm_rel_ebd",
    "kernel": "conv_kernel_size",
    "convolution_groups": "conv_groups",
    "convolution_activation": "conv_act",
}
V3: Record = {
    "vocabulary": 128_100,
    "buckets": 256,
    "kinds": "p2c|c2p",
    "shared": True,
    "distance_norm": "layer_norm",
}
VARIANTS = pooled(
    {
        "xsmall": Variant(384, 6, 12, 1536, **V3),
        "small": Variant(768, 12, 6, 3072, **V3),
        "base": Variant(768, 12, 12, 3072, **V3),
        "large": Variant(1024, 16, 24, 4096, **V3),
    }
)
MASKED = {
    "dense": "lm_predictions.lm_head.dense",
    "norm": "lm_predictions.lm_head.LayerNorm",
    "bias": "lm_predictions.lm_head.bias",
    "decoder": "lm_predictions.lm_head.decoder.weight",
}
# The same head under its default name in transformers ("legacy").
OLDER = {**encoder_family.OLDER, r"^cls\.predictions\.(transform\.)?": "lm_predictions.lm_head."}
FAMILY = Family(
    "deberta",
    LAYERS,
    {**BERT_KEYS, **DEFAULTED},
    VARIANTS,
    MASKED,
    encoder=Encoder,
    optional=(*encoder_family.OPTIONAL, "types", *DEFAULTED),
    must={"relative_attention": True, "position_biased_input": False},
    model_type="deberta-v2",
    older=OLDER,
)
build, names, adapt, infer = FAMILY.build, FAMILY.names, FAMILY.adapt, FAMILY.infer
variant_of, unpooled = FAMILY.variant_of, FAMILY.unpooled
masked_names, has_masked_head = FAMILY.masked_names, FAMILY.has_masked_head


def describe(variant: VariantLike, classes: Sequence[str]) -> Record:
    """As the family's `describe`; "legacy" also tells transformers the names of the head over words."""
    return {**FAMILY.describe(variant, classes), "legacy": False}
