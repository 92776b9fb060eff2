"""DistilBERT (Sanh et al. 2019): half of BERT's blocks, no segment types and no pooler.

Hugging Face's naming. A text's vector is its first token; "base_mean" takes the mean over all tokens,
"base_normalised" that mean divided by its length.
"""

from tljax.networks.encoder import Variant
from tljax.networks.encoder_family import Family, pooled

INPUT = "tokens"
# Buffers, and the heads of pretraining, classification and question answering.
UNUSED = (r"distilbert\.embeddings\.position_ids", r"vocab_.*", r"pre_classifier\..*", r"qa_outputs\..*")
# As BERT_LAYERS and BERT_KEYS of encoder_family.py.
LAYERS = {
    "embed/word": "embeddings.word_embeddings",
    "embed/position": "embeddings.position_embeddings",
    "embed/norm": "embeddings.LayerNorm",
    "block{i}/attention/query": "transformer.layer.{i}.attention.q_lin",
    "block{i}/attention/key": "transformer.layer.{i}.attention.k_lin",
    "block{i}/attention/value": "transformer.layer.{i}.attention.v_lin",
    "block{i}/attention/out": "transformer.layer.{i}.attention.out_lin",
    "block{i}/norm1": "transformer.layer.{i}.sa_layer_norm",
    "block{i}/mlp/fc1": "transformer.layer.{i}.ffn.lin1",
    "block{i}/mlp/fc2": "transformer.layer.{i}.ffn.lin2",
    "block{i}/norm2": "transformer.layer.{i}.output_layer_norm",
}
KEYS = {
    "width": "dim",
    "heads": "n_heads",
    "depth": "n_layers",
    "units": "hidden_dim",
    "vocabulary": "vocab_size",
    "positions": "max_position_embeddings",
    "dropout": "dropout",
    "attention_dropout": "attention_dropout",
}
VARIANTS = pooled({"base": Variant(768, 12, 6, 3072, types=0)}, ("class", "mean", "normalised", "class_normalised"))
MASKED = {
    "dense": "vocab_transform",
    "norm": "vocab_layer_norm",
    "bias": "vocab_projector.bias",
    "decoder": "vocab_projector.weight",
}
FAMILY = Family("distilbert", LAYERS, KEYS, VARIANTS, MASKED, classifies=False)
build, names, adapt, infer, describe = FAMILY.build, FAMILY.names, FAMILY.adapt, FAMILY.infer, FAMILY.describe
variant_of, unpooled = FAMILY.variant_of, FAMILY.unpooled
masked_names, has_masked_head = FAMILY.masked_names, FAMILY.has_masked_head
