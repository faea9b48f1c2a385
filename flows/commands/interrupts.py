"""Ctrl-C and SIGTERM: a run ends in one line that says how to go on, and in no traceback."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

__all__ = ["ADVICE", "Interrupted", "interruptible", "leave", "raise_replaced_end", "when_input_ends"]

ADVICE = "interrupted; what was finished is kept: run the same command again to go on"

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PATIENCE = 10.0  # seconds that threads get to finish what they have in hand
_MOMENT = 0.05  # seconds until what swallowed an interruption is over


class Interrupted(SystemExit):
    """Somebody asked this process to end, by this signal; ``code`` is its exit code.

    A ``SystemExit``, since every library lets that one through, and no ``KeyboardInterrupt``, which many answer in
    their own ways.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise ``Interrupted`` in the main thread for SIGINT and SIGTERM inside the block; elsewhere do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _interrupt) for number in _SIGNALS}
    try:
        with _raised_again_where_swallowed():
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _raised_again_where_swallowed() -> Iterator[None]:
    """Send the signal again where Python let ``Interrupted`` vanish: what ``__del__`` raises reaches nobody."""
    before = sys.unraisablehook

    def hook(unraisable: "sys.UnraisableHookArgs") -> None:
        if not isinstance(unraisable.exc_value, Interrupted):
            before(unraisable)
            return
        for number in _SIGNALS:
            signal.signal(number, _interrupt)
        timer = threading.Timer(_MOMENT, os.kill, (os.getpid(), unraisable.exc_value.number))
        timer.daemon = True
        timer.start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    for signal_number in _SIGNALS:
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


def raise_replaced_end(fault: Exception) -> None:
    """Raise what was to end the process when ``fault`` was raised in its place; do nothing where nothing was.

    Prefect answers an interruption by telling its server of a crash, and libraries by closing their connections: where
    that fails, what it raises is all that is seen.

    Raises:
        BaseException: what was to end the process.
    """
    from asyncio import CancelledError  # here: most commands need no event loop

    cause = fault.__context__
    while isinstance(cause, Exception | GeneratorExit | CancelledError):  # these end a part of a program
        cause = cause.__context__
    if cause is not None:
        raise cause from None


def when_input_ends(act: Callable[[], object]) -> None:
    """Call ``act`` in a thread once the standard input ends, which is when the process that started this one has."""

    def wait() -> None:
        # not by sys.stdin: Python dies at its end of a thread that waits there
        while os.read(sys.stdin.fileno(), 4096):
            pass
        act()

    threading.Thread(target=wait, daemon=True).start()
