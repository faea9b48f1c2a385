"""Ctrl-C and SIGTERM: a run ends in one line that says how to go on, and in no traceback."""

import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import NoReturn

__all__ = [
    "ADVICE",
    "Interrupted",
    "children_deaf_to_terminal",
    "interruptible",
    "leave",
    "raise_replaced_end",
    "when_input_ends",
]

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
    """Raise ``Interrupted`` in the main thread for SIGINT and SIGTERM inside the block; elsewhere do nothing.

    Until it has left the block, further signals change nothing: what is under way is put in order once, undisturbed.
    Where somebody lets it vanish inside the block, it is raised again.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    interrupt = _Interrupting()
    before = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        with _untold_where_swallowed():
            yield
    finally:
        interrupt.is_over = True
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def children_deaf_to_terminal() -> Iterator[None]:
    """Let processes that are begun inside the block never hear of SIGINT, while this one does.

    A terminal sends it to everyone; who began them decides. A signal that a thread has blocked is blocked in what it
    starts, too, from the first moment on. So this thread blocks it, and another one hears of it for this process.
    """
    is_over = threading.Event()
    threading.Thread(target=is_over.wait, daemon=True).start()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        is_over.set()


class _Interrupting:
    """A handler of signals that raises ``Interrupted`` as often as nobody has one in hand.

    One that is gone was swallowed: by a library's ``except:``, or by Python, which drops what a ``__del__`` raises.
    """

    def __init__(self) -> None:
        self.is_over = False
        self._raised: weakref.ref[Interrupted] | None = None

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if self._raised is None or self._raised() is None:
            raise self._interruption(number)  # in no variable here: the trace would hold it for ever

    def _interruption(self, number: int) -> Interrupted:
        interruption = Interrupted(number)
        self._raised = weakref.ref(interruption, partial(self._come_again, number))
        return interruption

    def _come_again(self, number: int, _gone: object) -> None:
        if not self.is_over:
            timer = threading.Timer(_MOMENT, self._send, [number])
            timer.daemon = True
            timer.start()

    def _send(self, number: int) -> None:
        if not self.is_over:
            os.kill(os.getpid(), number)


@contextmanager
def _untold_where_swallowed() -> Iterator[None]:
    """Print nothing of an ``Interrupted`` that Python drops: it comes again."""
    before = sys.unraisablehook

    def hook(unraisable: "sys.UnraisableHookArgs") -> None:
        if not isinstance(unraisable.exc_value, Interrupted):
            before(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def leave(interruption: Interrupted) -> NoReturn:
    """End the process as it was asked; threads and exit hooks that would keep it waiting are cut short.

    Raises:
        Interrupted: always.
    """
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # an impatient second one would show where Python is taken down
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
