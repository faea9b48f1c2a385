"""How much memory this process holds, by the kernel (Linux)."""

import multiprocessing
import os
import resource
from collections.abc import Callable


def resident() -> int:
    with open("/proc/self/statm") as file:  # noqa: PTH123 - a path that only Linux has, read in one line
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def reset_peak() -> None:
    with open("/proc/self/clear_refs", "w") as file:  # noqa: PTH123 - 5 sets the peak back to what is resident now
        file.write("5")


def peak_resident() -> int:
    """Return the most bytes that were resident in this process since it began (or since the peak was set back)."""
    with open("/proc/self/status") as file:  # noqa: PTH123
        lines = dict(line.split(":", 1) for line in file)
    return int(lines["VmHWM"].split()[0]) * 1024 if "VmHWM" in lines else resource.getrusage(0).ru_maxrss * 1024


def succeeds_apart(function: Callable[..., object], *arguments: object) -> bool:
    """Call a module's own function in a process of its own, which holds nothing yet; tell whether it ended well."""
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join()
    return not process.exitcode
