"""ModernBERT against transformers: every block and the output, texts longer than the window, padding."""

import json
from types import SimpleNamespace
from typing import Any

import flax.linen as nn
import numpy as np
import pytest

from tests.parity.test_parity_vit import above
from tests.parity.test_parity_vit_parts import drawn
from tljax.core.types import Card, Published
from tljax.networks.families import modernbert
from tljax.networks.network import Network
from tljax.weights import placement, pretrained

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="torch is not installed; `make parity` installs it")
transformers = pytest.importorskip("transformers", reason="transformers is not installed; `make parity` installs it")

SIZES = {"hidden_size": 24, "num_attention_heads": 3, "num_hidden_layers": 5, "intermediate_size": 20,
         "vocab_size": 60, "max_position_embeddings": 40, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
         "cls_token_id": 1, "sep_token_id": 2}  # fmt: skip


@pytest.mark.parametrize(("window", "every", "length"), [(6, 3, 23), (4, 2, 9), (64, 3, 17)])
def test_every_block_and_the_output(window, every, length):
    config = transformers.ModernBertConfig(**SIZES, local_attention=window, global_attn_every_n_layers=every)
    module = drawn(transformers.ModernBertModel(config))
    arrays = {name: tensor.numpy().copy() for name, tensor in module.state_dict().items()}
    published = Published(arrays, Card(mean=(), std=()), "a file", json.loads(module.config.to_json_string()))
    asked = SimpleNamespace(family="modernbert", variant="auto", prefix="")
    variant, published, _ = pretrained.understood(modernbert, asked, published)
    shape = modernbert.variant_of(variant)
    assert (shape.window, shape.every, shape.global_theta, shape.local_theta) == (window, every, 160_000, 10_000)
    lengths = np.array([length, 5, 2])
    mask = np.arange(length) < lengths[:, None]
    ids = np.random.default_rng(0).integers(3, 60, mask.shape).astype(np.int32)
    x: dict[str, Any] = {"ids": ids, "mask": mask, "types": np.zeros_like(ids)}
    net = Network(modernbert.build(variant), nn.Dense(2))
    adapted = Published(modernbert.adapt(published.arrays), published.card, published.where)
    table = modernbert.names(variant)
    variables, _ = placement.start(net, x, seed=0, published=adapted, names=table, unused=modernbert.UNUSED)
    found: dict[str, np.ndarray] = {}
    y: Any = x
    for stage in net.backbone.stages:
        y = net.apply(variables, y, method=lambda net, y, stage=stage: net.backbone(y, start=stage, stop=stage))
        found[stage] = np.asarray(y) if stage == "pool" else np.asarray(y["hidden"])[mask]
    with torch.inference_mode():
        output = module(torch.tensor(ids), attention_mask=torch.tensor(mask), output_hidden_states=True)
    hidden = [states.numpy()[mask] for states in output.hidden_states]
    expected = {"embed": hidden[0]} | {f"block{i}": states for i, states in enumerate(hidden[1:5])}
    expected["pool"] = output.last_hidden_state[:, 0].numpy()
    assert above(1e-5, {name: found[name] for name in expected}, expected, f"window {window}, {length} tokens") == {}
    exported = placement.publish(variables, [row for row in table if row.path.startswith("backbone")])
    ids_of = {key: number for key, number in SIZES.items() if key.endswith("_id")}
    again = transformers.ModernBertModel(transformers.ModernBertConfig(**modernbert.describe(variant, ()), **ids_of))
    again.load_state_dict({name.removeprefix("model."): torch.tensor(x) for name, x in exported.items()}, strict=True)
    with torch.inference_mode():
        last = again.eval()(torch.tensor(ids), attention_mask=torch.tensor(mask)).last_hidden_state
    np.testing.assert_array_equal(last.numpy(), output.last_hidden_state.numpy())
