"""XLM-RoBERTa against transformers: every block, and what is exported is loaded there."""

import json
from types import SimpleNamespace
from typing import Any

import flax.linen as nn
import numpy as np
import pytest

from tests.parity.test_parity_vit import above
from tests.parity.test_parity_vit_parts import drawn
from tljax.core.types import Card, Published
from tljax.networks.families import roberta
from tljax.networks.network import Network
from tljax.weights import placement, pretrained

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="torch is not installed; `make parity` installs it")
transformers = pytest.importorskip("transformers", reason="transformers is not installed; `make parity` installs it")

SIZES = {"hidden_size": 24, "num_attention_heads": 3, "num_hidden_layers": 2, "intermediate_size": 40,
         "vocab_size": 60, "max_position_embeddings": 30, "type_vocab_size": 1}  # fmt: skip


@pytest.mark.parametrize("length", [19, 7])
def test_every_block_and_the_output(length):
    module = drawn(transformers.XLMRobertaModel(transformers.XLMRobertaConfig(**SIZES), add_pooling_layer=False))
    arrays = {name: tensor.numpy().copy() for name, tensor in module.state_dict().items()}
    published = Published(arrays, Card(mean=(), std=()), "a file", json.loads(module.config.to_json_string()))
    variant, published, _ = pretrained.understood(
        roberta, SimpleNamespace(family="roberta", variant="auto", prefix=""), published
    )
    mask = np.arange(length) < np.array([[length], [5], [2]])
    ids = np.where(mask, np.random.default_rng(0).integers(3, 60, mask.shape), 1).astype(np.int32)
    x: dict[str, Any] = {"ids": ids, "mask": mask, "types": np.zeros_like(ids)}
    net = Network(roberta.build(variant), nn.Dense(2))
    adapted = Published(roberta.adapt(published.arrays), published.card, published.where)
    variables, _ = placement.start(
        net, x, seed=0, published=adapted, names=roberta.names(variant), unused=roberta.UNUSED
    )
    found: dict[str, np.ndarray] = {}
    y: Any = x
    for stage in net.backbone.stages[:-1]:
        y = net.apply(variables, y, method=lambda net, y, stage=stage: net.backbone(y, start=stage, stop=stage))
        found[stage] = np.asarray(y["hidden"])[mask]
    with torch.inference_mode():
        output = module(torch.tensor(ids), attention_mask=torch.tensor(mask), output_hidden_states=True)
    names = ("embed", "block0", "block1")
    expected = {name: states.numpy()[mask] for name, states in zip(names, output.hidden_states, strict=True)}
    assert above(1e-5, found, expected, f"XLM-RoBERTa, {length} tokens") == {}
