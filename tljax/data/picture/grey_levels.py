"""Pictures of more than 8 bits: which values are black and white."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

PHOTOMETRIC, BITS = 262, 258  # tags of TIFF 6.0
FULL = 65_535  # white of 16 bits
FEW = 4_096  # a 16-bit picture below this holds at most 12 bits: with white at 65535, 17 levels would remain


@dataclasses.dataclass(frozen=True)
class Levels:
    """Black and white of deep pictures; `given`: `data.window` sets them, and values outside are clipped."""

    black: float
    white: float
    given: bool = False


def deep(image: Image.Image) -> np.ndarray:
    """The values of a grey picture of more than 8 bits per pixel: (H, W, 1), in the file's own type.

    If the file names a value for transparency: (H, W, 2); the second channel is 1 at opaque pixels, else 0.

    Raises:
      ValueError: values that are not finite.
    """
    values = np.asarray(image)
    if image.format == "PPM" and image.mode == "I":  # PIL spreads the file's values over 0..65535
        values = values.astype(np.uint16)
    elif image.mode == "I" and _bits(image) == (16,):
        values = values.astype(np.int16)
    elif image.mode.startswith("I;16"):
        values = values.astype(np.uint16)  # in this machine's byte order
        if getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == 0:  # WhiteIsZero, which PIL handles only up to 8 bits
            values = FULL - values
    if not np.isfinite(values).all():
        raise ValueError("it holds values that are not finite")
    clear = image.info.get("transparency")
    opaque = [] if clear is None else [(values != clear).astype(values.dtype)]
    return np.stack([values, *opaque], axis=-1)


def known(picture: np.ndarray, window: Sequence[float]) -> Levels | None:
    """The levels of `picture` (from `deep`) if `data.window` gives them; None if they depend on all pictures.

    Raises:
      ValueError: the values are signed or have 32 bits, which have no standard for black and white.
    """
    if window:
        return Levels(*window, given=True)
    if picture.dtype != np.uint16:
        kind = {"i": "signed", "f": "floating-point"}.get(picture.dtype.kind, "unsigned")
        low, high = span(picture)
        raise ValueError(
            f"{picture.dtype.itemsize * 8}-bit {kind} values ({low:g} to {high:g}) have no standard white: set "
            f"config.data.window=(black,white) to the values of black and white"
        )
    return None


def span(picture: np.ndarray) -> tuple[float, float]:
    """The lowest and highest value."""
    return float(picture[..., 0].min()), float(picture[..., 0].max())


def of(spans: Iterable[tuple[float, float]]) -> Levels | None:
    """The levels for all 16-bit pictures of a run: black is 0, white comes from the number of bits in use.

    Values that are stored as negatives (TIFF's WhiteIsZero) count from the white end. None: there are no such pictures.
    """
    spans = list(spans)
    if not spans:
        return None
    low, high = min(low for low, _ in spans), max(high for _, high in spans)
    bits, negative = int(high).bit_length(), int(FULL - low).bit_length()
    return Levels(0, 2 ** max(bits, 1) - 1) if bits <= negative else Levels(FULL - 2**negative + 1, FULL)


def eight_bits(picture: np.ndarray, levels: Levels | None, channels: int) -> np.ndarray:
    """A picture from `deep` -> uint8 (H, W, channels), black 0, white 255. Transparency becomes white, or, with four
    channels, the fourth channel.

    Args:
      levels: None: no other picture gives them; white is then 65535.

    Raises:
      ValueError: values lie outside of levels that `data.window` did not set, or are too small to know white.
    """
    low, high = span(picture)
    if levels is None:
        if 0 < high < FEW:
            raise ValueError(
                f"its 16-bit values reach {high:g} of {FULL}, and white is unknown: the run's own pictures "
                f"have 8 bits. Save it with 8 bits, or set config.data.window for the run"
            )
        levels = Levels(0, FULL)
    if not levels.given and not levels.black <= low <= high <= levels.white:
        raise ValueError(
            f"its values ({low:g} to {high:g}) lie outside the {levels.black:g} to {levels.white:g} of the run's "
            f"pictures; config.data.window sets black and white, and clips values outside"
        )
    share = (picture[..., 0].astype(np.float64) - levels.black) / (levels.white - levels.black)
    grey = (share.clip(0, 1) * 255).round().astype(np.uint8)
    opaque = picture[..., 1] > 0 if picture.shape[-1] == 2 else np.ones(grey.shape, bool)
    if channels == 4:
        return np.stack([grey, grey, grey, opaque * np.uint8(255)], axis=-1)
    return np.repeat(np.where(opaque, grey, 255).astype(np.uint8)[..., None], channels, axis=-1)


def _bits(image: Image.Image) -> tuple[int, ...]:
    """Bits per sample, if the file is a TIFF."""
    tags = getattr(image, "tag_v2", {})
    return tuple(tags.get(BITS, ()))
