"""One picture, from bytes to uint8 (H, W, C): upright, 8 bits, the channels that were asked for.

And a label that lies in it and is loaded with it: a map of classes, or boxes (`Info.labels`).
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image, ImageOps, UnidentifiedImageError

from tljax.core.errors import ConfigError
from tljax.core.types import IGNORED, NO_BOX, Info

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".tif", ".tiff"})
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
THREADS = 4  # in which many are decoded at a time: that releases the interpreter's lock
FAST = frozenset({"JPEG"})  # formats that simplejpeg decodes: 1,124 against PIL's 388 pictures/s a core
ORIENTATION = 0x0112  # the EXIF tag; 1 is upright


def mode(channels: int) -> str:
    """PIL's name of pictures with so many channels; ConfigError where files of pictures have no such number."""
    if channels not in MODES:
        raise ConfigError(f"config.data.channels must be 1, 3 or 4 for files of pictures; got {channels}.")
    return MODES[channels]


def decode(data: bytes, *, channels: int = 3) -> np.ndarray:
    """Decode a picture.

    Returns:
      uint8 (H, W, channels). EXIF rotation is applied, 16-bit values are scaled to 8 bits (PIL's own
      conversion clips them to white), transparency is laid over white, or with 4 channels is the fourth.

    Raises:
      ValueError: the bytes are no whole picture.
      ConfigError: no such number of channels.
    """
    wanted = mode(channels)
    try:
        image = Image.open(io.BytesIO(data))
        if image.format in FAST and image.mode == wanted and image.getexif().get(ORIENTATION, 1) == 1:
            return simplejpeg.decode_jpeg(data, colorspace={1: "GRAY", 3: "RGB"}[channels])
        image = ImageOps.exif_transpose(image)
        return _eight_bits(image, channels)
    except UnidentifiedImageError as error:  # it would name an object in memory
        raise ValueError(f"not a whole picture: its {len(data):,} bytes begin as no format read here") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"not a whole picture: {error}") from error


def read(path: Path, *, channels: int = 3) -> np.ndarray:
    """`decode` of a file; ValueError if it is unreadable."""
    try:
        return decode(path.read_bytes(), channels=channels)
    except OSError as error:
        raise ValueError(f"cannot be read: {error}") from error


def fit(image: np.ndarray, size: int, *, interpolation: str = "bilinear") -> np.ndarray:
    """Shorter side to `size` pixels with antialiasing, then the central square: (size, size, C)."""
    method = Image.Resampling[interpolation.upper()]
    height, width, channels = image.shape
    scale = size / min(height, width)
    shape = (max(size, round(width * scale)), max(size, round(height * scale)))
    left, top = (shape[0] - size) // 2, (shape[1] - size) // 2

    def square(plane: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(plane).resize(shape, method).crop((left, top, left + size, top + size)))

    if channels == 3:
        return square(image)
    # Each by itself: PIL weights colours by their transparency.
    return np.stack([square(np.ascontiguousarray(image[..., i])) for i in range(channels)], axis=-1)


def checked_label(label: Any, shape: tuple[int, ...], info: Info) -> np.ndarray:
    """The label, where it fits its picture and the classes.

    Args:
      shape: (H, W) of the picture.

    Raises:
      ValueError: what must hold of a map or of boxes, and what is there.
    """
    return (_checked_map if info.labels == "maps" else _checked_boxes)(np.asarray(label), shape, info.classes)


def fit_label(label: np.ndarray, size: int, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """What `fit` to `size` makes of a label whose picture is `shape`, (H, W); a map keeps its values."""
    if kind == "maps":
        return fit(label[..., None], size, interpolation="nearest")[..., 0]
    height, width = shape
    scaled = [max(size, round(side * size / min(height, width))) for side in (height, width)]
    scale = np.array([scaled[0] / height, scaled[1] / width] * 2, np.float32)
    corner = np.array([(scaled[0] - size) // 2, (scaled[1] - size) // 2] * 2, np.float32)
    boxes = (label[:, :4] * scale - corner).clip(0, size)
    seen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return np.concatenate([boxes, label[:, 4:]], axis=1)[seen].astype(np.float32)


def filled_boxes(label: np.ndarray, rows: int) -> np.ndarray:
    """Boxes (n, 5), n <= rows, and behind them rows of zeros of the class NO_BOX: (rows, 5) float32."""
    nothing = np.tile(np.array([[0, 0, 0, 0, NO_BOX]], np.float32), (rows - len(label), 1))
    return np.concatenate([label, nothing])


def _checked_map(label: np.ndarray, shape: tuple[int, ...], classes: tuple[str, ...]) -> np.ndarray:
    if label.shape != shape or label.dtype != np.uint8:
        found = f"{label.shape} {label.dtype}"
        raise ValueError(f"its label map must be {shape} uint8, as large as the picture; it is {found}")
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


def _eight_bits(image: Image.Image, channels: int) -> np.ndarray:
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image, np.float64) / 257.0).round().astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("32-bit pictures have no agreed white; save them with 8 or 16 bits")
    if channels != 4 and ("A" in image.mode or "transparency" in image.info):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    array = np.asarray(image.convert(mode(channels)))
    return array[..., None] if channels == 1 else array
