"""Serving until asked to end: in order at the first signal, at once at the second."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from prefect.runner import Runner

from flows.commands.interrupts import Interrupted

__all__ = ["QuietRunner", "Service", "serve_until_asked"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_MOMENT = 5.0  # seconds for what was stopped to put in order what it was at


class QuietRunner(Runner):
    """Prefect's runner, which leaves signals to whoever serves with it.

    Its own handler would end the process with exit code 0 while it starts, and later kill the run under way.
    """

    def handle_sigterm(self, *_args: object, **_kwargs: object) -> None:
        """Do nothing: the event loop hears of a signal whichever handler Python has for it."""


class Service(Protocol):
    """What can be asked to end."""

    async def serve(self, ending: asyncio.Event) -> None:
        """Serve until ``ending`` is set, and what is under way then has come to its end."""

    async def wind_down(self) -> None:
        """Let nothing new begin, and ask what is under way to come to its end soon."""

    async def stop(self) -> None:
        """End what is under way at once."""

    async def stopped(self) -> None:
        """Say how what was under way ended; nothing is any more."""


async def serve_until_asked(service: Service) -> None:
    """Serve until SIGTERM or Ctrl-C; then wind down, which a second signal cuts short, and stop.

    Raises:
        Interrupted: once it has ended as it was asked; else it returns, or raises what serving does.
    """
    ending = asyncio.Event()
    with _signals() as asked:
        serving, first = asyncio.create_task(service.serve(ending)), asyncio.create_task(asked.get())
        await asyncio.wait({serving, first}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            first.cancel()
            return serving.result()
        ending.set()
        orderly, second = asyncio.create_task(_ended(service, serving)), asyncio.create_task(asked.get())
        await asyncio.wait({orderly, second}, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            await service.stop()
            await asyncio.wait({serving}, timeout=_MOMENT)
            serving.cancel()
            await asyncio.wait({serving})
            await service.stopped()
        for task in (orderly, second):
            task.cancel()
        await asyncio.wait({orderly})
        raise Interrupted(first.result())


async def _ended(service: Service, serving: "asyncio.Task[None]") -> None:
    await service.wind_down()
    await asyncio.wait({serving})


@contextmanager
def _signals() -> Iterator[asyncio.Queue[int]]:
    """Yield a queue of the signals that ask this process to end."""
    loop, asked = asyncio.get_running_loop(), asyncio.Queue[int]()
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in _SIGNALS:
        loop.add_signal_handler(number, asked.put_nowait, int(number))
    try:
        yield asked
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
