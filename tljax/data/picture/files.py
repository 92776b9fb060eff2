"""Picture files: their orientation, and JPEG decoding that refuses damaged pixels."""

import contextlib
import re
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image

LOOKED_AT = 500  # pictures whose headers are read, from all over the set
JPEG = frozenset({"JPEG", "MPO"})  # MPO: a JPEG with more JPEGs after it
COLOURS = {"L": "GRAY", "RGB": "RGB"}  # PIL's modes of a JPEG -> simplejpeg's
# libjpeg's warnings (jerror.h) that mean lost pixels. Its other warnings are about bytes that do not affect pixels.
DAMAGE = re.compile(
    "premature end|bad Huffman code|bad arithmetic code|instead of RST|inconsistent progression", re.IGNORECASE
)
ORIENTATION = 0x0112  # the EXIF tag; 1 is upright
INTEGERS = {1: "B", 3: "H", 4: "I"}  # EXIF's types of whole numbers: BYTE, SHORT, LONG
# EXIF 2.3, section 4.6.4: orientation -> the change that makes the pixels (H, W, C) upright.
UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.transpose(1, 0, 2),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].transpose(1, 0, 2),
    8: lambda x: np.rot90(x, 1),
}


def with_header(paths: Sequence[Path], holds: Callable[[Image.Image], bool]) -> tuple[int, list[Path]]:
    """(The number of pictures whose headers were read, those of them for which `holds` is true): `LOOKED_AT` at most,
    evenly chosen. A damaged file is none of them; it is named when it is read.
    """
    some = paths[:: max(1, -(-len(paths) // LOOKED_AT))]
    return len(some), [path for path in some if _header_holds(path, holds)]


def _header_holds(path: Path, holds: Callable[[Image.Image], bool]) -> bool:
    try:
        with Image.open(path) as image:
            return holds(image)
    except Exception:  # decoders raise many kinds for damaged files
        return False


def upright(array: np.ndarray, image: Image.Image) -> np.ndarray:
    """The pixels (H, W, C) of the loaded `image`, made upright by the file's orientation; PIL does it for a TIFF."""
    turn = 1 if image.format == "TIFF" else orientation(image)
    return np.ascontiguousarray(UPRIGHT.get(turn, UPRIGHT[1])(array))


def orientation(image: Image.Image) -> int:
    """The EXIF orientation; 1 if there is none. Other tags are not read."""
    if isinstance(exif := image.info.get("exif"), bytes):
        return _tag(exif.removeprefix(b"Exif\0\0"))
    with contextlib.suppress(Exception):  # PIL raises many kinds for damaged XMP and text
        return int(image.getexif().get(ORIENTATION, 1))
    return 1


def _tag(exif: bytes) -> int:
    """The orientation in a TIFF structure (TIFF 6.0, section 2); 1 if it cannot be read."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    with contextlib.suppress(struct.error):  # it ends too early
        begin = struct.unpack_from(f"{order}I", exif, 4)[0] if order else len(exif)
        for entry in range(struct.unpack_from(f"{order}H", exif, begin)[0] if order else 0):
            at = begin + 2 + 12 * entry
            tag, kind = struct.unpack_from(f"{order}HH", exif, at)
            if tag == ORIENTATION and kind in INTEGERS:
                return struct.unpack_from(f"{order}{INTEGERS[kind]}", exif, at + 8)[0]
    return 1


def jpeg(data: bytes, image: Image.Image) -> np.ndarray:
    """The pixels of a JPEG, (H, W, C) uint8 in its own colours, or RGB for CMYK; not made upright.

    simplejpeg is faster than PIL, and strict: any warning of libjpeg is an error. PIL ignores all warnings. If
    simplejpeg refuses a file, the file is refused if pixels are lost, and else decoded by PIL.

    Args:
      image: the same file, opened by PIL.

    Raises:
      ValueError: pixels are lost, or the file ends before its end marker.
    """
    colours = COLOURS.get(image.mode)
    if colours:
        with contextlib.suppress(ValueError):
            return simplejpeg.decode_jpeg(data, colorspace=colours, fastdct=False, fastupsample=False)
    try:
        simplejpeg.decode_jpeg(_pixels_alone(data), colorspace=colours or "CMYK")
    except ValueError as error:
        if DAMAGE.search(str(error)):
            raise
    array = np.asarray(image if colours else image.convert("RGB"))
    return array[..., None] if array.ndim == 2 else array


def _pixels_alone(data: bytes) -> bytes:
    """A JPEG without metadata and without bytes between its segments (ITU T.81, annex B).

    libjpeg reports only its first warning: one about metadata would hide that pixels are lost.
    """
    kept, at = [data[:2]], 2
    while (at := data.find(b"\xff", at)) >= 0 and at + 4 <= len(data):
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:  # start of scan: pixels from here on
            return b"".join((*kept, data[at:]))
        if marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD9:  # fill bytes, and markers without a length
            at += 1
            continue
        metadata = 0xE0 <= marker <= 0xEF or marker == 0xFE  # APP0 to APP15, comments
        kept += [] if metadata else [data[at : at + 2 + length]]
        at += 2 + length
    return data
