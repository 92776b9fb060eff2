"""Memory: how much is free, and what was freed given back to the system."""

import ctypes
import sys
from pathlib import Path


def give_back() -> None:
    """Return what is free in the heap; where the C library is not glibc, nothing happens.

    What compiling and drawing needed stays with the process when it is freed, in pieces that no large array fits into.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def available() -> int:
    """Bytes that a process may still take without swapping; 0 where the system does not say it."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    kibibytes = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), "0")
    return 1024 * int(kibibytes)
