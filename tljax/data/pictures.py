"""One picture, from bytes to uint8 (H, W, C): upright, 8 bits, the channels that were asked for."""

import io
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image, ImageOps, UnidentifiedImageError

from tljax.core.errors import ConfigError

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
