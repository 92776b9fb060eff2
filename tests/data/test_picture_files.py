"""Files of pictures with odd metadata or with damage: one rule, whatever the colours and the orientation."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from tljax.data import pictures
from tljax.data.picture import files

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (24, 32, 3), np.uint8)


def jpeg(mode: str = "RGB", *, orientation: int = 1, **options) -> bytes:
    """A JPEG of noise, (24, 32) pixels."""
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[files.ORIENTATION] = orientation
    Image.fromarray(NOISE).convert(mode).save(buffer, "JPEG", quality=90, exif=exif, **options)
    return buffer.getvalue()


def pillow(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


REMARKS = {
    "bytes before the end": lambda data: data[:-2] + bytes(60) + data[-2:],
    "bytes before a table": lambda data: data.replace(b"\xff\xdb", b"\0\0\xff\xdb", 1),
    "JFIF 0.00": lambda data: data.replace(b"JFIF\0\1\1", b"JFIF\0\0\0"),
    "bytes behind the end": lambda data: data + b"MPF" + bytes(500),
    "a comment": lambda data: data[:2] + b"\xff\xfe\0\4ab" + data[2:],
}
DAMAGE = {
    "cut off": lambda data: data[: len(data) // 2],
    "no end": lambda data: data[:-2],
    "cut inside, then an end": lambda data: data[: len(data) * 3 // 4] + b"\xff\xd9",
    "a remark before damage": lambda data: (
        data.replace(b"JFIF\0\1\1", b"JFIF\0\0\0")[: len(data) * 3 // 4] + b"\xff\xd9"
    ),
}


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("name", REMARKS)
def test_remarks_of_libjpeg_change_no_pixel(name, mode):
    plain = jpeg(mode)
    odd = REMARKS[name](plain)
    assert odd != plain
    np.testing.assert_array_equal(pictures.decode(odd), pillow(odd))
    np.testing.assert_array_equal(pictures.decode(odd), pictures.decode(plain))


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("name", DAMAGE)
def test_lost_pixels_are_refused_whatever_the_colours_and_the_orientation(name, mode, orientation):
    data = jpeg(mode, orientation=orientation)
    assert pictures.decode(data).shape == ((32, 24, 3) if orientation == 6 else (24, 32, 3))
    with pytest.raises(ValueError, match="not a whole picture"):
        pictures.decode(DAMAGE[name](data))


def exif(*entries: tuple[int, int, int, bytes], order: str = "<") -> bytes:
    """An EXIF block with these entries: tag, type, count, value."""
    body = b"".join(struct.pack(f"{order}HHI", *entry[:3]) + entry[3].ljust(4, b"\0") for entry in entries)
    return b"Exif\0\0" + (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(entries)) + body


TURN = (0x0112, 3, 1, struct.pack("<H", 6))
ODD = {
    "nothing else": (TURN,),
    "a rational over zero that points outside": (TURN, (0x011A, 10, 1, struct.pack("<I", 60_000))),
    "a SHORT beyond its range": (TURN, (0x0128, 4, 1, struct.pack("<I", 70_000))),
    "a type that is none": ((0x010F, 99, 7, b"\xff" * 4), TURN),
    "a count beyond memory": ((0x010E, 2, 2**32 - 1, b"\xff" * 4), TURN),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of tags that nobody needs
def test_a_picture_is_turned_by_its_tag_alone(name, kind):
    buffer = io.BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    Image.fromarray(NOISE).save(buffer, kind, exif=exif(*ODD[name]), **options)
    found = pictures.decode(buffer.getvalue())
    assert found.shape == (32, 24, 3)
    assert np.abs(found.astype(int) - np.rot90(NOISE, -1)).max() <= (12 if kind == "JPEG" else 0)  # JPEG loses some


@pytest.mark.parametrize("block", [b"", b"II", b"II*\0", b"II*\0\xff\xff\xff\xff", b"XX*\0\x08\0\0\0\1\0", b"Exif\0\0"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_metadata_that_ends_early_turns_nothing(block):
    data = jpeg()
    segment = b"Exif\0\0" + block
    odd = data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]
    assert pictures.decode(odd).shape == (24, 32, 3)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_mutated_files_are_read_or_refused():
    """Whatever a decoder meets, there is no other error."""
    refused = 0
    for kind in ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "PPM"):
        buffer = io.BytesIO()
        Image.fromarray(NOISE).save(buffer, kind, exif=exif(TURN)) if kind in ("JPEG", "PNG") else Image.fromarray(
            NOISE
        ).save(buffer, kind)
        for _ in range(60):
            data = bytearray(buffer.getvalue())
            for at in RNG.integers(0, min(len(data), 300), 3):
                data[at] = RNG.integers(256)
            try:
                pictures.decode(bytes(data), most=10_000_000)
            except ValueError:
                refused += 1
    assert 30 < refused < 330


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_shared_cases(shared):
    """Every file does what the README beside it says."""
    root = shared / "cases"
    plain = pictures.read(root / "pictures" / "plain.jpg")
    for name in ("extraneous_before_eoi", "extraneous_before_dqt", "jfif_0_00", "motorola_mpf_trailing"):
        np.testing.assert_array_equal(pictures.read(root / "pictures" / f"{name}.jpg"), plain)
    with pytest.raises(ValueError, match="not a whole picture: Premature end"):
        pictures.read(root / "pictures" / "missing_eoi.jpg")
    for file in sorted((root / "exif").iterdir()):
        stored = Image.open(file).size  # (W, H)
        assert pictures.read(file).shape == (*stored, 3)
