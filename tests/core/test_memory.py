"""Freed memory goes back to the system."""

import sys
from pathlib import Path

import pytest

from tljax.core import memory

PIECE = 2**14  # bytes: too few to be mapped on their own


def private() -> int:
    """Bytes of this process's private memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


@pytest.mark.skipif(sys.platform != "linux", reason="private memory is read from /proc")
def test_pieces_between_others_that_are_held_are_given_back():
    pieces = [bytearray(PIECE) for _ in range(4096)]  # 64 MiB
    kept = pieces[::64]
    held = private()
    del pieces
    memory.give_back()
    assert held - private() > 0.8 * 4096 * PIECE * 3 / 4  # three quarters, for a page at either end may stay
    assert len(kept) == 64


def test_another_system_is_left_alone(monkeypatch):
    asked = []
    monkeypatch.setattr(memory.ctypes, "CDLL", asked.append)
    for system in ("win32", "darwin"):
        monkeypatch.setattr(memory.sys, "platform", system)
        memory.give_back()
    assert asked == []
    monkeypatch.setattr(memory.sys, "platform", "linux")
    memory.give_back()
    assert asked == [None]  # the C library of the process, here one without malloc_trim
