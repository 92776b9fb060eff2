"""Pictures inside a page: thumbnails of examples, and figures, each with a description in words."""

import base64
import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

THUMBNAIL = 176  # pixels of the longer side
SMALL = 88  # pixels of the longer side in a sheet of many pictures
ENLARGED = 64  # a picture below this many pixels is enlarged without smoothing, so that its pixels can be seen


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture of a page."""

    source: str  # a data: address
    alternative: str  # what it shows, for users who cannot see it


def thumbnail(image: np.ndarray, alternative: str, size: int = THUMBNAIL) -> Picture:
    """A stored picture (H, W, C) uint8, `size` pixels wide or high."""
    image = image[..., 0] if image.shape[-1] == 1 else image
    drawn = Image.fromarray(np.ascontiguousarray(image))
    if image.ndim == 3 and image.shape[-1] == 4:
        drawn = Image.alpha_composite(Image.new("RGBA", drawn.size, "white"), drawn)
    drawn = drawn.convert("L" if image.ndim == 2 else "RGB")
    scale = size / max(drawn.size)
    method = Image.Resampling.NEAREST if max(drawn.size) < ENLARGED else Image.Resampling.LANCZOS
    drawn = drawn.resize((max(1, round(drawn.width * scale)), max(1, round(drawn.height * scale))), method)
    out = io.BytesIO()
    drawn.save(out, "WEBP", quality=80, method=4)
    return Picture(_address("image/webp", out.getvalue()), alternative)


def figure(drawn: Any, alternative: str, *, vector: bool = True) -> Picture:
    """A figure of matplotlib, which is closed."""
    from tljax.reporting import figures

    out = io.BytesIO()
    form = {"format": "svg"} if vector else {"format": "webp", "dpi": 130, "pil_kwargs": {"quality": 85}}
    with figures.plt.rc_context({"svg.hashsalt": "tljax"}):
        drawn.savefig(out, **form, metadata={"Date": None} if vector else None)
    figures.plt.close(drawn)
    return Picture(_address("image/svg+xml" if vector else "image/webp", out.getvalue()), alternative)


def of_file(file: Path, alternative: str) -> Picture:
    """A picture that lies there as .png."""
    return Picture(_address("image/png", file.read_bytes()), alternative)


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def overlay(image: np.ndarray, heat: np.ndarray, alternative: str, size: int = THUMBNAIL) -> Picture:
    """A heat map, from 0 to 1, over its picture (H, W, C) uint8: warmer colours are larger values."""
    return thumbnail(laid_over(image, heat), alternative, size)


def laid_over(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """The same as pixels (H, W, 3) uint8; a picture of few pixels is enlarged first."""
    from matplotlib import colormaps

    side = max(THUMBNAIL, *image.shape[:2])
    method = Image.Resampling.NEAREST if max(image.shape[:2]) < ENLARGED else Image.Resampling.BICUBIC
    grey = Image.fromarray(np.ascontiguousarray(image.squeeze())).convert("L").resize((side, side), method)
    smooth = Image.fromarray(heat.astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC)
    warm = np.clip(np.asarray(smooth), 0, 1)
    colors = 255 * colormaps["inferno"](warm)[..., :3]
    opacity = 0.25 + 0.5 * warm[..., None]
    return (np.asarray(grey, np.float32)[..., None] * (1 - opacity) + colors * opacity).round().astype(np.uint8)
