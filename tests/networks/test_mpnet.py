"""MPNet: its parameters, sizes and buckets of distances. Its numbers: test_parity_mpnet.py."""

import dataclasses

import numpy as np
import pytest

from tljax.core.errors import ConfigError
from tljax.core.trees import count, flatten
from tljax.data.inputs import tokens
from tljax.networks.families import mpnet
from tljax.networks.network import Network
from tljax.tasks import classification
from tljax.weights import placement

SMALL = mpnet.Variant(8, 2, 2, 12, vocabulary=20, positions=30)


def test_the_table_names_every_parameter_once():
    shapes = placement.shapes(Network(mpnet.build("base_pooler"), classification.head(3)), tokens.example())["params"]
    rows = mpnet.names("base_pooler")
    assert sorted(flatten(shapes)) == sorted(row.path for row in rows)
    assert len({row.published for row in rows}) == len(rows)
    assert count(shapes["backbone"]) == 109_486_464  # of transformers' MPNetModel


def test_a_config_tells_the_sizes_and_another_network_is_refused():
    said = mpnet.describe(SMALL, ())
    assert mpnet.infer({}, said) == SMALL
    with pytest.raises(ConfigError, match="relative_attention_num_buckets '64', not '32'"):
        mpnet.infer({}, said | {"relative_attention_num_buckets": 64})
    with pytest.raises(ConfigError, match="missing: pad_token_id"):
        mpnet.infer({}, {key: x for key, x in said.items() if key != "pad_token_id"})


def test_near_distances_have_a_bucket_of_their_own_and_far_ones_share():
    found = dict(zip(range(-200, 201), mpnet.buckets(201).tolist(), strict=True))
    assert [found[d] for d in range(8)] == [0, *range(17, 24)]
    assert [found[-d] for d in range(8)] == [*range(8)]
    assert (found[8], found[16], found[-16], found[127], found[128], found[-200]) == (24, 26, 10, 31, 31, 15)


def test_the_bias_of_query_and_key_is_that_of_their_distance():
    network = Network(mpnet.build(dataclasses.replace(SMALL, depth=1)), classification.head(3))
    variables = placement.init(network, tokens.example(), seed=0)
    table = np.asarray(variables["params"]["backbone"]["embed"]["distance"]["embedding"])
    bias = network.apply(variables, method=lambda net: net.backbone.embed.bias(5))
    expected = [[table[mpnet.buckets(5)[4 + key - query]] for key in range(5)] for query in range(5)]
    np.testing.assert_array_equal(bias, np.moveaxis(np.array(expected), 2, 0)[None])
