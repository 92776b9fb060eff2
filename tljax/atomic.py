"""Files that are written whole or not at all."""

import os
from pathlib import Path


def write(file: Path, text: str) -> None:
    """Write beside `file` and move into place: a kill leaves the old content or the new."""
    part = file.with_name(f"{file.name}.part{os.getpid()}")
    part.write_text(text)
    part.replace(file)
