"""Pictures that keep their proportions: fitted in whole, padded; maps and boxes go along."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from tljax.core.errors import ConfigError
from tljax.core.types import IGNORED, Card
from tljax.data import pictures, preprocess

CARD = Card(mean=(0.0,) * 3, std=(1 / 255,) * 3)
SETTINGS = {"resize": 0, "crop": 0, "size": 0, "pad": 0, "min_area": 0.0, "flip": False, "augment": True, "channels": 3}


def settings(**changes):
    return ConfigDict({**SETTINGS, "shape": (8, 12), **changes})


@pytest.mark.parametrize(
    ("whole", "part"), [((16, 24), (8, 12)), ((40, 20), (8, 4)), ((4, 24), (2, 12)), ((3, 900), (1, 12))]
)
def test_a_picture_lies_whole_in_the_shape_and_its_labels_with_it(whole, part):
    image = np.full((*whole, 3), 200, np.uint8)
    fitted = pictures.fit_into(image, (8, 12))
    assert fitted.shape == (8, 12, 3) and pictures.inside(whole, (8, 12)) == part
    assert (fitted[: part[0], : part[1]] == 200).all() and fitted.sum() == 200 * 3 * part[0] * part[1]
    label = pictures.label_into(np.ones(whole, np.uint8), (8, 12), whole, "maps")
    assert (label == 1).sum() == part[0] * part[1] and (label == IGNORED).sum() == 96 - part[0] * part[1]
    box = pictures.label_into(np.array([[0, 0, *whole, 1]], np.float32), (8, 12), whole, "boxes")
    assert box.tolist() == [[0, 0, *part, 1]]


def test_maps_move_with_rectangles_through_crop_scale_and_flip():
    """Every pixel of a picture holds its class, so that after any window picture and map must agree."""
    rng = np.random.default_rng(0)
    label = np.repeat(np.repeat(rng.integers(0, 3, (5, 4, 6)), 2, 1), 2, 2).astype(np.uint8)
    image = np.repeat(label[..., None] * 100, 3, -1).astype(np.uint8)
    batch = {"image": jnp.asarray(image), "label": jnp.asarray(label), "position": jnp.arange(5)}
    prepare = preprocess.make(settings(flip=True, min_area=0.3), CARD, (8, 12, 3), "maps")
    found = prepare(batch, jax.random.key(0), True)
    assert found["inputs"].shape == (5, 8, 12, 3) and found["label"].shape == (5, 8, 12)
    seen, moved = np.asarray(found["inputs"])[..., 0] / 100, np.asarray(found["label"])
    sure = np.abs(seen - seen.round()) < 0.05  # not between two classes
    assert sure.mean() > 0.5 and (seen.round()[sure] == moved[sure]).mean() > 0.97
    assert (moved != label).any()
    same = prepare(batch, jax.random.key(0), False)
    np.testing.assert_array_equal(same["label"], label)
    np.testing.assert_allclose(same["inputs"], image, atol=1e-3)


def test_shapes_and_squares_do_not_go_together():
    with pytest.raises(ConfigError, match=r"fits whole pictures into 8 x 12 pixels"):
        preprocess.sizes(settings(resize=9), CARD)
    assert preprocess.sizes(settings(), CARD) == (12, 0, 12, (8, 12))
    assert preprocess.example(settings(), CARD).shape == (1, 8, 12, 3)
