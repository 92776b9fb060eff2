"""Boxes go into the network's input and back into the picture: the way back is that of the way there."""

import numpy as np
import pytest

from tljax.data import pictures, preprocess
from tljax.data.boxes import placing

BOX = np.array([[80, 120, 110, 150, 1]], np.float32)


@pytest.mark.parametrize("shape", [(200, 260), (260, 240), (190, 900)])
@pytest.mark.parametrize("crop", [0, 56])
def test_back_from_resize_crop_and_size(shape, crop):
    sizes = {"resize": 64, "crop": crop, "size": 96}
    box = BOX.copy()
    box[:, [1, 3]] += shape[1] // 2 - 130
    stored = pictures.fit_label(box, 64, shape, "boxes")
    window = preprocess.centre_window(64, crop or 64)
    seen = preprocess.of_boxes(stored, window, 96)
    np.testing.assert_allclose(placing.in_picture(np.asarray(seen), sizes, shape), box, atol=1e-3)


def test_back_from_a_picture_that_is_fitted_in_whole():
    seen = pictures.label_into(BOX, (96, 128), (200, 300), "boxes")
    np.testing.assert_allclose(placing.in_picture(seen, {"shape": [96, 128]}, (200, 300)), BOX, atol=1e-3)
