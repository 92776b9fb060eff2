"""Windows over large pictures: they cover all, overlaps are averaged, and a picture that fits is one window."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from ml_collections import ConfigDict

from tljax.core.errors import ConfigError
from tljax.core.types import Card
from tljax.data import preprocess
from tljax.serving.maps import pixel_maps, tiles

SHAPE = (16, 24)


class Brightness:
    """A predictor: the probability of class 1 is the brightness of the place, of a map half as fine as the window."""

    def __init__(self, number=2, shift=0.0):
        self.windows, self._shift = [], shift
        sizes = {"shape": list(SHAPE), "tiles": number, "channels": 1}
        card = SimpleNamespace(interpolation="bilinear")
        self.model = SimpleNamespace(input=sizes, classes=("dark", "bright"), card=card, told=lambda rows: rows)

    def __call__(self, windows):
        self.windows += windows
        bright = np.stack(windows)[:, ::2, ::2, 0] / 255 + self._shift * np.arange(len(windows))[:, None, None]
        return np.stack([1 - bright, bright], -1).astype(np.float32)


@pytest.mark.parametrize(("length", "window"), [(10, 16), (16, 16), (17, 16), (24, 16), (40, 16), (1000, 7)])
def test_windows_cover_a_side_and_overlap_by_half(length, window):
    found = tiles.starts(length, window)
    assert found[0] == 0 and (length <= window or found[-1] == length - window)
    assert all(0 < after - before <= -(-window // 2) for before, after in itertools.pairwise(found))


def test_every_pixel_of_a_large_picture_gets_the_answer_of_its_place():
    """Blocks of 8 pixels: fitted whole into 16 x 24 they would be 4 pixels, with tiles of 2 they keep their size."""
    rng, one = np.random.default_rng(0), Brightness()
    truth = np.kron(rng.integers(0, 2, (4, 6)), np.ones((8, 8), int)).astype(np.uint8)
    found = tiles.said(one, truth[..., None] * 255)
    assert found.shape == (32, 48) and len(one.windows) == 9
    assert {window.shape for window in one.windows} == {(*SHAPE, 1)}
    inner = np.zeros((8, 8), bool)
    inner[2:6, 2:6] = True
    inner = np.tile(inner, (4, 6))
    np.testing.assert_array_equal(found[inner], truth[inner])


def test_overlaps_are_averaged():
    """Two windows of 0 and 1 over one column: their overlap is 0.5, and the halves beside it 0 and 1."""
    one = Brightness(shift=1.0)
    found = tiles.said(one, np.zeros((16, 36, 1), np.uint8))
    assert len(one.windows) == 2 and (found[:, :12] == 0).all() and (found[:, 24:] == 1).all()


def test_a_picture_that_fits_is_one_window_and_answered_as_without():
    one, image = Brightness(4), np.random.default_rng(1).integers(0, 256, (16, 20, 1), np.uint8)
    found = tiles.said(one, image)
    (window,) = one.windows
    np.testing.assert_array_equal(window[:, :20], image)
    whole = pixel_maps.full_size(Brightness()([window])[0], image.shape[:2], one.model.input)
    np.testing.assert_array_equal(found, whole)


def test_tiles_need_a_shape():
    config = ConfigDict({"shape": (), "resize": 8, "crop": 0, "size": 0, "tiles": 2})
    with pytest.raises(ConfigError, match=r"tiles=2 cuts pictures that are fitted in whole: set config\.data\.shape"):
        preprocess.sizes(config, Card(mean=(0.5,), std=(0.5,)))
