"""``python -m tests.kill.disturbed FAULT NUMBER COMMAND ...``: camaudit, to which one thing happens while it writes.

``dies``: the process is killed between writing its NUMBERth file and giving it its name. ``full``: from its NUMBERth
file on the disk is full.
"""

import errno
import os
import signal
import sys
from pathlib import Path

_WRITTEN = 0


def disturb(fault: str, number: int) -> None:
    """Let files be flushed and named as ever, until the one that ``number`` says."""
    rename, flush = Path.replace, os.fsync

    def renamed(path: Path, target: Path) -> Path:
        global _WRITTEN
        _WRITTEN += 1
        if fault == "dies" and number == _WRITTEN:
            os.kill(os.getpid(), signal.SIGKILL)
        return rename(path, target)

    def flushed(descriptor: int) -> None:
        if fault == "full" and number - 1 <= _WRITTEN:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(descriptor)

    Path.replace, os.fsync = renamed, flushed


if __name__ == "__main__":
    disturb(sys.argv[1], int(sys.argv[2]))
    sys.argv = ["camaudit", *sys.argv[3:]]
    from flows.cli import main

    main()
