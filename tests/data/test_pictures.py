"""Pictures from bytes: upright, 8 bits, whole or refused; scaled with antialiasing."""

import io
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from tljax.core.errors import ConfigError
from tljax.data import pictures

ORIENTATION = 0x0112
RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (24, 20, 3), np.uint8)  # (H, W, C)


def encode(image: Image.Image | np.ndarray, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def smooth(height: int = 24, width: int = 20) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([y * 10, x * 12, (y + x) * 5], -1).astype(np.uint8)


# EXIF orientation -> how the stored pixels come out of the upright ones (EXIF 2.3, section 4.6.4)
STORED = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.transpose(1, 0, 2),
    6: lambda x: np.rot90(x, 1),
    7: lambda x: x[::-1, ::-1].transpose(1, 0, 2),
    8: lambda x: np.rot90(x, -1),
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", STORED)
def test_exif_rotation_is_undone(orientation, kind):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    upright = smooth()
    stored = np.ascontiguousarray(STORED[orientation](upright))
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    found = pictures.decode(encode(stored, kind, exif=exif, **options))
    assert found.shape == upright.shape
    assert np.abs(found.astype(int) - upright).max() <= 4 * (kind == "JPEG")  # what JPEG loses at quality 100


@pytest.mark.parametrize("top", [200, 40_000, 65_535])  # also where every value would fit in 8 bits
def test_sixteen_bits_are_neither_clipped_nor_scaled(top):
    """That waits for the values of the other pictures: see grey_levels.py."""
    values = np.linspace(0, top, 24 * 20).round().astype(np.uint16).reshape(24, 20)
    found = pictures.decode(encode(values))
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, values[..., None])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_over_white(mode):
    if mode == "P":
        image = Image.new("P", (2, 2))
        image.putpalette([10, 20, 30, 40, 50, 60])
        image.putdata([0, 1, 1, 0])
        data = encode(image, transparency=0)
        clear, solid = (255, 255, 255), (40, 50, 60)
    else:
        colour = (40, 50, 60) if mode == "RGBA" else (40,)
        image = Image.new(mode, (2, 2), (*colour, 0))
        image.putpixel((1, 0), (*colour, 255))
        image.putpixel((0, 1), (*colour, 255))
        data, clear, solid = encode(image), (255, 255, 255), colour * (3 // len(colour))
    assert pictures.decode(data).tolist() == [[list(clear), list(solid)], [list(solid), list(clear)]]


def test_half_transparency_mixes():
    found = pictures.decode(encode(Image.new("RGBA", (1, 1), (0, 100, 255, 128))))
    np.testing.assert_allclose(found[0, 0], [127, 177, 255], atol=1)  # alpha is 128 / 255


def test_grey_and_colour_become_what_was_asked_for():
    grey = smooth()[..., 0]
    assert pictures.decode(encode(grey), channels=1).tolist() == grey[..., None].tolist()
    assert pictures.decode(encode(grey)).tolist() == np.repeat(grey[..., None], 3, -1).tolist()
    luma = smooth() @ [0.299, 0.587, 0.114]  # ITU-R BT.601
    np.testing.assert_allclose(pictures.decode(encode(smooth()), channels=1)[..., 0], luma, atol=1)
    for channels in (1, 3):  # grey JPEGs too, and colour ones read as grey
        assert pictures.decode(encode(grey, "JPEG"), channels=channels).shape == (24, 20, channels)
        assert pictures.decode(encode(smooth(), "JPEG"), channels=channels).shape == (24, 20, channels)


def test_palette_and_cmyk():
    image = Image.new("P", (2, 1))
    image.putpalette([1, 2, 3, 40, 50, 60])
    image.putdata([1, 0])
    assert pictures.decode(encode(image)).tolist() == [[[40, 50, 60], [1, 2, 3]]]
    red = Image.new("RGB", (16, 16), (200, 30, 40)).convert("CMYK")
    np.testing.assert_allclose(pictures.decode(encode(red, "JPEG", quality=100))[8, 8], [200, 30, 40], atol=3)


@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_fast_decoder_agrees_with_pillow(channels, subsampling, monkeypatch):
    picture = smooth(33, 47) if channels == 3 else smooth(33, 47)[..., 0]
    data = encode(picture, "JPEG", quality=90, **({"subsampling": subsampling} if channels == 3 else {}))
    fast = pictures.decode(data, channels=channels)
    monkeypatch.setattr(pictures, "FAST", frozenset())
    slow = pictures.decode(data, channels=channels)
    assert fast.shape == slow.shape == (33, 47, channels)
    assert np.abs(fast.astype(int) - slow).max() <= 2  # two builds of libjpeg round differently


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM"])
def test_a_truncated_picture_is_refused(kind):
    data = encode(NOISE, kind)
    for share in (0.0, 0.1, 0.5, 0.9, 0.98):
        with pytest.raises(ValueError, match="not a whole picture"):
            pictures.decode(data[: int(share * len(data))])


def test_what_is_no_picture_is_refused(tmp_path):
    for data in (b"", b"hello", b"<html>not found</html>", b"\xff\xd8\xff\xe0" + bytes(100), b"\x89PNG\r\n\x1a\n"):
        with pytest.raises(ValueError, match="not a whole picture"):
            pictures.decode(data)
    for path, said in ((tmp_path / "absent.png", "there is no such file"), (tmp_path, "cannot be read")):
        with pytest.raises(ValueError, match=said):
            pictures.read(path)


def test_read_is_decode_of_a_file(tmp_path):
    (tmp_path / "a.png").write_bytes(encode(NOISE))
    np.testing.assert_array_equal(pictures.read(tmp_path / "a.png"), NOISE)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest", "lanczos"])
@pytest.mark.parametrize("shape", [(24, 20), (20, 24), (7, 100), (16, 16), (3, 3)])
def test_fit_is_exact_in_size(shape, interpolation):
    for channels in (1, 3):
        image = RNG.integers(0, 256, (*shape, channels), np.uint8)
        assert pictures.fit(image, 16, interpolation=interpolation).shape == (16, 16, channels)
    if shape == (16, 16):
        np.testing.assert_array_equal(pictures.fit(image, 16, interpolation=interpolation), image)


def test_fit_takes_the_central_square():
    image = np.zeros((4, 12, 1), np.uint8)
    image[:, 4:8] = 255
    assert (pictures.fit(image, 4) == 255).all()


def test_fit_antialiases():
    stripes = np.zeros((64, 64, 1), np.uint8)
    stripes[:, ::2] = 255
    found = pictures.fit(stripes, 16)  # every output pixel covers as many black as white ones
    assert np.abs(found[:, 1:-1].astype(int) - 127).max() <= 2  # at the edges a pixel weighs more
    assert set(np.unique(pictures.fit(stripes, 16, interpolation="nearest"))) <= {0, 255}


def test_four_channels_keep_transparency_and_the_colours_under_it():
    values = RNG.integers(0, 256, (6, 5, 4), np.uint8)
    np.testing.assert_array_equal(pictures.decode(encode(values), channels=4), values)
    opaque = pictures.decode(encode(values[..., :3]), channels=4)
    np.testing.assert_array_equal(opaque[..., :3], values[..., :3])
    assert (opaque[..., 3] == 255).all()


def test_four_channels_are_resized_each_by_itself():
    values = RNG.integers(0, 256, (24, 30, 4), np.uint8)
    fitted = pictures.fit(values, 8)
    for i in range(4):
        np.testing.assert_array_equal(fitted[..., i], pictures.fit(values[..., i : i + 1], 8)[..., 0])


def test_bytes_of_no_format_are_said_to_be_so():
    with pytest.raises(ValueError, match=r"^not a whole picture: its 5 bytes are in no known format$"):
        pictures.decode(b"hello")


def test_files_of_pictures_have_one_three_or_four_channels():
    with pytest.raises(ConfigError, match=r"config\.data\.channels must be 1, 3 or 4 for files of pictures; got 5\."):
        pictures.decode(b"", channels=5)


# What a picture may cost


def test_a_strip_is_cut_before_it_is_resized():
    """Resized as a whole, one of 2 x 20,000 pixels would have 224 x 2,240,000."""
    strip = RNG.integers(0, 256, (20_000, 2, 3), np.uint8)
    tracemalloc.start()
    found = pictures.fit(strip, 224)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.shape == (224, 224, 3) and peak < 4 * found.nbytes
    np.testing.assert_array_equal(found, pictures.fit(np.ascontiguousarray(strip[9_990:10_010]), 224))


def test_a_picture_of_many_pixels_is_refused_by_its_header():
    small_file = encode(Image.new("1", (20_000, 9_000)))
    assert len(small_file) < 30_000
    with pytest.raises(ValueError, match=r"20,000 x 9,000 pixels, more than config\.data\.max_pixels \(100,000,000\)"):
        pictures.decode(small_file)
    assert pictures.decode(encode(NOISE), most=480).shape == NOISE.shape
    with pytest.raises(ValueError, match="max_pixels"):
        pictures.decode(encode(NOISE), most=479)


def test_threads_decode_only_so_many_pixels_at_a_time(monkeypatch):
    """Each counts until it leaves its turn; one that is larger than all that may run goes alone."""
    monkeypatch.setattr(pictures, "AT_ONCE", 1_000)
    data, lock, running, most = encode(NOISE), threading.Lock(), [0], [0]

    def work(_: int) -> None:
        with pictures.turn():
            pictures.decode(data)  # 480 pixels
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            time.sleep(0.01)
            with lock:
                running[0] -= 1

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(24)))
    assert most[0] == 2
    monkeypatch.setattr(pictures, "AT_ONCE", 100)
    with ThreadPoolExecutor(6) as pool:
        assert len(list(pool.map(lambda _: pictures.decode(data), range(12)))) == 12
    with pictures.turn():
        assert len([pictures.decode(data) for _ in range(3)]) == 3  # it never waits for itself
    assert pictures._running == [0]
