"""A page opened in chromium, without a window: what it says to the console, and what it asks of the network."""

import base64
import contextlib
import dataclasses
import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

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
    browser = _installed()
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


def _installed() -> str:
    """The browser's program; the test is skipped where none is installed."""
    browser = next((found for name in NAMES if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip(f"no browser is installed ({', '.join(NAMES)})")
    return browser


class Tab:
    """A page that is used as a person does, by the browser's DevTools protocol: commands and events are JSON, each
    ended by a zero byte, in a pipe.
    """

    def __init__(self, written: Any, read: Any) -> None:
        self._written, self._read, self._rest, self._number = written, read, b"", 0
        self._session: dict[str, str] = {}
        self.console: list[str] = []  # warnings, errors, and all else that the page said
        self.requests: list[str] = []
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.do(f"{domain}.enable")

    def do(self, method: str, **params: Any) -> dict[str, Any]:
        """A command's result. Events that come before it are noted."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params, **self._session}
        self._written.write(json.dumps(message).encode() + b"\0")
        self._written.flush()
        while True:
            told = self._told()
            if told.get("id") == self._number:
                assert "error" not in told, told["error"]
                return told["result"]
            self._note(told.get("method"), told.get("params"))

    def open(self, address: str) -> None:
        assert "errorText" not in self.do("Page.navigate", url=address)
        self.wait("location.href !== 'about:blank' && document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """The value of a script, waited for."""
        found = self.do("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until a script is true, half a minute at most."""
        for _ in range(600):
            if self.run(f"Boolean({condition})"):
                return
            time.sleep(0.05)
        raise AssertionError(f"never so: {condition}")

    def choose(self, selector: str, file: Path) -> None:
        """Give a file to an <input type=file>."""
        root = self.do("DOM.getDocument")["root"]["nodeId"]
        node = self.do("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.do("DOM.setFileInputFiles", files=[str(file)], nodeId=node)

    def screenshot(self, file: Path, *, width: int, height: int) -> None:
        """The whole page, in a window of this width."""
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        content = self.do("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        file.write_bytes(base64.b64decode(content))

    def _told(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            some = self._read.read1()
            assert some, "the browser has ended"
            self._rest += some
        said, _, self._rest = self._rest.partition(b"\0")
        return json.loads(said)

    def _note(self, method: str | None, params: Any) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.console.append(json.dumps(params))


@contextlib.contextmanager
def tab(folder: Path) -> Iterator[Tab]:
    """An empty page in a browser that ends with the context; after two minutes it is ended.

    Args:
      folder: for the browser's own files.
    """
    browser = _installed()
    (asked, asks), (answers, answered) = os.pipe(), os.pipe()
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'browser'}"]
    command = ["bash", "-c", f'exec "$@" 3<&{asked} 4>&{answered}', "bash", browser, *flags, "--remote-debugging-pipe"]
    process = subprocess.Popen(command, pass_fds=(asked, answered), stderr=subprocess.DEVNULL)
    os.close(asked)
    os.close(answered)
    late = threading.Timer(120, process.kill)
    late.start()
    try:
        with open(asks, "wb") as written, open(answers, "rb") as read:
            yield Tab(written, read)
    finally:
        late.cancel()
        process.kill()
        process.wait()
