"""MobileNetV4: its tables and sizes. Its numbers, against timm: tests/parity."""

import dataclasses
import json

import numpy as np
import pytest
from reference import draw
from reference import vgg_convnext as shared

from tljax.core.errors import ConfigError
from tljax.core.trees import count, flatten
from tljax.networks.families import mobilenet_v4
from tljax.networks.families.mobilenet_v4 import SMALL, Sizes
from tljax.weights import placement

TINY = mobilenet_v4.Variant(
    8,
    ((Sizes(8, 3, 2), Sizes(8, 1)), (Sizes(12, inner=24, stride=2, start=5, middle=3), Sizes(12, inner=24, start=3))),
    16,
)


def test_name_table_covers_every_variable_once_and_the_count_is_the_published_one():
    network = shared.network(mobilenet_v4, "conv_small")
    rows, tree = mobilenet_v4.names("conv_small"), shared.shapes(network)
    paths = {(collection, path) for collection in tree for path in flatten(tree[collection])}
    assert {(row.collection, row.path) for row in rows} == paths
    assert len(rows) == len(paths) == len({row.published for row in rows})
    assert count(tree["params"]) == 3_774_024  # of timm's mobilenetv4_conv_small
    assert network.backbone.stages == ("stem", "stage1", "stage2", "stage3", "stage4", "stage5", "top")


@pytest.mark.parametrize("shape", [SMALL, TINY], ids=["conv_small", "tiny"])
def test_sizes_show_in_the_tensors_and_are_read_back_from_json(shape):
    published = shared.published_shapes(mobilenet_v4, shared.network(mobilenet_v4, shape))
    arrays = {name: np.broadcast_to(np.float32(0), shape) for name, shape in published.items()}
    assert mobilenet_v4.infer(arrays, None) == shape
    assert mobilenet_v4.variant_of(json.loads(json.dumps(dataclasses.asdict(shape)))) == shape


def test_place_and_publish_are_inverse_and_maps_of_any_size():
    network = shared.network(mobilenet_v4, TINY)
    arrays = draw.weights(shared.published_shapes(mobilenet_v4, network))
    variables = shared.placed(mobilenet_v4, network, arrays)
    back = placement.publish(variables, mobilenet_v4.names(TINY))
    assert {name: x.tobytes() for name, x in back.items()} == {name: x.tobytes() for name, x in arrays.items()}
    found = shared.outputs(network, variables, draw.image((2, 45, 61, 3)))
    shapes = [found[stage].shape[1:] for stage in ("stem", "stage1", "stage2", "top")]
    assert shapes == [(23, 31, 8), (12, 16, 8), (6, 8, 12), (16,)]


def test_unknown_variant_lists_those_that_exist():
    with pytest.raises(ConfigError, match=r"'mobilenet_v4' must be one of conv_small; got 'conv_huge'"):
        mobilenet_v4.build("conv_huge")
