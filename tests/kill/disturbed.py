"""``python -m tests.kill.disturbed FAULT NUMBER COMMAND ...``: camaudit, to which one thing happens while it writes.

``dies``: the process is killed between writing its NUMBERth file and giving it its name. ``full``: from its NUMBERth
file on the disk is full. ``apart-dies`` and ``apart-full``: the same in each process of its own that the command starts
for a part of the run. ``asked``, ``concluded``, ``rendered``: the process gets the signal NUMBER in the middle of that.
"""

import errno
import os
import signal
import sys
import threading
from pathlib import Path

from flows.apart import own_process

_WRITTEN = 0
_SOON = 0.1  # seconds after which a part of the run that takes longer is under way


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


def disturb_apart(fault: str, number: int) -> None:
    """Let the same happen in the processes that do a part of the run."""
    before = f"from tests.kill.disturbed import disturb\ndisturb({fault!r}, {number})\n"
    program = own_process._PROGRAM
    own_process._PROGRAM = program.replace("from flows", f"{before}from flows", 1)


def signal_while(part: str, number: int) -> None:
    """Have this process sent a signal while it asks the model again, concludes or renders."""
    from flows import conduct
    from pipeline.runs.run import Run

    owner, name = {"asked": (Run, "ask_again"), "concluded": (Run, "_concluded"), "rendered": (conduct, "render")}[part]
    function = getattr(owner, name)

    def signalled(*arguments: object, **options: object) -> object:
        threading.Timer(_SOON, os.kill, (os.getpid(), number)).start()
        return function(*arguments, **options)

    setattr(owner, name, signalled)


if __name__ == "__main__":
    *apart, fault = sys.argv[1].split("-")
    act = disturb_apart if apart else disturb if fault in ("dies", "full") else signal_while
    act(fault, int(sys.argv[2]))
    sys.argv = ["camaudit", *sys.argv[3:]]
    from flows.cli import main

    main()
