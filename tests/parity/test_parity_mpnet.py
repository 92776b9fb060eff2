"""MPNet against transformers: the buckets of distances, every block, and what is exported is loaded there."""

import json
from typing import Any

import flax.linen as nn
import numpy as np
import pytest
from ml_collections import ConfigDict

from tests.parity.test_parity_vit import above
from tests.parity.test_parity_vit_parts import drawn
from tljax.core.types import Card, Published
from tljax.networks.families import mpnet
from tljax.networks.network import Network
from tljax.weights import placement, pretrained

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="torch is not installed; `make parity` installs it")
transformers = pytest.importorskip("transformers", reason="transformers is not installed; `make parity` installs it")

SIZES = {"hidden_size": 24, "num_attention_heads": 3, "num_hidden_layers": 2, "intermediate_size": 40,
         "vocab_size": 60, "max_position_embeddings": 200, "layer_norm_eps": 1e-5, "pad_token_id": 1}  # fmt: skip


def test_the_buckets_of_distances():
    encoder = transformers.models.mpnet.modeling_mpnet.MPNetEncoder
    distances = torch.arange(-511, 512)
    np.testing.assert_array_equal(mpnet.buckets(512), encoder.relative_position_bucket(distances).numpy())


@pytest.mark.parametrize("length", [150, 7])
def test_every_block_and_the_output(length):
    module = drawn(transformers.MPNetModel(transformers.MPNetConfig(**SIZES), add_pooling_layer=False))
    arrays = {name: tensor.numpy().copy() for name, tensor in module.state_dict().items()}
    published = Published(arrays, Card(mean=(), std=()), "a file", json.loads(module.config.to_json_string()))
    asked = ConfigDict({"family": "mpnet", "variant": "auto", "prefix": ""})
    variant, published, _ = pretrained.understood(mpnet, asked, published)
    mask = np.arange(length) < np.array([[length], [5], [2]])
    ids = np.where(mask, np.random.default_rng(0).integers(3, 60, mask.shape), 1).astype(np.int32)
    x: dict[str, Any] = {"ids": ids, "mask": mask, "types": np.zeros_like(ids)}
    net, table = Network(mpnet.build(variant), nn.Dense(2)), mpnet.names(variant)
    adapted = Published(mpnet.adapt(published.arrays), published.card, published.where)
    variables, _ = placement.start(net, x, seed=0, published=adapted, names=table, unused=mpnet.UNUSED)
    found: dict[str, np.ndarray] = {}
    y: Any = x
    for stage in net.backbone.stages[:-1]:
        y = net.apply(variables, y, method=lambda net, y, stage=stage: net.backbone(y, start=stage, stop=stage))
        found[stage] = np.asarray(y["hidden"])[mask]
    with torch.inference_mode():
        output = module(torch.tensor(ids), attention_mask=torch.tensor(mask), output_hidden_states=True)
    names = ("embed", "block0", "block1")
    expected = {name: states.numpy()[mask] for name, states in zip(names, output.hidden_states, strict=True)}
    assert above(1e-5, found, expected, f"MPNet, {length} tokens") == {}
    exported = placement.publish(variables, [row for row in table if row.path.startswith("backbone")])
    config = transformers.MPNetConfig(**mpnet.describe(variant, ()))
    again = transformers.MPNetModel(config, add_pooling_layer=False)
    again.load_state_dict({name.removeprefix("mpnet."): torch.tensor(x) for name, x in exported.items()}, strict=True)
    with torch.inference_mode():
        last = again.eval()(torch.tensor(ids), attention_mask=torch.tensor(mask)).last_hidden_state
    np.testing.assert_array_equal(last.numpy(), output.last_hidden_state.numpy())
