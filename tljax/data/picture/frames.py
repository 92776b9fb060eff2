"""Files that hold several pictures: the pages of a TIFF, the frames of an animation. The first one is read."""

from collections.abc import Iterable
from pathlib import Path

from PIL import Image

LOOKED_AT = 500  # pictures whose headers are read, from all over the set
SEVERAL = (".tif", ".tiff", ".png", ".webp", ".gif")  # suffixes of formats that may hold several


def notes(paths: Iterable[Path]) -> tuple[str, ...]:
    """A warning if some files hold several pictures."""
    some = [path for path in paths if path.suffix.lower() in SEVERAL]
    some = some[:: max(1, -(-len(some) // LOOKED_AT))]
    found = [path for path in some if _has_several(path)]
    if not found:
        return ()
    return (
        f"warning: {len(found):,} of {len(some):,} files that were looked at hold several pages or frames "
        f"('{found[0]}'): only the first one of each is read",
    )


def _has_several(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            return bool(getattr(image, "is_animated", False))
    except Exception:  # for damaged files decoders raise many kinds; they are named when they are read
        return False
