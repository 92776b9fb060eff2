"""Pictures that people really have, of the shared cases: each is read right, or named as what it is."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.conftest import SHARED
from tljax.data import pictures
from tljax.data.picture import grey_levels

WHOLE = ("plain.jpg", "extraneous_before_eoi.jpg", "extraneous_before_dqt.jpg", "jfif_0_00.jpg",
         "motorola_mpf_trailing.jpg")  # fmt: skip
REFUSED = {"missing_eoi.jpg": "not a whole picture", "i16signed.tif": "16-bit signed values .* have no standard white"}
DEEP = ("g12in16.png", "g12in16.tif", "pgm16.pgm", "g16_trns.png")  # of 60 levels each
EXIF = ("fuzz_1.jpg", "fuzz_2.jpg", "fuzz_3.jpg", "rational_neg_over_zero.jpg", "short_overflow.jpg")


def shallow(file, channels=3):
    """The picture as uint8, with black and white as a run finds them."""
    found = pictures.read(file, channels=channels)
    if found.dtype == np.uint8:
        return found
    levels = grey_levels.known(found, ()) or grey_levels.of([grey_levels.span(found)])
    return grey_levels.eight_bits(found, levels, channels)


@pytest.mark.parametrize("name", WHOLE)
def test_a_remark_of_the_decoder_is_no_damage(shared, name):
    file = shared / "cases/pictures" / name
    with Image.open(file) as image:
        expected = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(shallow(file) - expected).max() <= 1


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_named(shared, name):
    for channels in (1, 3):
        with pytest.raises(ValueError, match=REFUSED[name]):
            shallow(shared / "cases/pictures" / name, channels)


@pytest.mark.parametrize("name", DEEP)
def test_deep_pictures_keep_their_levels(shared, name):
    file = shared / "cases/pictures" / name
    with Image.open(file) as image:
        assert len(np.unique(np.asarray(image))) == len(np.unique(shallow(file, 1))) == 60


def test_transparency_is_white_and_white_is_zero_is_upright(shared):
    folder = shared / "cases/pictures"
    with Image.open(folder / "g16_trns.png") as image:
        clear = np.asarray(image) == image.info["transparency"]
    assert clear.any() and (shallow(folder / "g16_trns.png")[clear] == 255).all()
    with Image.open(folder / "whiteiszero8.tif") as image:
        expected = np.asarray(image.convert("L"))
    assert (shallow(folder / "whiteiszero8.tif", 1)[..., 0] == expected).all()


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of tags that it skips
@pytest.mark.parametrize("name", EXIF)
def test_odd_tags_turn_a_picture_or_are_named(shared, name):
    raw = (shared / "cases/exif" / name).read_bytes()
    with Image.open(io.BytesIO(raw)) as image:
        flat = np.asarray(image.convert("RGB")).astype(int)
    found = pictures.decode(raw).astype(int)
    assert any(x.shape == found.shape and np.abs(x - found).max() <= 1 for x in (np.rot90(flat, -1), flat))


def test_no_picture_is_left_out():
    if not SHARED.is_dir():
        pytest.skip("the shared cases are not here")
    known = {*WHOLE, *REFUSED, *DEEP, "whiteiszero8.tif"}
    assert {file.name for file in (SHARED / "cases/pictures").iterdir()} == known
    assert {file.name for file in (SHARED / "cases/exif").iterdir()} == set(EXIF)
