"""Pictures that their EXIF tag turns: masks and boxes may be those of the pixels as they lie in the file."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from tljax.data.picture import files


def notes(paths: Sequence[Path], labels: str) -> tuple[str, ...]:
    """A line for the user if some pictures are turned: a mask that is as large either way cannot be told from a wrong
    one.

    Args:
      labels: what belongs to the pictures: "masks", "boxes".
    """
    number, turned = files.with_header(paths, _is_turned)
    if not turned:
        return ()
    return (
        f"warning: {len(turned):,} of {number:,} pictures that were looked at are turned upright by their EXIF tag "
        f"('{turned[0]}'): their {labels} must be those of the upright picture. Draw some and look",
    )


def _is_turned(image: Image.Image) -> bool:
    return image.format != "TIFF" and files.orientation(image) in range(2, 9)
