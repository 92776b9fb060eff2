"""Signals that ask a run to end or to save. Inside `held` a signal only sets a flag; elsewhere it raises an exception.

SIGTERM, SIGINT, SIGHUP and SIGXCPU end the run: training saves at the next step, and the exit code is 128 and the
signal's number (143, 130, 129, 152), as in a shell. At SIGUSR1 and SIGUSR2, which schedulers send some time before
they end a job, training saves at the next step and goes on.

A signal belongs to the whole process, so its state is kept in this module.
"""

import contextlib
import dataclasses
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Protocol

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGXCPU") if hasattr(signal, name))
SAVING = tuple(getattr(signal, name) for name in ("SIGUSR1", "SIGUSR2") if hasattr(signal, name))
TIME_UP = 0  # beside the numbers of signals: the run's time is over
GRACE = 10.0  # seconds after the first signal to end; until then a second signal changes nothing, later it kills


class Stopped(BaseException):
    """The process was asked to end; `guarded` returns `code`."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


class Others(Protocol):
    """The other processes of this run (`core/processes`): a signal to one is heeded by all at the same `poll`."""

    def wish(self, number: int) -> None:
        """A signal came to this process."""
        ...

    def due(self) -> list[int]:
        """Signals that all heed now; it is called by every `poll`."""
        ...


@dataclasses.dataclass
class _Asked:
    """The requests of signals since `watched` was entered."""

    end: int | None = None  # the number of the signal
    since: float = 0.0
    save: bool = False
    over: bool = False  # the time of the run
    held: int = 0  # how many times `held` is entered
    before: dict[int, "signal._HANDLER"] = dataclasses.field(default_factory=dict)  # the earlier handlers
    others: Others | None = None


_asked = _Asked()


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """A context that handles signals. Earlier handlers are called too, and restored at the end. Not in threads."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _asked.end, _asked.since, _asked.save, _asked.over, _asked.held = None, 0.0, False, False, 0
    before = {number: signal.getsignal(number) for number in (*ENDING, *SAVING)}
    _asked.before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}  # nohup
    for number in _asked.before:
        signal.signal(number, _heed)
    try:
        yield
    finally:
        for number, handler in _asked.before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        _asked.end, _asked.save = None, False


@contextlib.contextmanager
def held() -> Iterator[None]:
    """A context in which a signal raises nothing until `poll`; at its end a pending signal raises Stopped."""
    _asked.held += 1
    try:
        yield
    finally:
        _asked.held -= 1
    poll()


def share(others: Others) -> None:
    """From now on a signal that comes while work is `held` is heeded by all processes of the run."""
    _asked.others = others


def poll() -> None:
    """Raise Stopped if the process was asked to end. Every loop that takes time must call it.

    All processes of a run must call it at the same places: never in a loop over what one of them alone has.
    """
    for number in _asked.others.due() if _asked.others else ():
        _note(number)
    if _asked.end is not None:
        raise Stopped(_asked.end)


def wish_save() -> None:
    """Ask all processes of the run for a checkpoint, as a signal to this one does."""
    if _asked.others and SAVING:
        _asked.others.wish(SAVING[0])


def wish_end() -> None:
    """Tell all processes of the run that its time is up, as process 0's clock says; they heed it at the same `poll`."""
    if _asked.others:
        _asked.others.wish(TIME_UP)


def time_is_up() -> bool:
    """Whether `wish_end` has been heeded."""
    return _asked.over


def save_asked() -> bool:
    """Whether a signal has asked for a checkpoint since the last call."""
    asked, _asked.save = _asked.save, False
    return asked


def _note(number: int) -> None:
    if number == TIME_UP:
        _asked.over = True
    elif number in SAVING:
        _asked.save = True
    elif _asked.end is None:
        _asked.end, _asked.since = number, time.monotonic()


def _heed(number: int, frame: FrameType | None) -> None:
    first, late = _asked.end is None, bool(_asked.since) and time.monotonic() - _asked.since > GRACE
    if _asked.others and _asked.held and first and not late:
        _asked.since = _asked.since or (time.monotonic() if number in ENDING else 0.0)
        _asked.others.wish(number)
    elif number in SAVING or (first and not late):
        _note(number)
    elif late:  # ending takes too long; files are whole or absent
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    before = _asked.before.get(number)
    if callable(before) and before is not signal.default_int_handler:
        before(number, frame)
    if number in ENDING and first and not _asked.held:
        raise Stopped(number)
