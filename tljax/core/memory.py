"""Memory: how much is available, and how to return freed memory to the system."""

import ctypes
import sys
from pathlib import Path


def give_back() -> None:
    """Return the free memory of the heap to the system; does nothing if the C library is not glibc.

    The process keeps memory that compiling and initialisation have freed, in pieces too small for a large array.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def available() -> int:
    """Bytes that a process can still take without swapping; 0 if the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    kibibytes = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), "0")
    return 1024 * int(kibibytes)
