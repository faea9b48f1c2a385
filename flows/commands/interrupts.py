"""Ctrl-C and SIGTERM: a run ends in one line that says how to go on, and in no traceback."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

__all__ = ["ADVICE", "Interrupted", "interruptible", "leave"]

ADVICE = "interrupted; what was finished is kept: run the same command again to go on"

_PATIENCE = 10.0  # seconds that threads get to finish what they have in hand


class Interrupted(SystemExit):
    """Somebody asked this process to end, by this signal; ``code`` is its exit code.

    A ``SystemExit``, since every library lets that one through, and no ``KeyboardInterrupt``, which many answer in
    their own ways.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise ``Interrupted`` in the main thread for SIGINT and SIGTERM inside the block; elsewhere do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, signal.SIG_IGN)  # what is under way is put in order once, undisturbed
    raise Interrupted(number)


def leave(interruption: Interrupted) -> NoReturn:
    """End the process as it was asked; threads and exit hooks that would keep it waiting are cut short.

    Raises:
        Interrupted: always.
    """
    timer = threading.Timer(_PATIENCE, os._exit, [interruption.code])
    timer.daemon = True
    timer.start()
    raise interruption
