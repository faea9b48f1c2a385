"""What a run tells the C library of memory, OpenMP and OpenBLAS of threads: what works side by side is not to wait."""

import ctypes
import sys
from collections.abc import MutableMapping
from contextlib import suppress

__all__ = ["keep_freed_memory", "let_numpy_use_one_thread", "let_waiting_threads_sleep"]

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


def let_waiting_threads_sleep(environment: MutableMapping[str, str]) -> None:
    """Let the network's threads sleep where one waits for another, unless the user has chosen; before torch is loaded.

    OpenMP's own default is to ask again and again for a while. Files are read and maps scored beside the model, and
    where these hold a core, the threads that ask take the other: a run then takes several times its processor time.
    """
    environment.setdefault("OMP_WAIT_POLICY", "passive")


def let_numpy_use_one_thread(environment: MutableMapping[str, str]) -> None:
    """Let NumPy's OpenBLAS have no threads of its own, unless the user has chosen; before NumPy is loaded.

    OpenBLAS shares out a product from some hundred thousand multiplications on, and its threads ask again and again
    for some 30 ms after each whether there is more. Maps are carried to their masks' grids by products that small: two
    fifths of the processor time of an audit of small volumes went into that. Torch's threads are others.
    """
    environment.setdefault("OPENBLAS_NUM_THREADS", "1")
