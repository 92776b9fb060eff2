"""BERT (Devlin et al. 2018), the small BERTs of Turc et al. 2019, MiniLM of six and twelve blocks (Wang et al. 2020).

Hugging Face's naming. By default a variant has its published pooling: BERT's pooler, MiniLM's mean. "base_class",
"base_mean", "base_normalised", "base_class_normalised" and "base_pooler" choose the pooling: the first token, the mean
over all tokens, that mean or the first token divided by its length, or the pooler.
"minilm_l12_multi" has the words of XLM-RoBERTa.
"""

from tljax.networks.encoder import Variant
from tljax.networks.encoder_family import BERT_KEYS, BERT_LAYERS, Family, pooled

INPUT = "tokens"
# Buffers, the pooler (not needed with another pooling), and the heads of pretraining and of question answering.
UNUSED = (
    r"bert\.embeddings\.(position_ids|token_type_ids)",
    r"bert\.pooler\.dense\.(weight|bias)",
    r"cls\..*",
    r"qa_outputs\..*",
)
VARIANTS = pooled(
    {
        "base": Variant(768, 12, 12, 3072, pooling="pooler"),
        "large": Variant(1024, 16, 24, 4096, pooling="pooler"),
        "mini": Variant(256, 4, 4, 1024, pooling="pooler"),
        "tiny": Variant(128, 2, 2, 512, pooling="pooler"),
        "minilm_l6": Variant(384, 12, 6, 1536, pooling="mean"),
        "minilm_l12": Variant(384, 12, 12, 1536, pooling="mean"),
        "minilm_l12_multi": Variant(384, 12, 12, 1536, vocabulary=250_037, pooling="mean"),
    }
)
MASKED = {
    "dense": "cls.predictions.transform.dense",
    "norm": "cls.predictions.transform.LayerNorm",
    "bias": "cls.predictions.bias",
    "decoder": "cls.predictions.decoder.weight",
}
FAMILY = Family("bert", BERT_LAYERS, BERT_KEYS, VARIANTS, MASKED)
build, names, adapt, infer, describe = FAMILY.build, FAMILY.names, FAMILY.adapt, FAMILY.infer, FAMILY.describe
variant_of, unpooled = FAMILY.variant_of, FAMILY.unpooled
masked_names, has_masked_head = FAMILY.masked_names, FAMILY.has_masked_head
