"""How the benchmarks measure: CPU time side by side in one process, memory in a process of its own."""

import multiprocessing
import os
import statistics
import time
import traceback
from collections.abc import Callable, Mapping

import torch

from tests.benchmarks.resident import peak_resident, reset_peak, resident

GIB = 2**30
_FREED_AT_ONCE = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}  # bytes; glibc's own settings


def paired(functions: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float | str]:
    """Return the median CPU seconds of each function, taken in turns; or the error of one that fails."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    errors: dict[str, str] = {}
    for _ in range(repeats):
        for name, function in functions.items():
            if name in errors:
                continue
            try:
                times[name].append(seconds(function))
            except Exception as error:
                errors[name] = told(error)
    return {name: errors.get(name) or statistics.median(found) for name, found in times.items()}


def seconds(function: Callable[[], object]) -> float:
    """Return the CPU seconds of one call; on a CUDA device the elapsed ones, waited for."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = clock()
    function()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - start


def told(error: Exception) -> str:
    """Return an error's type and first line."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:100]


def peak_memory(function: Callable[..., object], *arguments: object) -> float | str:
    """Return by how many bytes the resident memory of a fresh process peaks above its start during the call.

    ``function(*arguments)`` returns what is to be measured as a callable, so that making it does not count. In that
    process memory that is freed goes back to the system at once, or the peak would tell of earlier calls.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_peak, args=(there, function, arguments))
    before = dict(os.environ)
    os.environ |= _FREED_AT_ONCE  # read when the process starts
    process.start()
    os.environ.clear()
    os.environ |= before
    there.close()
    try:
        found: float | str = here.recv()
    except EOFError:
        found = f"the process ended with {process.exitcode}"
    process.join()
    return found


def _peak(pipe, function: Callable[..., Callable[[], object]], arguments: tuple[object, ...]) -> None:
    torch.set_num_threads(1)
    try:
        call = function(*arguments)
        before = resident()
        reset_peak()
        call()
        pipe.send(peak_resident() - before)
    except Exception as error:
        traceback.print_exc()
        pipe.send(told(error))
    pipe.close()
