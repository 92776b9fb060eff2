"""A page opened in chromium, without a window: what it says to the console, and what it asks of the network."""

import dataclasses
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
# What the browser remarks on how fast plotly's canvases are read, which is no error.
REMARKS = ("Canvas2D: Multiple readback operations", "GPU stall due to ReadPixels")
OWN = "not an origin"  # who begins what the browser itself asks: for updates


@dataclasses.dataclass(frozen=True)
class Opened:
    """What came of opening a page."""

    dom: str  # after its scripts have run
    console: list[str]
    requests: list[str]  # addresses that the page asked for, beyond its own file

    @property
    def silent_pictures(self) -> list[dict[str, str | None]]:
        """Pictures without an alternative text."""
        finder = _Pictures()
        finder.feed(self.dom)
        return [picture for picture in finder.found if not (picture.get("alt") or "").strip()]

    @property
    def pictures(self) -> int:
        finder = _Pictures()
        finder.feed(self.dom)
        return len(finder.found)


class _Pictures(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("img", "canvas"):
            self.found.append(
                {"tag": tag, **dict(attrs), **({"alt": dict(attrs).get("aria-label")} if tag == "canvas" else {})}
            )


def open_page(file: Path, folder: Path, *, anchor: str = "", milliseconds: int = 5000) -> Opened:
    """Open a file.

    Args:
      folder: for the browser's own files.
      anchor: behind the address, "#map".
    """
    browser = next((found for name in NAMES if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip(f"no browser is installed ({', '.join(NAMES)})")
    log = folder / "net.json"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader", "--enable-logging=stderr"]
    flags += [f"--user-data-dir={folder / 'browser'}", f"--log-net-log={log}", f"--virtual-time-budget={milliseconds}"]
    command = [browser, *flags, "--dump-dom", f"{file.absolute().as_uri()}{anchor}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    events = json.loads(log.read_text())["events"]
    asked = [one["params"] for one in events if one.get("params", {}).get("initiator", OWN) != OWN]
    addresses = [one["url"] for one in asked if not one["url"].startswith(("data:", "blob:", file.absolute().as_uri()))]
    said = re.findall(r"CONSOLE.*?\] (.*)", ended.stderr)
    return Opened(ended.stdout, [line for line in said if not any(one in line for one in REMARKS)], addresses)
