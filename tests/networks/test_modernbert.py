"""ModernBERT: names, sizes, what a config.json may say. Its numbers: test_parity_modernbert.py."""

import dataclasses
import math

import numpy as np
import pytest

from tljax.core.errors import ConfigError
from tljax.core.trees import flatten
from tljax.networks.families import modernbert
from tljax.networks.modern.encoder import Variant
from tljax.networks.network import Network
from tljax.tasks import classification
from tljax.weights import layouts, placement

PARAMETERS = {"base": 149_014_272, "large": 394_781_696}  # of transformers' ModernBertModel
SMALL = Variant(8, 2, 4, 6, vocabulary=20, positions=30, window=4)
CONFIG = modernbert.describe(SMALL, ())


def tokens(length):
    ids = np.arange(2 * length, dtype=np.int32).reshape(2, length) % 20
    return {"ids": ids, "mask": np.ones(ids.shape, bool), "types": np.zeros_like(ids)}


def arrays_of(shape):
    leaves = flatten(placement.shapes(Network(modernbert.build(shape), classification.head(3)), tokens(8))["params"])
    rows = modernbert.names(shape)
    assert sorted(leaves) == sorted(row.path for row in rows)
    assert len({row.published for row in rows}) == len(rows)
    sizes = {row.published: layouts.published_shape(leaves[row.path].shape, row.layout) for row in rows}
    return {name: np.broadcast_to(np.float32(0), size) for name, size in sizes.items()}


@pytest.mark.parametrize("variant", PARAMETERS)
def test_the_table_names_every_parameter_once(variant):
    arrays = arrays_of(modernbert.VARIANTS[variant])
    assert sum(math.prod(x.shape) for name, x in arrays.items() if name[:5] == "model") == PARAMETERS[variant]
    assert modernbert.infer(arrays, None) == modernbert.VARIANTS[variant]


def test_a_config_tells_the_sizes_in_both_ways():
    arrays = arrays_of(SMALL)
    assert modernbert.infer(arrays, CONFIG) == SMALL
    newer = {key: x for key, x in CONFIG.items() if "rope" not in key and "every" not in key}
    newer |= {"layer_types": ["full_attention", "sliding_attention"] * 2,
              "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 7.0}}}  # fmt: skip
    assert modernbert.infer(arrays, newer) == dataclasses.replace(SMALL, every=2, global_theta=7.0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"attention_bias": True}, "attention_bias True, not False"),
        ({"layer_types": ["full_attention"] * 2 + ["sliding_attention"] * 2}, r"layer_types \['full_attention'"),
        ({"rope_parameters": {"full_attention": {"rope_type": "yarn"}}}, "rope_type 'yarn'"),
    ],
)
def test_another_modernbert_is_refused(change, said):
    with pytest.raises(ConfigError, match=f"not built here: {said}"):
        modernbert.infer(arrays_of(SMALL), CONFIG | change)


def test_a_word_beyond_the_window_is_seen_by_no_local_block():
    """Of one global block and a local one, a vector changes with a far word by the global block alone."""
    network = Network(modernbert.build(dataclasses.replace(SMALL, depth=2)), classification.head(3))
    variables, x = placement.init(network, tokens(12), seed=0), tokens(12)
    hidden = network.apply(variables, x, method=lambda net, x: net.backbone(x, stop="block0"))
    changed = {**hidden, "hidden": np.asarray(hidden["hidden"]).copy()}
    changed["hidden"][:, 3, 0] += 1.0

    def local(x):
        return np.asarray(
            network.apply(variables, x, method=lambda net, x: net.backbone(x, start="block1", stop="block1"))["hidden"]
        )

    moved = np.abs(local(changed) - local(hidden)).max(axis=(0, 2)) > 0
    assert moved.nonzero()[0].tolist() == [1, 2, 3, 4, 5]


def test_sizes_that_are_not_built_are_refused():
    with pytest.raises(ConfigError, match="no pooler, no dropout and an even head width"):
        dataclasses.replace(SMALL, pooling="pooler")
