"""Ending together: an error of one process ends all with its words, a signal to one is heeded by all at one place.

A thread of every process looks at the key-value store of jax.distributed. So a process that waits in a collective for
one that failed ends too, with the reason of that one and not with a time-out.
"""

import atexit
import contextlib
import json
import os
import sys
import threading
import time

from tljax.core import signals, untrusted
from tljax.core.processes import agreement

EVERY = 0.5  # seconds between looks
FAILED, ALIVE = "tljax/failed", "tljax/alive"
_said = threading.Event()  # this process has said why it ends
PATIENCE = 5.0  # seconds that a process waits for the word of process 0


class Watch:
    """What this process has seen of the others."""

    def __init__(self, heartbeat: float) -> None:
        """`heartbeat`: seconds after which a process that does not answer is taken for dead."""
        self._heartbeat, self._heard = heartbeat, dict[int, tuple[str, float]]()
        self._lock = threading.Lock()
        self._polls = 0  # how often this process has asked whether it shall end: all processes ask at the same places
        self._wishes: list[int] = []  # signals to this process that the others do not know of yet
        self._agreed: list[tuple[int, int]] = []  # (at which poll, the signal)
        self._round = 0

    def wish(self, number: int) -> None:
        """A signal came to this process. It is called by the signal's handler, so it takes no lock."""
        self._wishes.append(number)

    def due(self) -> list[int]:
        """Signals that all processes heed now."""
        with self._lock:
            self._polls += 1
            now = [number for poll, number in self._agreed if poll <= self._polls]
            self._agreed = [(poll, number) for poll, number in self._agreed if poll > self._polls]
            return now

    def look(self) -> None:
        """End where another process has failed; find the poll at which all heed a signal, where one came."""
        if message := _read(FAILED):
            _end(**json.loads(message))
        self._listen()
        key = f"tljax/signal/{self._round}"
        if self._wishes:
            with contextlib.suppress(Exception):  # another process was sent one at the same time: that one is heeded
                agreement.client().key_value_set(key, str(self._wishes[0]))
        if (message := _read(key)) is not None:
            self._agree(int(message))

    def _listen(self) -> None:
        """Say that this process lives, and end where another one does not: it was killed, or its machine is gone."""
        now, client = time.monotonic(), agreement.client()
        try:
            client.key_value_set(f"{ALIVE}/{agreement.index()}", str(now), allow_overwrite=True)
            entries = client.key_value_dir_get(ALIVE) if agreement.first() else []
        except Exception:  # the store is process 0's
            entries = [("0", "the same")]
        else:
            self._heard.pop(0, None)
        for key, value in entries:
            number = int(key.rpartition("/")[2])
            if self._heard.get(number, ("", 0.0))[0] != value:
                self._heard[number] = (value, now)
            elif now - self._heard[number][1] > self._heartbeat:
                why = (
                    f"process {number} has not answered for {self._heartbeat:g} s: it was killed, or cannot be reached"
                )
                print(f"error: {why}", file=sys.stderr)
                together(1, why)

    def _agree(self, number: int) -> None:
        with self._lock:  # so that this process does not come to another poll meanwhile
            polls = _exchanged(f"tljax/polls/{self._round}", self._polls)
            self._agreed.append((max(polls) + 1, number))
        if number in self._wishes:
            self._wishes.remove(number)
        self._round += 1


def watch(heartbeat: float) -> None:
    """Begin to look, in a thread of its own, until the process ends. `heartbeat`: see `Watch`.

    The thread ends before Python does: one that Python ends inside of jax's client aborts the process (exit code 134).
    """
    one, done = Watch(heartbeat), threading.Event()
    signals.share(one)

    def look() -> None:
        while not done.wait(EVERY):
            one.look()

    def stop() -> None:
        done.set()
        thread.join(PATIENCE)

    thread = threading.Thread(target=look, name="tljax processes", daemon=True)
    thread.start()
    atexit.register(stop)


def together(code: int, why: str) -> None:
    """End this process and all others of the run; with one process nothing happens.

    Args:
      code: the exit code, of all.
      why: what the others say.
    """
    if agreement.count() == 1:
        return
    me = {"index": agreement.index(), "code": code, "why": why}
    with contextlib.suppress(Exception):  # another one was first: its reason is the one that counts
        agreement.client().key_value_set(FAILED, json.dumps(me))
    if agreement.first():
        time.sleep(4 * EVERY)  # the store goes with this process: the others read it before
    _leave(code)


def expect(*, first: bool = False) -> None:
    """Give another process that ends the run the time to say so: this one then ends meanwhile.

    Args:
      first: whether process 0 waits too.
    """
    if agreement.count() > 1 and (first or not agreement.first()):
        _said.set()
        time.sleep(PATIENCE)


def _end(index: int, code: int, why: str) -> None:
    if index == agreement.index():
        return
    if not _said.is_set() or code < 128:  # all that a signal ended have said so
        print(untrusted.printable(f"error: process {index} ended the run: {why}"), file=sys.stderr)
    _leave(code)


def _leave(code: int) -> None:
    """At once: what waits in a collective cannot be asked to return."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _read(key: str) -> str | None:
    try:
        return agreement.client().key_value_try_get(key)
    except Exception:  # jax's own class of error; there is no such key, or no store any more
        return None


def _exchanged(key: str, value: int) -> list[int]:
    client = agreement.client()
    client.key_value_set(f"{key}/{agreement.index()}", str(value))
    return [int(client.blocking_key_value_get(f"{key}/{i}", agreement.WAIT)) for i in range(agreement.count())]
