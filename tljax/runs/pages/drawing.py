"""Writing a page, so that a fault while drawing loses nothing but the page."""

import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tljax.reporting.page import html
from tljax.reporting.page.html import Content

FILE, FAULT = "index.html", "page-error.txt"


def draw(
    folder: Path, template: str, gather: Callable[[], Content], asked: str, say: Callable[[str], None]
) -> Path | None:
    """Gather and write <folder>/report/index.html; a fault is said, and where it failed stands beside.

    Args:
      asked: `config.report`.
      say: prints a line.

    Returns:
      The file; None where none was asked for, or it could not be drawn.
    """
    if asked == "none":
        return None
    began, place = time.monotonic(), folder / "report"
    try:
        (place / FAULT).unlink(missing_ok=True)
        size = html.save(place / FILE, template, gather())
    except Exception as error:  # whatever a picture, a font or a full disk makes of it: the result is there
        say(
            f"the page could not be drawn ({type(error).__name__}: {error}); the result is safe. Where it failed "
            f"stands in {place / FAULT}; --config.report=short draws less"
        )
        _note(place / FAULT)
        return None
    say(f"page: {place / FILE} ({size / 2**20:.1f} MB, {time.monotonic() - began:.1f} s)")
    return place / FILE


def _note(file: Path) -> None:
    """Write down where it failed; a disk that takes no page may take this neither."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(traceback.format_exc(), encoding="utf-8")
    except OSError:
        return
