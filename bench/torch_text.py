"""BERT as transformers has it on torch, its training step and its logits: what bench/text.py compares with."""

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import nn
from torch.nn import functional

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # as scripts/make_reference_outputs.py does
from reference import torch_vision  # pyright: ignore[reportMissingImports]

torch_vision.declare()  # transformers imports torchvision with each network, where it is installed


class Classifier(nn.Module):
    """BertModel, pooled as a `tljax.encoder.Variant` says, and a linear layer: token ids to logits (B, K)."""

    def __init__(self, shape: Any, classes: int) -> None:
        super().__init__()
        config = transformers.BertConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.width,
            num_hidden_layers=shape.depth,
            num_attention_heads=shape.heads,
            intermediate_size=shape.units,
            hidden_dropout_prob=shape.dropout,
            attention_probs_dropout_prob=shape.attention_dropout,
            max_position_embeddings=shape.positions,
        )
        self.pooling = shape.pooling
        self.bert = transformers.BertModel(config, add_pooling_layer=shape.pooling == "pooler")
        self.head = nn.Linear(shape.width, classes)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        found = self.bert(ids, attention_mask=mask, token_type_ids=types)
        if self.pooling == "pooler":
            return self.head(found.pooler_output)
        if self.pooling == "class":
            return self.head(found.last_hidden_state[:, 0])
        weights = mask[..., None].to(found.last_hidden_state.dtype)
        return self.head((found.last_hidden_state * weights).sum(dim=1) / weights.sum(dim=1))


def steps(
    shape: Any, batch: dict[str, np.ndarray], classes: int, dtype: str, *, train: bool, lr: float, decay: float
) -> Callable[[int], None]:
    """`steps(n)` as bench/timing.py wants it: n updates by AdamW, or n times the logits."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = Classifier(shape, classes).to(device).train(train)
    ids, mask, types = (torch.from_numpy(batch[key]).long().to(device) for key in ("ids", "tokens", "types"))
    labels = torch.from_numpy(batch["label"]).long().to(device)
    adamw = torch.optim.AdamW(network.parameters(), lr, weight_decay=decay)
    reduced = torch.autocast(device, torch.bfloat16) if dtype == "bfloat16" else contextlib.nullcontext()

    def update() -> None:
        adamw.zero_grad(set_to_none=True)
        with reduced:
            loss = functional.cross_entropy(network(ids, mask, types), labels)
        loss.backward()
        adamw.step()

    def logits() -> None:
        with torch.inference_mode(), reduced:
            network(ids, mask, types)

    def run(n: int) -> None:
        for _ in range(n):
            update() if train else logits()
        if device == "cuda":
            torch.cuda.synchronize()

    return run
