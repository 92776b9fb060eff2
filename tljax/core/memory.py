"""Memory that was freed, given back to the system."""

import ctypes
import sys


def give_back() -> None:
    """Return what is free in the heap; where the C library is not glibc, nothing happens.

    What compiling and drawing needed stays with the process when it is freed, in pieces that no large array fits into.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
