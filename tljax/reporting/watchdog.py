"""A watchdog: if a run hangs, the stack of every thread is written to stacks.txt."""

import contextlib
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from tljax.core import atomic

FILE = "stacks.txt"
PATIENCE = 900.0  # stacks are written after at least this many seconds without a step,
TIMES = 20.0  # and at least this many times the longest step so far


class Watchdog:
    """Is told of every step. If a step takes far longer than all earlier ones, it writes stacks and a message, once."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._file, self._say = folder / FILE, say
        self._last, self._longest, self._barked = time.monotonic(), 0.0, False
        self._end = threading.Event()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        self._last = time.monotonic()
        thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._end.set()
            thread.join()

    def step(self) -> None:
        """A step is done."""
        now = time.monotonic()
        self._longest, self._last = max(self._longest, now - self._last), now

    def _watch(self) -> None:
        while not self._end.wait(min(PATIENCE / 3, 30.0)):
            quiet = time.monotonic() - self._last
            if quiet > max(PATIENCE, TIMES * self._longest) and not self._barked:
                self._barked = True
                with contextlib.suppress(Exception):  # a full disk must not end a thread with a traceback
                    atomic.write(self._file, stacks())
                self._say(
                    f"no step was done for {quiet:,.0f} s: where every thread stands is in {self._file}. The run goes "
                    f"on; SIGTERM saves and ends it at the next step."
                )


def stacks() -> str:
    """The stack of every thread."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = [
        f"thread {names.get(number, number)}\n{''.join(traceback.format_stack(frame))}"
        for number, frame in sys._current_frames().items()
    ]
    return "\n".join(parts)
