"""Decode one picture from bytes to uint8 (H, W, C): upright, with the channels asked for; a deep one in its own type.

And the labels that lie in a picture and are loaded with it: a map of classes, or boxes (`Info.labels`).
"""

import contextlib
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from tljax.core.errors import ConfigError
from tljax.core.near_names import paths
from tljax.core.types import IGNORED, NO_BOX, Info
from tljax.data.picture import files, grey_levels

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".pbm", ".pnm", ".tif", ".tiff"})
# Formats of PIL that are tried. Other formats run programs (EPS) or are not pictures.
FORMATS = ("JPEG", "PNG", "BMP", "DIB", "WEBP", "PPM", "TIFF", "GIF", "AVIF", "JPEG2000", "TGA")
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
THREADS = 4  # decoding threads; decoding releases the interpreter's lock
FAST = files.JPEG  # formats that simplejpeg decodes
MOST = 100_000_000  # the most pixels of a picture: 10,000 x 10,000
AT_ONCE = 64_000_000  # pixels that all threads together decode, about 10 bytes each; a larger picture is decoded alone
SHALLOW = 16  # a 16-bit colour picture whose upper bytes are below this holds at most 12 bits
LONGEST = 4  # a longer side is cropped to this times the shorter side before the picture is resized
Image.init()  # without it PIL knows few formats
Image.MAX_IMAGE_PIXELS = None  # replaced by MOST and `data.max_pixels`, because users cannot set PIL's limit


class _Turns(threading.local):
    """The pixels of AT_ONCE that this thread holds, and whether it is inside a `turn`."""

    taken, inside = 0, False


_turns, _free, _running = _Turns(), threading.Condition(), [0]


@contextlib.contextmanager
def turn() -> Iterator[None]:
    """A context: pictures that this thread decodes in it count against AT_ONCE until its end, also while resizing."""
    if _turns.inside:
        yield
        return
    _turns.inside = True
    try:
        yield
    finally:
        with _free:
            _running[0] -= _turns.taken
            _free.notify_all()
        _turns.taken, _turns.inside = 0, False


def _wait(pixels: int) -> None:
    """Wait until `pixels` more may be decoded, or no other thread decodes. A thread that holds pixels never waits."""
    with _free:
        _free.wait_for(lambda: _turns.taken or not _running[0] or _running[0] + pixels <= AT_ONCE)
        _running[0] += pixels
        _turns.taken += pixels


def mode(channels: int) -> str:
    """PIL's mode for pictures with `channels`; ConfigError if picture files cannot have this number."""
    if channels not in MODES:
        raise ConfigError(f"config.data.channels must be 1, 3 or 4 for files of pictures; got {channels}.")
    return MODES[channels]


def decode(data: bytes, *, channels: int = 3, most: int = MOST) -> np.ndarray:
    """Decode a picture.

    Args:
      most: the most pixels that a picture may have.

    Returns:
      uint8 (H, W, channels). A grey picture of more than 8 bits is returned as by `grey_levels.deep`, for
      `grey_levels.eight_bits`. EXIF rotation is applied. Transparency becomes white, or, with 4 channels, the fourth.

    Raises:
      ValueError: the bytes are not a whole picture, or the picture has more than `most` pixels.
      ConfigError: this number of channels is not possible.
    """
    mode(channels)
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > most:
            raise ValueError(
                f"it has {image.width:,} x {image.height:,} pixels, more than config.data.max_pixels ({most:,})"
            )
        with turn():
            _wait(image.width * image.height)
            return _pixels(data, image, channels)
    except UnidentifiedImageError as error:  # its text names an object in memory
        raise ValueError(f"not a whole picture: its {len(data):,} bytes are in no known format") from error
    except Exception as error:  # for damaged files decoders raise many kinds: struct.error, KeyError, zlib.error ...
        raise ValueError(f"not a whole picture: {error or type(error).__name__}") from error


def read(path: Path, *, channels: int = 3, most: int = MOST) -> np.ndarray:
    """Decode a file; ValueError if it is unreadable."""
    try:
        return decode(path.read_bytes(), channels=channels, most=most)
    except FileNotFoundError as error:
        raise ValueError(f"there is no such file.{paths.near(path)}".rstrip(".")) from error
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error


def fit(image: np.ndarray, size: int, *, interpolation: str = "bilinear") -> np.ndarray:
    """Resize the shorter side to `size` pixels with antialiasing, then crop the central square: (size, size, C).

    A long strip is cropped first, so that 2 x 20,000 pixels do not cost more than another picture.
    """
    method, longest = Image.Resampling[interpolation.upper()], LONGEST * min(image.shape[:2])
    top, left = (max(0, side - longest) // 2 for side in image.shape[:2])
    image = np.ascontiguousarray(image[top : top + longest, left : left + longest])
    height, width, channels = image.shape
    scale = size / min(height, width)
    shape = (max(size, round(width * scale)), max(size, round(height * scale)))
    left, top = (shape[0] - size) // 2, (shape[1] - size) // 2

    def square(plane: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(plane).resize(shape, method).crop((left, top, left + size, top + size)))

    if channels == 3:
        return square(image)
    # Each channel separately: PIL would weight colours by their transparency.
    return np.stack([square(np.ascontiguousarray(image[..., i])) for i in range(channels)], axis=-1)


def fit_into(image: np.ndarray, shape: tuple[int, int], *, interpolation: str = "bilinear") -> np.ndarray:
    """Resize with antialiasing to the largest size that lies in `shape`; black below or on the right: (*shape, C)."""
    height, width = inside(image.shape[:2], shape)
    method = Image.Resampling[interpolation.upper()]
    planes = [
        np.asarray(Image.fromarray(np.ascontiguousarray(image[..., i])).resize((width, height), method))
        for i in range(image.shape[-1])
    ]
    return np.pad(np.stack(planes, axis=-1), ((0, shape[0] - height), (0, shape[1] - width), (0, 0)))


def inside(whole: tuple[int, ...], shape: tuple[int, int]) -> tuple[int, int]:
    """The size of a picture of `whole` pixels after `fit_into`, without the padding."""
    scale = min(shape[0] / whole[0], shape[1] / whole[1])
    return max(1, min(shape[0], round(whole[0] * scale))), max(1, min(shape[1], round(whole[1] * scale)))


def label_into(label: np.ndarray, shape: tuple[int, int], whole: tuple[int, ...], kind: str) -> np.ndarray:
    """The label after `fit_into` of its picture of `whole` pixels; a map is IGNORED where the picture is padded."""
    height, width = inside(whole, shape)
    if kind == "maps":
        small = np.asarray(Image.fromarray(label).resize((width, height), Image.Resampling.NEAREST))
        edges = ((0, shape[0] - height), (0, shape[1] - width))
        return np.pad(small, edges, constant_values=IGNORED)
    scale = np.array([height / whole[0], width / whole[1]] * 2 + [1.0], np.float32)
    return (label * scale).astype(np.float32)


def checked_label(label: Any, shape: tuple[int, ...], info: Info) -> np.ndarray:
    """The label as an array, checked against its picture and the classes.

    Args:
      shape: (H, W) of the picture.

    Raises:
      ValueError: a map or boxes do not fit.
    """
    return (_checked_map if info.labels == "maps" else _checked_boxes)(np.asarray(label), shape, info.classes)


def fit_label(label: np.ndarray, size: int, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """The label after `fit` of its picture from `shape` (H, W) to `size`; a map keeps its values."""
    if kind == "maps":
        return fit(label[..., None], size, interpolation="nearest")[..., 0]
    longest = LONGEST * min(shape)  # as in `fit`
    cut = np.array([max(0, side - longest) // 2 for side in shape] * 2, np.float32)
    height, width = (min(side, longest) for side in shape)
    scaled = [max(size, round(side * size / min(height, width))) for side in (height, width)]
    scale = np.array([scaled[0] / height, scaled[1] / width] * 2, np.float32)
    corner = np.array([(scaled[0] - size) // 2, (scaled[1] - size) // 2] * 2, np.float32)
    boxes = ((label[:, :4] - cut) * scale - corner).clip(0, size)
    visible = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return np.concatenate([boxes, label[:, 4:]], axis=1)[visible].astype(np.float32)


def filled_boxes(label: np.ndarray, rows: int) -> np.ndarray:
    """Boxes (n, 5), n <= rows, padded with rows of zeros of the class NO_BOX: (rows, 5) float32."""
    nothing = np.tile(np.array([[0, 0, 0, 0, NO_BOX]], np.float32), (rows - len(label), 1))
    return np.concatenate([label, nothing])


def _checked_map(label: np.ndarray, shape: tuple[int, ...], classes: tuple[str, ...]) -> np.ndarray:
    if label.shape != shape or label.dtype != np.uint8:
        form = f"{label.shape} {label.dtype}"
        raise ValueError(f"its label map must be {shape} uint8, as large as the picture; it is {form}")
    bad = [int(value) for value in np.unique(label) if value >= len(classes) and value != IGNORED]
    if bad:
        raise ValueError(
            f"its label map must hold 0 to {len(classes) - 1} ({', '.join(classes)}), or {IGNORED} where a pixel "
            f"counts for nothing; it holds {', '.join(map(str, bad))} too"
        )
    return label


def _checked_boxes(label: np.ndarray, shape: tuple[int, ...], classes: tuple[str, ...]) -> np.ndarray:
    if label.ndim != 2 or label.shape[1] != 5 or not np.isfinite(label).all():
        raise ValueError(f"its boxes must be (n, 5) finite numbers; they are {label.shape}")
    (height, width), (top, left, bottom, right, number) = shape, label.T
    inside = (top >= 0) & (top < bottom) & (bottom <= height) & (left >= 0) & (left < right) & (right <= width)
    bad = label[~(inside & np.isin(number, np.arange(len(classes))))]
    if len(bad):
        raise ValueError(
            f"its boxes must be [top, left, bottom, right, class] inside its {height} x {width} pixels, top < bottom "
            f"and left < right, of the classes 0 to {len(classes) - 1}; not so {bad[:3].tolist()}"
        )
    return label.astype(np.float32)


def _pixels(data: bytes, image: Image.Image, channels: int) -> np.ndarray:
    if image.format in FAST:
        array = files.jpeg(data, image)
        if array.shape[-1] == channels:
            return files.upright(array, image)
        return _as_asked(Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array), image, channels)
    rawmode = str(tiles[0][3]) if (tiles := getattr(image, "tile", ())) else ""
    image.load()
    if image.mode.startswith("I") or image.mode == "F":
        return files.upright(grey_levels.deep(image), image)
    array = _as_asked(image, image, channels)
    if ";16" in rawmode and 0 < array[..., :3].max() < SHALLOW:
        raise ValueError(
            "16-bit colours whose values stay below 4096 of 65535: only their upper 8 bits are read, which leaves 16 "
            "levels. Save it with 8 bits"
        )
    return array


def _as_asked(image: Image.Image, opened: Image.Image, channels: int) -> np.ndarray:
    """uint8 (H, W, channels), upright."""
    if channels != 4 and ("A" in image.mode or "transparency" in image.info):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    array = np.asarray(image.convert(mode(channels)))
    return files.upright(array[..., None] if channels == 1 else array, opened)
