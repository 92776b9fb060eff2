"""Swin Transformer: its tables, sizes and windows. Its numbers, against torchvision and timm: tests/parity."""

import dataclasses

import numpy as np
import pytest
from reference import draw
from reference import vgg_convnext as shared

from tljax.core.errors import ConfigError
from tljax.core.trees import count, flatten
from tljax.networks.families import swin
from tljax.weights import placement

# What torchvision's documentation of the weights prints as num_params.
PARAMETERS = {"tiny": 28_288_354, "small": 49_606_258, "base": 87_768_224}
TINY = swin.Variant(8, (2, 2), (1, 2), window=3)


@pytest.mark.parametrize("variant", PARAMETERS)
def test_name_table_covers_every_variable_once_and_counts_are_the_published_ones(variant):
    network = shared.network(swin, variant)
    rows, tree = swin.names(variant), shared.shapes(network)
    paths = {(collection, path) for collection in tree for path in flatten(tree[collection])}
    assert {(row.collection, row.path) for row in rows} == paths
    assert len(rows) == len(paths) == len({row.published for row in rows})
    assert count(tree["params"]) == PARAMETERS[variant]
    assert network.backbone.stages == ("embed", "stage1", "stage2", "stage3", "stage4", "norm")


@pytest.mark.parametrize("variant", [*PARAMETERS, TINY])
def test_sizes_show_in_the_tensors(variant):
    published = shared.published_shapes(swin, shared.network(swin, variant))
    arrays = {name: np.broadcast_to(np.float32(0), shape) for name, shape in published.items()}
    assert swin.infer(arrays, None) == swin.variant_of(variant)


@pytest.fixture(scope="module")
def placed():
    network = shared.network(swin, TINY)
    arrays = draw.weights(shared.published_shapes(swin, network))
    return network, arrays, shared.placed(swin, network, arrays)


def test_place_and_publish_are_inverse_and_the_buffers_of_places_are_added(placed):
    _, arrays, variables = placed
    back = placement.publish(variables, swin.names(TINY))
    assert {name: x.tobytes() for name, x in back.items()} == {name: x.tobytes() for name, x in arrays.items()}
    added = {name: x for name, x in swin.as_published(back).items() if name not in back}
    assert len(added) == sum(TINY.blocks) and all(name.endswith("relative_position_index") for name in added)
    assert {tuple(x) for x in added.values()} == {tuple(swin.distances(3).reshape(-1))}


def test_maps_of_any_size(placed):
    network, _, variables = placed
    found = shared.outputs(network, variables, draw.image((2, 45, 61, 3)))
    shapes = [found[stage].shape[1:] for stage in ("embed", "stage1", "stage2", "norm")]
    assert shapes == [(11, 15, 8), (11, 15, 8), (6, 8, 16), (6, 8, 16)]


def test_a_patch_sees_its_window_and_in_the_next_block_the_shifted_one(placed):
    """A map of 6 x 6 patches in windows of 3, shifted by 1; what is moved to the other edge is no neighbour."""
    network, _, variables = placed
    x = np.random.default_rng(0).normal(size=(1, 6, 6, 8)).astype(np.float32)

    changed = x.copy()
    changed[0, 0, 0] += np.arange(8)

    def stage(x):
        return network.apply(variables, x, method=lambda net, x: net.backbone(x, start="stage1", stop="stage1"))

    moved = np.abs(np.asarray(stage(changed) - stage(x))).max(-1)[0] > 0
    # The first window is rows 0 to 2; of them the second block's windows are row 0, and rows 1 to 3.
    np.testing.assert_array_equal(moved, np.logical_and.outer(np.arange(6) < 4, np.arange(6) < 4))


def test_pairs_that_were_no_neighbours_are_masked():
    together = swin.together((6, 6), 3, (1, 1))
    assert together.shape == (4, 9, 9) and together[0].all()
    rows = np.arange(9) // 3  # of the last window: rows 4, 5 and, from the other edge, 0
    edge = np.where(rows == 2, 1, 0) * 2 + (np.arange(9) % 3 == 2)
    np.testing.assert_array_equal(together[3], edge[:, None] == edge[None])
    assert swin.together((3, 6), 3, (0, 1))[0].all()


def test_heads_must_divide_the_width():
    with pytest.raises(ConfigError, match=r"a number of heads that divides its width; got heads \(3, 2\)"):
        dataclasses.replace(TINY, heads=(3, 2))
