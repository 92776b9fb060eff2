"""Rotary positions in two dimensions, by their formula with complex numbers."""

import numpy as np
import pytest
from reference import draw

from tljax.networks import rotary


@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (1, 3), (3, 5)])
def test_centres_are_those_of_patches_in_a_square_of_two(rows, columns):
    found = np.asarray(rotary.centres(rows, columns)).reshape(rows, columns, 2)
    for row in range(rows):
        for column in range(columns):
            y, x = -1 + (2 * row + 1) / rows, -1 + (2 * column + 1) / columns
            np.testing.assert_allclose(found[row, column], (y, x), atol=1e-6)


def test_planes_are_turned_by_y_and_x_and_other_tokens_stay():
    heads, size, before, theta = 2, 8, 3, 100.0
    places = rotary.centres(2, 3)[None].repeat(2, axis=0)
    x = draw.image((2, before + 6, heads, size))
    found = np.asarray(rotary.rotated(x, places, theta))
    np.testing.assert_array_equal(found[:, :before], x[:, :before])
    planes = x[:, before:, :, : size // 2] + 1j * x[:, before:, :, size // 2 :].astype(np.complex128)
    for axis in range(2):
        for k in range(size // 4):
            turn = np.exp(2j * np.pi * np.asarray(places)[:, :, axis] * theta ** (-4 * k / size))
            plane = planes[..., axis * size // 4 + k] * turn[..., None]
            np.testing.assert_allclose(found[:, before:, :, axis * size // 4 + k], plane.real, atol=1e-5)
            np.testing.assert_allclose(found[:, before:, :, size // 2 + axis * size // 4 + k], plane.imag, atol=1e-5)
