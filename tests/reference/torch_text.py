"""transformers' torch text encoders, every stage's output with them. Imported only where torch is."""

from typing import Any

import torch
import transformers
from reference import draw, torch_vision
from torch import Tensor, nn

torch_vision.declare()  # before any network of transformers is imported
from transformers.models.deberta_v2 import modeling_deberta_v2  # noqa: E402
from transformers.models.electra import modeling_electra  # noqa: E402

FAMILIES = {"bert": "base", "roberta": "base", "distilbert": "base", "electra": "small", "deberta": "base"}
# Sizes that the stored and the live tests have in common, in the words of tljax.
NARROW = {"width": 32, "heads": 4, "depth": 2, "units": 48, "vocabulary": 50, "positions": 24}
OWN = {"electra": {"embedding": 16}, "deberta": {"buckets": 8}}  # so few buckets that distances share some
TYPED = ("bert", "electra")  # those that tell kinds of segments apart
# What the published network of that size changes in the defaults of its config.
PUBLISHED = {
    "roberta": {"max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5},
    "deberta": {
        "hidden_size": 768,
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
        "intermediate_size": 3072,
        "relative_attention": True,
        "position_buckets": 256,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": "p2c|c2p",
        "position_biased_input": False,
        "legacy": False,
    },
}
KEYS = {
    "width": ("hidden_size", "dim"),
    "heads": ("num_attention_heads", "n_heads"),
    "depth": ("num_hidden_layers", "n_layers"),
    "units": ("intermediate_size", "hidden_dim"),
    "vocabulary": ("vocab_size", "vocab_size"),
    "positions": ("max_position_embeddings", "max_position_embeddings"),
    "embedding": ("embedding_size", ""),
    "buckets": ("position_buckets", ""),
}
CLASSES = {
    "bert": "Bert",
    "roberta": "Roberta",
    "distilbert": "DistilBert",
    "electra": "Electra",
    "deberta": "DebertaV2",
}


def narrow(family: str) -> dict[str, int]:
    """Sizes of the family's narrow network."""
    return NARROW | OWN.get(family, {})


def config(family: str, **sizes: int) -> Any:
    """transformers' config of the published network, or of one of other sizes."""
    theirs = {KEYS[name][family == "distilbert"]: size for name, size in sizes.items()}
    return getattr(transformers, f"{CLASSES[family]}Config")(**PUBLISHED.get(family, {}) | theirs)


def given(family: str, shape: tuple[int, int]) -> dict[str, Tensor]:
    """Drawn texts (B, L) as torch takes them."""
    tokens = draw.tokens(shape, padding=int(family == "roberta"))
    return {name: torch.from_numpy(array) for name, array in tokens.items()}


class Encoder(nn.Module):
    """{"ids", "mask", "types"} -> ([embed, block0, ..., pool], logits); hidden states (B, L, D) are 0 at padding.

    What the head is given: the output of the pooler or of the classifier's hidden layer, the first token without one.
    """

    def __init__(self, family: str, *, classes: int = 2, **sizes: int):
        super().__init__()
        self.family, made = family, config(family, **sizes)
        made.num_labels = classes
        self.add_module(family, getattr(transformers, f"{CLASSES[family]}Model")(made))
        if family == "deberta":
            self.pooler = modeling_deberta_v2.ContextPooler(made)
        head = modeling_electra.ElectraClassificationHead(made) if family == "electra" else None
        self.classifier = head or nn.Linear(made.hidden_size, classes)

    def forward(self, x: dict[str, Tensor]) -> tuple[list[Tensor], Tensor]:
        types = {"token_type_ids": x["types"]} if self.family in TYPED else {}
        encoder = self.get_submodule(self.family)
        found = encoder(x["ids"], attention_mask=x["mask"].int(), output_hidden_states=True, **types)
        states = [hidden * x["mask"][..., None] for hidden in found.hidden_states]
        first = found.last_hidden_state[:, 0]
        if self.family == "electra":
            pooled = self.classifier.activation(self.classifier.dense(first))
            return [*states, pooled], self.classifier(found.last_hidden_state)
        deberta = self.family == "deberta"
        pooled = self.pooler(found.last_hidden_state) if deberta else found.get("pooler_output", first)
        return [*states, pooled], self.classifier(pooled)
