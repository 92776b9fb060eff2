"""One window for a picture and its label: crop, pad, flip and resize move both alike."""

import jax
import numpy as np
import pytest

from configs import default
from tljax.core.types import IGNORED, NO_BOX, Card, Info
from tljax.data import pictures, preprocess

PLAIN = Card(mean=(0.0,), std=(1.0,), scale=1.0)  # pixels as they are
RNG = np.random.default_rng(0)
N, SIDE = 40, 12
DRAWS = {
    "flip": {"flip": True},
    "pad": {"pad": 3, "flip": True},
    "crop": {"crop": 8, "size": 8, "flip": True},
    "crop, enlarged": {"crop": 6, "size": 12, "flip": True},
}


def prepared(image, label, kind, *, train=True, **changes):
    config = default.get_config().data
    config.update(**({"size": SIDE} | changes))
    prepare = preprocess.make(config, Card(**{**PLAIN.as_dict(), "interpolation": "nearest"}), image.shape[1:], kind)
    batch = {"image": image, "label": label, "position": np.arange(len(image), dtype=np.int32)}
    found = jax.jit(prepare, static_argnums=2)(batch, jax.random.key(0), train)
    return np.asarray(found["inputs"]), np.asarray(found["label"])


def maps(number=N):
    """Maps of 1 to 9, and pictures that show the same numbers."""
    label = RNG.integers(1, 10, (number, SIDE, SIDE)).astype(np.uint8)
    return label[..., None], label


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", DRAWS)
def test_a_map_shows_what_the_picture_shows(name, train):
    """Beyond the edge the picture is black, 0, and the map does not count."""
    found, label = prepared(*maps(), "maps", train=train, **DRAWS[name])
    assert label.dtype == np.uint8
    np.testing.assert_array_equal(np.where(label == IGNORED, 0, label), found[..., 0])
    assert (label == IGNORED).any() == (name == "pad" and train)


def test_a_map_keeps_to_a_resized_crop():
    """On a ramp every pixel says where it is: the map's value is within a pixel of what the picture shows."""
    rows, columns = np.mgrid[:32, :32].astype(np.uint8)
    for label in (rows, columns):
        label = np.repeat(label[None], N, 0)
        found, moved = prepared(label[..., None], label, "maps", min_area=0.2, flip=True, size=32)
        assert np.abs(found[..., 0] - moved).max() < 1.01
        assert len({one.tobytes() for one in moved}) > N / 2


@pytest.mark.parametrize("name", DRAWS)
def test_boxes_keep_to_what_they_hold(name):
    """A picture is bright in its box alone: what is seen of the brightness is the box that comes out."""
    image, boxes = np.zeros((N, SIDE, SIDE, 1), np.uint8), np.zeros((N, 2, 5), np.float32)
    boxes[:, 1, 4] = NO_BOX
    for i in range(N):
        top, left = RNG.integers(0, 8, 2)
        boxes[i, 0] = top, left, top + 4, left + 3, i % 3
        image[i, top : top + 4, left : left + 3] = 1
    found, moved = prepared(image, boxes, "boxes", **DRAWS[name])
    for bright, (box, nothing), number in zip(found[..., 0], moved, range(N), strict=True):
        assert nothing.tolist() == [0, 0, 0, 0, NO_BOX]
        rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
        if not len(rows):
            assert box.tolist() == [0, 0, 0, 0, NO_BOX]
            continue
        np.testing.assert_allclose(box[:4], [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1], atol=1e-4)
        assert box[4] == number % 3


def test_other_labels_stay_as_they_are():
    label = np.arange(N, dtype=np.int32)
    _, found = prepared(maps()[0], label, "classes", flip=True)
    assert (found == label).all()


@pytest.mark.parametrize("shape", [(40, 52), (52, 40), (33, 80)])
def test_decoding_fits_a_label_as_it_fits_the_picture(shape):
    """To a shorter side of 20 and the central square: a bright rectangle stays where its map and its box are."""
    box = np.array([[6, 10, 26, 34, 1]], np.float32)
    label = np.zeros(shape, np.uint8)
    label[6:26, 10:34] = 1
    image = pictures.fit(np.repeat(label[..., None] * 255, 3, -1), 20)[..., 0]
    mapped = pictures.fit_label(label, 20, shape, "maps")
    assert mapped.shape == (20, 20) and set(np.unique(mapped)) <= {0, 1}
    assert (mapped == (image > 127)).mean() > 0.97
    (found,) = pictures.fit_label(box, 20, shape, "boxes")
    rows, columns = np.flatnonzero((image > 127).any(1)), np.flatnonzero((image > 127).any(0))
    np.testing.assert_allclose(found[:4], [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1], atol=0.6)
    assert pictures.filled_boxes(found[None], 3)[1:].tolist() == [[0, 0, 0, 0, NO_BOX]] * 2


@pytest.mark.parametrize(
    ("kind", "label", "message"),
    [
        ("maps", np.full((4, 5), 3, np.uint8), r"hold 0 to 1 \(a, b\), or 255 .*; it holds 3 too"),
        ("maps", np.zeros((5, 4), np.uint8), r"must be \(4, 5\) uint8, .* it is \(5, 4\) uint8"),
        ("maps", np.zeros((4, 5)), "it is .* float64"),
        ("boxes", np.array([[0, 0, 4, 6, 0]]), r"inside its 4 x 5 pixels.*not so \[\[0, 0, 4, 6, 0\]\]"),
        ("boxes", np.array([[2, 1, 2, 3, 0]]), "top < bottom"),
        ("boxes", np.array([[0, 0, 4, 5, 2]]), "of the classes 0 to 1"),
        ("boxes", np.zeros((2, 4)), r"must be \(n, 5\) finite numbers; they are \(2, 4\)"),
    ],
)
def test_a_label_that_does_not_fit_is_told(kind, label, message):
    with pytest.raises(ValueError, match=message):
        pictures.checked_label(label, (4, 5), Info(("a", "b"), "here", labels=kind))
