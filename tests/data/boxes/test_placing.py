"""Boxes go into the network's input and back into the picture: the way back is that of the way there."""

import json

import numpy as np
import pytest

from configs import default
from tljax.core.types import NO_BOX, Card, Info
from tljax.data import pictures, preprocess
from tljax.data.boxes import placing
from tljax.data.decoded_pictures import Pictures
from tljax.data.parts.subsets import Subset

BOX = np.array([[80, 120, 110, 150, 1]], np.float32)


def back(seen, sizes, shape):
    """The boxes of a label, placed as answers with a score."""
    answers = np.concatenate([np.asarray(seen), np.ones((len(seen), 1))], axis=1)
    return placing.in_picture(answers, placing.window(sizes, shape))


@pytest.mark.parametrize("shape", [(200, 260), (260, 240), (190, 900)])
@pytest.mark.parametrize("crop", [0, 56])
def test_back_from_resize_crop_and_size(shape, crop):
    sizes = {"resize": 64, "crop": crop, "size": 96}
    box = BOX.copy()
    box[:, [1, 3]] += shape[1] // 2 - 130
    stored = pictures.fit_label(box, 64, shape, "boxes")
    window = preprocess.centre_window(64, crop or 64)
    seen = preprocess.of_boxes(stored, window, 96)
    np.testing.assert_allclose(back(seen, sizes, shape)[:, :5], box, atol=1e-3)


def test_back_from_a_picture_that_is_fitted_in_whole():
    seen = pictures.label_into(BOX, (96, 128), (200, 300), "boxes")
    np.testing.assert_allclose(back(seen, {"shape": [96, 128]}, (200, 300))[:, :5], BOX, atol=1e-3)


def test_answers_are_cut_at_the_edge_of_the_picture_and_those_beyond_it_are_none():
    """A picture of 10 x 40 fills the upper half of 20 x 40: the lower half is padding."""
    answers = np.array([
        [4, 4, 8, 8, 0, 0.9], [8, 30, 14, 44, 1, 0.8], [12, 4, 18, 8, 0, 0.7], [0, 0, 9, 9, NO_BOX, 0],
    ])  # fmt: skip
    found = placing.in_picture(answers, placing.window({"shape": [20, 40]}, (10, 40)))
    assert found.tolist() == [[4, 4, 8, 8, 0, 0.9], [8, 30, 10, 40, 1, 0.8]]


class Strips:
    """Pictures of 8 x 16 and 8 x 12 with a box at the left and one in the middle; the second is unreadable."""

    labels = None

    def __len__(self):
        return 3

    def __getitem__(self, index):
        if index == 1:
            raise ValueError("cut off")
        width = 16 if index == 0 else 12
        boxes = np.array([[0, 0, 4, 2, 0], [2, 6, 6, 6 + index + 1, 1]], np.float32)[index // 2 :]
        return {"image": np.zeros((8, width, 3), np.uint8), "label": boxes, "id": str(index)}


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_part_knows_all_boxes_of_its_pictures_in_their_own_pixels(in_memory):
    """Also those outside of the square in the middle, which the network does not see."""
    config = default.get_config().data
    config.update(resize=4, size=4, in_memory=in_memory, unreadable="skip")
    subset = Subset(Strips(), np.array([1, 2, 0]), None, info=Info(("a", "b"), "here", labels="boxes"))
    part = Pictures(subset, config, Card((0.5,) * 3, (0.5,) * 3))
    part.rows = part.most
    known = part.known
    assert known["boxes"].tolist() == [
        [[2, 6, 6, 9, 1], [0, 0, 0, 0, NO_BOX]],
        [[0, 0, 4, 2, 0], [2, 6, 6, 7, 1]],
    ]
    assert known["window"].tolist() == [[0, 2, 2, 2, 8, 12], [0, 4, 2, 2, 8, 16]]
    seen = part.take(np.array([1]))["label"][0]
    np.testing.assert_array_equal(
        back(seen[:1], {"resize": 4, "crop": 0, "size": 4}, (8, 16))[:, :5], [[2, 6, 6, 7, 1]]
    )


def test_what_processes_tell_each_other_is_the_same_again():
    """Each decodes its share; after the exchange, by JSON, all know all boxes."""
    sizes = {"shape": [20, 40]}
    one, other, both = (placing.InPictures(sizes) for _ in range(3))
    for position, known in ((0, one), (1, other)):
        boxes = np.array([[0.1, 2, 3, 4, 1]] * position, np.float32).reshape(-1, 5)
        known.add(position, (10, 40), boxes)
        both.add(position, (10, 40), boxes)
    told = [json.loads(json.dumps(list(known.told.items()))) for known in (one, other)]
    for known in (one, other):
        known.put_together(dict(pair for pairs in told for pair in pairs))
        for name, rows in both.rows([0, 1]).items():
            np.testing.assert_array_equal(known.rows([0, 1])[name], rows)
