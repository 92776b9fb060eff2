"""RoBERTa (Liu et al. 2019), and XLM-RoBERTa of 100 languages (Conneau et al. 2020): BERT's network with one segment
type; positions begin after the id of padding.

Hugging Face's naming. The published files hold no pooler, so a text's vector is its first token; "base_mean" takes the
mean over all tokens, "base_normalised" that mean divided by its length, "base_pooler" a pooler, for weights with one.
"""

from tljax.core.types import Record
from tljax.networks.encoder import Variant
from tljax.networks.encoder_family import BERT_KEYS, BERT_LAYERS, Family, pooled

INPUT = "tokens"
# Buffers, the pooler (not needed with another pooling), and the heads of pretraining, classification and answering.
UNUSED = (
    r"roberta\.embeddings\.(position_ids|token_type_ids)",
    r"roberta\.pooler\.dense\.(weight|bias)",
    r"lm_head\..*",
    r"classifier\.(dense|out_proj)\..*",
    r"qa_outputs\..*",
)
SHARED: Record = {"vocabulary": 50_265, "positions": 514, "types": 1, "padding": 1, "epsilon": 1e-5}
XLM: Record = {**SHARED, "vocabulary": 250_002}
VARIANTS = pooled(
    {
        "base": Variant(768, 12, 12, 3072, **SHARED),
        "large": Variant(1024, 16, 24, 4096, **SHARED),
        "xlm_base": Variant(768, 12, 12, 3072, **XLM),
        "xlm_large": Variant(1024, 16, 24, 4096, **XLM),
    }
)
MASKED = {
    "dense": "lm_head.dense",
    "norm": "lm_head.layer_norm",
    "bias": "lm_head.bias",
    "decoder": "lm_head.decoder.weight",
}
KEYS = {**BERT_KEYS, "padding": "pad_token_id"}
# XLM-RoBERTa is this network with other words; it is exported as a RoBERTa.
FAMILY = Family("roberta", BERT_LAYERS, KEYS, VARIANTS, MASKED, classifies=False, also=("xlm-roberta",))
build, names, adapt, infer, describe = FAMILY.build, FAMILY.names, FAMILY.adapt, FAMILY.infer, FAMILY.describe
variant_of, unpooled = FAMILY.variant_of, FAMILY.unpooled
masked_names, has_masked_head = FAMILY.masked_names, FAMILY.has_masked_head
