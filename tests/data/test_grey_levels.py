"""Pictures of more than 8 bits: black and white by their number of bits or by a window, never 17 levels in silence."""

import io

import numpy as np
import pytest
from PIL import Image

from tljax.data import pictures
from tljax.data.picture import grey_levels
from tljax.data.picture.grey_levels import Levels

RAMP = np.linspace(0, 4095, 24 * 20).round().astype(np.uint16).reshape(24, 20)


def encode(values: np.ndarray, kind: str = "TIFF", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, kind, **options)
    return buffer.getvalue()


def read(data: bytes, window: tuple[float, ...] = (), channels: int = 1) -> np.ndarray:
    """A picture as a run reads it that has no other."""
    image = pictures.decode(data, channels=channels)
    levels = grey_levels.known(image, window) or grey_levels.of([grey_levels.span(image)])
    return grey_levels.eight_bits(image, levels, channels)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_twelve_bits_in_sixteen_keep_every_level(kind):
    found = read(encode(RAMP, kind))
    np.testing.assert_array_equal(found[..., 0], (RAMP / 4095 * 255).round())
    assert len(np.unique(found)) == 256


def test_levels_are_the_bits_that_all_pictures_fill():
    assert grey_levels.of([(3, 900), (0, 4012)]) == Levels(0, 4095)
    assert grey_levels.of([(0, 4012), (0, 40_000)]) == Levels(0, 65_535)
    assert grey_levels.of([(61_500, 65_535)]) == Levels(61_440, 65_535)  # twelve bits, stored as a negative
    assert grey_levels.of([(0, 0)]) == Levels(0, 1)
    assert grey_levels.of([]) is None


def white_is_zero(values: np.ndarray) -> bytes:
    """A TIFF whose tag 262, PhotometricInterpretation, is 0: 0 is white."""
    data = encode(values)
    entry = b"\x06\x01\x03\x00\x01\x00\x00\x00"
    assert data.count(entry + b"\x01") == 1
    return data.replace(entry + b"\x01", entry + b"\x00")


@pytest.mark.parametrize("scale", [1, 16])
def test_white_is_zero_comes_out_upright(scale):
    """Of 16 bits, and of 12 of them."""
    found = read(white_is_zero(RAMP * scale))
    np.testing.assert_allclose(found[..., 0], 255 - RAMP / 4095 * 255, atol=1)
    grey = (RAMP // 16).astype(np.uint8)
    np.testing.assert_array_equal(pictures.decode(white_is_zero(grey), channels=1)[..., 0], 255 - grey)


def signed(values: np.ndarray) -> bytes:
    """A TIFF of signed 16 bits: tag 339, SampleFormat, is 2."""
    data = encode(values.astype("<i2").view("<u2"), tiffinfo={339: 1})
    entry = b"\x53\x01\x03\x00\x01\x00\x00\x00"
    assert data.count(entry + b"\x01") == 1
    return data.replace(entry + b"\x01", entry + b"\x02")


def test_signed_values_need_a_window_and_are_called_what_they_are():
    data = signed(np.linspace(-1000, 3000, 480).round().astype(np.int16).reshape(24, 20))
    with pytest.raises(
        ValueError, match=r"^16-bit signed values \(-1000 to 3000\) have no standard white: set config.data"
    ):
        read(data)
    found = read(data, (-1000, 3000))
    assert (found[0, 0, 0], found[-1, -1, 0]) == (0, 255) and (np.diff(found[..., 0].ravel().astype(int)) >= 0).all()
    assert read(data, (0, 100)).min() == 0  # what lies outside is cut off


def test_a_pgm_of_sixteen_bits_is_no_picture_of_32():
    header, values = b"P5\n20 24\n65535\n", (RAMP * 16).astype(">u2")
    found = read(header + values.tobytes())
    np.testing.assert_array_equal(found[..., 0], (RAMP * 16.0 / 65_535 * 255).round())


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_transparency_of_sixteen_bits_is_kept(channels):
    values = np.array([[0, 30_000], [59_000, 65_535]], np.uint16)
    found = read(encode(values, "PNG", transparency=30_000), channels=channels)
    assert found[..., 0].tolist() == ([[0, 117], [230, 255]] if channels == 4 else [[0, 255], [230, 255]])
    if channels == 4:
        assert found[..., 3].tolist() == [[255, 0], [255, 255]]


def test_floats_need_a_window_and_must_be_finite():
    data = encode(np.array([[0.0, 1.0]], np.float32))
    with pytest.raises(ValueError, match="32-bit floating-point values"):
        read(data)
    assert read(data, (0, 1)).tolist() == [[[0], [255]]]
    with pytest.raises(ValueError, match="not finite"):
        read(encode(np.array([[0.0, np.nan]], np.float32)), (0, 1))


def test_what_is_asked_of_a_run_must_lie_in_its_range():
    image = pictures.decode(encode(RAMP), channels=1)
    with pytest.raises(ValueError, match=r"its values \(0 to 4095\) lie outside the 0 to 255 of the run's pictures"):
        grey_levels.eight_bits(image, Levels(0, 255), 1)
    with pytest.raises(ValueError, match="its 16-bit values reach 4095 of 65535, and white is unknown"):
        grey_levels.eight_bits(image, None, 1)  # the run saw pictures of 8 bits alone


def test_sixteen_bit_colours_that_would_lose_their_levels_are_refused():
    """Pillow keeps the upper byte alone of them."""
    import zlib

    def png(values: np.ndarray) -> bytes:
        rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
        chunks = ((b"IHDR", np.array(values.shape[1::-1], ">u4").tobytes() + bytes([16, 2, 0, 0, 0])),
                  (b"IDAT", zlib.compress(rows)), (b"IEND", b""))  # fmt: skip
        packed = (len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")
                  for name, body in chunks)  # fmt: skip
        return b"\x89PNG\r\n\x1a\n" + b"".join(packed)

    colours = np.repeat(RAMP[..., None], 3, axis=-1)
    with pytest.raises(ValueError, match="16-bit colours whose values stay below 4096"):
        pictures.decode(png(colours))
    np.testing.assert_array_equal(pictures.decode(png(colours * 16)), colours * 16 // 256)


def test_the_shared_cases(shared):
    root = shared / "cases" / "pictures"
    for name in ("g12in16.png", "g12in16.tif", "pgm16.pgm"):
        assert len(np.unique(read((root / name).read_bytes()))) == 60
    upright = pictures.read(root / "whiteiszero8.tif", channels=1)[..., 0].astype(int)
    assert upright[0, 0] == 0 and (np.diff(upright, axis=1) >= 0).all()
    with pytest.raises(ValueError, match="16-bit signed"):
        read((root / "i16signed.tif").read_bytes())
    assert (read((root / "g16_trns.png").read_bytes()) == 255).any()
