"""transformers' torch BERT, RoBERTa and DistilBERT, every stage's output with them. Imported only where torch is."""

from typing import Any

import torch
import transformers
from reference import draw
from torch import Tensor, nn

FAMILIES = ("bert", "roberta", "distilbert")
# Sizes that the stored and the live tests have in common, in the words of tljax.
NARROW = {"width": 32, "heads": 4, "depth": 2, "units": 48, "vocabulary": 50, "positions": 24}
# What roberta-base changes in the defaults of its config.
ROBERTA = {"max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
KEYS = {
    "width": ("hidden_size", "dim"),
    "heads": ("num_attention_heads", "n_heads"),
    "depth": ("num_hidden_layers", "n_layers"),
    "units": ("intermediate_size", "hidden_dim"),
    "vocabulary": ("vocab_size", "vocab_size"),
    "positions": ("max_position_embeddings", "max_position_embeddings"),
}
CLASSES = {"bert": "Bert", "roberta": "Roberta", "distilbert": "DistilBert"}


def config(family: str, **sizes: int) -> Any:
    """transformers' config of the published base network, or of one of other sizes."""
    theirs = {KEYS[name][family == "distilbert"]: size for name, size in sizes.items()}
    known = ROBERTA if family == "roberta" else {}
    return getattr(transformers, f"{CLASSES[family]}Config")(**known | theirs)


def given(family: str, shape: tuple[int, int]) -> dict[str, Tensor]:
    """Drawn texts (B, L) as torch takes them."""
    tokens = draw.tokens(shape, padding=int(family == "roberta"))
    return {name: torch.from_numpy(array) for name, array in tokens.items()}


class Encoder(nn.Module):
    """{"ids", "mask", "types"} -> ([embed, block0, ..., pool], logits); hidden states (B, L, D) are 0 at padding.

    The pooler's output, or the first token where there is none, is what the head is given.
    """

    def __init__(self, family: str, *, classes: int = 2, **sizes: int):
        super().__init__()
        self.family, made = family, config(family, **sizes)
        self.add_module(family, getattr(transformers, f"{CLASSES[family]}Model")(made))
        self.classifier = nn.Linear(made.hidden_size, classes)

    def forward(self, x: dict[str, Tensor]) -> tuple[list[Tensor], Tensor]:
        types = {"token_type_ids": x["types"]} if self.family == "bert" else {}
        encoder = self.get_submodule(self.family)
        found = encoder(x["ids"], attention_mask=x["mask"].int(), output_hidden_states=True, **types)
        pooled = found.get("pooler_output", found.last_hidden_state[:, 0])
        return [*(hidden * x["mask"][..., None] for hidden in found.hidden_states), pooled], self.classifier(pooled)
