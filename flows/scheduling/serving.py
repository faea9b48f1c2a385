"""A runner that ends when it is asked to: in order at the first signal, at once at the second."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from prefect.runner import Runner

from flows.commands.interrupts import Interrupted
from pipeline.faults import package_logger

__all__ = ["serve_until_asked"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def serve_until_asked(runner: Runner, wind_down: Callable[[], Awaitable[None]]) -> None:
    """Serve until SIGTERM or Ctrl-C; then ``wind_down``, which a second signal cuts short, and stop.

    Raises:
        Interrupted: always, once it has ended as it was asked.
    """
    serving = asyncio.create_task(runner.start())
    while not runner.started and not serving.done():
        await asyncio.sleep(0.05)  # it sets a handler of its own first
    with _signals() as asked:
        first = asyncio.create_task(asked.get())
        await asyncio.wait({serving, first}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            first.cancel()
            return serving.result()
        ending, second = asyncio.ensure_future(_awaited(wind_down)), asyncio.create_task(asked.get())
        await asyncio.wait({ending, second}, return_when=asyncio.FIRST_COMPLETED)
        if ending.done() and (fault := ending.exception()) is not None:
            package_logger().warning("the run under way is ended at once: %s", type(fault).__name__)
        for task in (ending, second):
            task.cancel()
        await runner.astop()
        await asyncio.wait({serving})
        raise Interrupted(first.result())


async def _awaited(work: Callable[[], Awaitable[None]]) -> None:
    await work()


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
