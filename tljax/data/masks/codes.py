"""The codes of a mask: its values, or its colours as 0xRRGGBB."""

import dataclasses
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from tljax.data import pictures

ONE_CHANNEL = ("1", "L", "P", "I", "I;16", "I;16B")  # PIL's modes: bits, grey, palette, deep grey
COLOURS = ("RGB", "RGBA")


@dataclasses.dataclass(frozen=True)
class Seen:
    """What one mask holds."""

    codes: np.ndarray  # its values, or its colours as 0xRRGGBB, sorted
    counts: np.ndarray  # their pixels
    colours: bool
    shape: tuple[int, ...]
    palette: Mapping[int, int] = dataclasses.field(default_factory=dict)  # value -> its colour, where masks say it


def read(path: Path, *, painted: bool = False, most: int = pictures.MOST) -> tuple[np.ndarray, bool]:
    """(The codes of a mask (H, W) int32, whether they are colours).

    Args:
      painted: a mask with a palette is read by its colours.
      most: the most pixels that it may have.

    Raises:
      ValueError: it is not a whole picture, has other channels than a mask, or too many pixels.
    """
    mode, array, palette = _decoded(path, most)
    if mode == "P" and painted:
        if (last := int(array.max(initial=0))) >= len(palette):
            raise ValueError(f"its palette has {len(palette)} colours, and it holds the value {last}")
        return palette[array], True
    if mode in ONE_CHANNEL:
        return array.astype(np.int32), False
    if mode not in COLOURS or (mode == "RGBA" and (array[..., 3] < 255).any()):
        raise ValueError(f"a mask must have one channel, a palette or opaque colours; its mode is {mode}")
    return _joined(array), True


def _decoded(path: Path, most: int) -> tuple[str, np.ndarray, np.ndarray]:
    """(PIL's mode of a picture, its pixels, the colours of its palette as 0xRRGGBB)."""
    try:
        with Image.open(path, formats=pictures.FORMATS) as image:
            if image.width * image.height > most:
                raise ValueError(
                    f"it has {image.width:,} x {image.height:,} pixels, more than config.data.max_pixels ({most:,})"
                )
            palette = np.array(image.getpalette() or [], np.uint8).reshape(-1, 3)
            return image.mode, np.asarray(image), _joined(palette)
    except Exception as error:  # decoders raise many kinds for damaged files
        raise ValueError(f"not a whole mask: {error}") from error


def _joined(colours: np.ndarray) -> np.ndarray:
    """Channels (..., 3 or 4) -> 0xRRGGBB, int32."""
    red, green, blue = (colours[..., i].astype(np.int32) for i in range(3))
    return (red << 16) | (green << 8) | blue


def look(masks: Sequence[Path], *, most: int = pictures.MOST) -> tuple[dict[Path, Seen], dict[Path, str]]:
    """(What every mask holds, the faults of those that cannot be read); `most` as in `read`."""

    def attempt(path: Path) -> Seen | str:
        try:
            codes, colours = read(path, most=most)
        except ValueError as error:
            return str(error)
        values, counts = np.unique(codes, return_counts=True)
        palette = {} if colours else _palette(path)
        known = {int(value): palette[int(value)] for value in values if int(value) in palette}
        return Seen(values, counts, colours, codes.shape, known)

    with ThreadPoolExecutor(pictures.THREADS) as pool:
        found = dict(zip(masks, pool.map(attempt, masks), strict=True))
    seen = {path: one for path, one in found.items() if isinstance(one, Seen)}
    return seen, {path: one for path, one in found.items() if isinstance(one, str)}


def _palette(path: Path) -> dict[int, int]:
    """Value -> colour of a mask with a palette; the file has been read before."""
    with Image.open(path, formats=pictures.FORMATS) as image:
        colours = (image.getpalette() or []) if image.mode == "P" else []
    return dict(enumerate(_joined(np.array(colours, np.uint8).reshape(-1, 3)).tolist()))
