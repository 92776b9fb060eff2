"""Pictures that their EXIF tag turns: masks and boxes may be those of the pixels as they lie in the file."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from tljax.data.picture import files

LOOKED_AT = 500  # pictures whose headers are read, from all over the set


def notes(paths: Sequence[Path], labels: str) -> tuple[str, ...]:
    """A line for the user if some pictures are turned: a mask that is as large either way cannot be told from a wrong
    one.

    Args:
      labels: what belongs to the pictures: "masks", "boxes".
    """
    some = paths[:: max(1, -(-len(paths) // LOOKED_AT))]
    found = [path for path in some if _is_turned(path)]
    if not found:
        return ()
    return (
        f"warning: {len(found):,} of {len(some):,} pictures that were looked at are turned upright by their EXIF tag "
        f"('{found[0]}'): their {labels} must be those of the upright picture. Draw some and look",
    )


def _is_turned(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            return image.format != "TIFF" and files.orientation(image) in range(2, 9)
    except OSError:
        return False  # named when it is read
