"""Files that hold several pictures: the pages of a TIFF, the frames of an animation. The first one is read."""

from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from tljax.data.picture import files

SEVERAL = (".tif", ".tiff", ".png", ".webp", ".gif")  # suffixes of formats that may hold several


def notes(paths: Iterable[Path]) -> tuple[str, ...]:
    """A warning if some files hold several pictures."""
    some = [path for path in paths if path.suffix.lower() in SEVERAL]
    number, several = files.with_header(some, _has_several)
    if not several:
        return ()
    return (
        f"warning: {len(several):,} of {number:,} files that were looked at hold several pages or frames "
        f"('{several[0]}'): only the first one of each is read",
    )


def _has_several(image: Image.Image) -> bool:
    return bool(getattr(image, "is_animated", False))
