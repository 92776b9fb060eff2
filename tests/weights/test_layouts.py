"""Layouts: there and back exactly, and the shapes under which tensors are published."""

import numpy as np
import pytest

from tljax.weights import layouts

SHAPES = {
    "same": ((2, 3), (2, 3)),
    "conv": ((5, 4, 3, 2), (2, 3, 5, 4)),  # HWIO here, OIHW there
    "conv over tokens": ((5, 3, 2), (2, 3, 5)),  # LIO here, OIL there
    "dense": ((3, 2), (2, 3)),
    "dense on map": ((5, 4, 3, 2), (2, 60)),
    "dense as 1x1": ((3, 2), (1, 1, 3, 2)),
    "dense as conv": ((3, 2), (2, 3, 1, 1)),
    "channels": ((3,), (3, 1, 1)),
}


@pytest.mark.parametrize("layout", layouts.TO_OURS)
def test_there_and_back(layout):
    shape, published = SHAPES[layout]
    ours = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    theirs = layouts.to_theirs(ours, layout)
    assert theirs.shape == layouts.published_shape(shape, layout) == published
    assert theirs.flags.c_contiguous and not np.shares_memory(theirs, ours)
    np.testing.assert_array_equal(layouts.to_ours(theirs, layout, shape), ours)


def test_a_dense_layer_on_a_map_counts_channels_first():
    ours = np.zeros((2, 2, 3, 1), np.float32)
    ours[1, 0, 2, 0] = 1
    assert layouts.to_theirs(ours, "dense on map").nonzero()[1] == [2 * 4 + 1 * 2 + 0]
