"""RegNet: its tables and sizes. Its numbers, against torchvision and timm: tests/parity."""

import numpy as np
import pytest
from reference import draw
from reference import vgg_convnext as shared

from tljax.core.errors import ConfigError
from tljax.core.trees import count, flatten
from tljax.networks.families import regnet
from tljax.weights import placement

# What torchvision's documentation of the weights prints as num_params.
PARAMETERS = {"y_400mf": 4_344_144, "y_800mf": 6_432_512, "y_1_6gf": 11_202_430, "y_3_2gf": 19_436_338,
              "y_8gf": 39_381_472, "y_16gf": 83_590_140, "x_400mf": 5_495_976}  # fmt: skip
TINY = regnet.Variant((1, 2), (16, 24), (8, 8), stem=8)


@pytest.mark.parametrize("variant", PARAMETERS)
def test_name_table_covers_every_variable_once_and_counts_are_the_published_ones(variant):
    network = shared.network(regnet, variant)
    rows, tree = regnet.names(variant), shared.shapes(network)
    paths = {(collection, path) for collection in tree for path in flatten(tree[collection])}
    assert {(row.collection, row.path) for row in rows} == paths
    assert len(rows) == len(paths) == len({row.published for row in rows})
    assert count(tree["params"]) == PARAMETERS[variant]
    assert network.backbone.stages == ("stem", "stage1", "stage2", "stage3", "stage4")


@pytest.mark.parametrize("variant", [*PARAMETERS, TINY])
def test_sizes_show_in_the_tensors(variant):
    published = shared.published_shapes(regnet, shared.network(regnet, variant))
    arrays = {name: np.broadcast_to(np.float32(0), shape) for name, shape in published.items()}
    assert regnet.infer(arrays, None) == regnet.variant_of(variant)


def test_place_and_publish_are_inverse_and_every_stage_halves_the_map():
    network = shared.network(regnet, TINY)
    arrays = draw.weights(shared.published_shapes(regnet, network))
    variables = shared.placed(regnet, network, arrays)
    back = placement.publish(variables, regnet.names(TINY))
    assert {name: x.tobytes() for name, x in back.items()} == {name: x.tobytes() for name, x in arrays.items()}
    found = shared.outputs(network, variables, draw.image((2, 45, 61, 3)))
    shapes = [found[stage].shape[1:] for stage in ("stem", "stage1", "stage2")]
    assert shapes == [(23, 31, 8), (12, 16, 16), (6, 8, 24)]


def test_unknown_variant_lists_those_that_exist():
    with pytest.raises(ConfigError, match=r"'regnet' must be one of y_400mf, .*; got 'z_500mf'"):
        regnet.build("z_500mf")
