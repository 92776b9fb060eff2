"""Pictures of more than 8 bits: which of their values are black and white."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

PHOTOMETRIC, BITS = 262, 258  # tags of TIFF 6.0
FULL = 65_535  # white of 16 bits
FEW = 4_096  # a 16-bit picture that stays below holds 12 bits at most: 17 levels would be left of it


@dataclasses.dataclass(frozen=True)
class Levels:
    """Black and white of wide pictures; `given`: by `data.window`, so that values outside are cut off."""

    black: float
    white: float
    given: bool = False


def deep(image: Image.Image) -> np.ndarray:
    """The values of a grey picture of more than 8 bits a pixel: (H, W, 1), of the file's own type.

    Where a value stands for transparency, (H, W, 2): the second is 1 where the picture is opaque, else 0.

    Raises:
      ValueError: values that are not finite.
    """
    values = np.asarray(image)
    if image.format == "PPM" and image.mode == "I":  # PIL spreads the file's values over 0..65535
        values = values.astype(np.uint16)
    elif image.mode == "I" and _bits(image) == (16,):
        values = values.astype(np.int16)
    elif image.mode.startswith("I;16"):
        values = values.astype(np.uint16)  # in this machine's order of bytes
        if getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == 0:  # WhiteIsZero, which PIL heeds up to 8 bits
            values = FULL - values
    if not np.isfinite(values).all():
        raise ValueError("it holds values that are not finite")
    clear = image.info.get("transparency")
    opaque = [] if clear is None else [(values != clear).astype(values.dtype)]
    return np.stack([values, *opaque], axis=-1)


def known(picture: np.ndarray, window: Sequence[float]) -> Levels | None:
    """The levels of `picture` (as `deep` makes it) where `data.window` gives them, None where others' values must tell.

    Raises:
      ValueError: nothing can tell: neither signed values nor 32 bits have an agreed black and white.
    """
    if window:
        return Levels(*window, given=True)
    if picture.dtype != np.uint16:
        kind = {"i": "signed", "f": "floating-point"}.get(picture.dtype.kind, "unsigned")
        low, high = span(picture)
        raise ValueError(
            f"{picture.dtype.itemsize * 8}-bit {kind} values ({low:g} to {high:g}) have no agreed white: set "
            f"config.data.window=(black,white) to the values that are to be black and white"
        )
    return None


def span(picture: np.ndarray) -> tuple[float, float]:
    """The lowest and highest value."""
    return float(picture[..., 0].min()), float(picture[..., 0].max())


def of(spans: Iterable[tuple[float, float]]) -> Levels | None:
    """The levels of all 16-bit pictures of a run: as many bits as their values fill, from 0 on.

    Values that are stored as negatives (TIFF's WhiteIsZero) fill those bits from the white end. None: there are none.
    """
    spans = list(spans)
    if not spans:
        return None
    low, high = min(low for low, _ in spans), max(high for _, high in spans)
    bits, negative = int(high).bit_length(), int(FULL - low).bit_length()
    return Levels(0, 2 ** max(bits, 1) - 1) if bits <= negative else Levels(FULL - 2**negative + 1, FULL)


def eight_bits(picture: np.ndarray, levels: Levels | None, channels: int) -> np.ndarray:
    """What `deep` gave as uint8 (H, W, channels): black 0, white 255; transparency over white, or the fourth channel.

    Args:
      levels: None where no other picture tells them; then a 16-bit picture's white is 65535.

    Raises:
      ValueError: values beyond levels that were not given, or so few that nothing tells what is white.
    """
    low, high = span(picture)
    if levels is None:
        if 0 < high < FEW:
            raise ValueError(
                f"its 16-bit values reach {high:g} of {FULL} and nothing tells which is white: the run's own pictures "
                f"have 8 bits. Save it with 8 bits, or set config.data.window for the run"
            )
        levels = Levels(0, FULL)
    if not levels.given and not levels.black <= low <= high <= levels.white:
        raise ValueError(
            f"its values ({low:g} to {high:g}) leave the {levels.black:g} to {levels.white:g} of the run's pictures; "
            f"config.data.window sets black and white, and cuts off what lies outside"
        )
    share = (picture[..., 0].astype(np.float64) - levels.black) / (levels.white - levels.black)
    grey = (share.clip(0, 1) * 255).round().astype(np.uint8)
    opaque = picture[..., 1] > 0 if picture.shape[-1] == 2 else np.ones(grey.shape, bool)
    if channels == 4:
        return np.stack([grey, grey, grey, opaque * np.uint8(255)], axis=-1)
    return np.repeat(np.where(opaque, grey, 255).astype(np.uint8)[..., None], channels, axis=-1)


def _bits(image: Image.Image) -> tuple[int, ...]:
    """Bits a sample, where the file is a TIFF."""
    tags = getattr(image, "tag_v2", {})
    return tuple(tags.get(BITS, ()))
