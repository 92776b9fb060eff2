"""Where what can be computed again is kept: $TLJAX_CACHE, or ~/.cache/tljax."""

import contextlib
import os
import time
from pathlib import Path

from tljax.core.errors import ConfigError

ABANDONED = 3600.0  # seconds after which a half-written file is a killed process's


def folder(kind: str) -> Path:
    """The folder of one kind: features, tokens, xla. It may not be there yet.

    Raises:
      ConfigError: $TLJAX_CACHE is not set, and this user has no home.
    """
    try:
        return Path(os.environ.get("TLJAX_CACHE", "~/.cache/tljax")).expanduser() / kind
    except RuntimeError as error:
        raise ConfigError(
            "Caches must have a folder; this user has no home folder ($HOME is not set), and $TLJAX_CACHE names none. "
            "Set $TLJAX_CACHE."
        ) from error


def sweep(place: Path) -> None:
    """Remove what killed processes left half-written in a folder that others may be writing in."""
    for part in place.glob("*.part[0-9]*"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > ABANDONED:
                part.unlink()
