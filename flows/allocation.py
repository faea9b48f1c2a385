"""How the C library keeps memory that was freed: for the next study, which takes as much again."""

import ctypes
import sys
from contextlib import suppress

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's <malloc.h>
_KEPT, _OF_ITS_OWN = 128 * 1024**2, 32 * 1024**2


def keep_freed_memory() -> None:
    """Let glibc keep up to 128 MiB that are free, and take from them what is smaller than 32 MiB.

    Handed back after each study, every page would have to be cleared anew for the next one: a tenth of the time of an
    audit of small volumes. Does nothing where the C library is another.
    """
    if sys.platform != "linux":
        return
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_TRIM_THRESHOLD, _KEPT)
        mallopt(_MMAP_THRESHOLD, _OF_ITS_OWN)
