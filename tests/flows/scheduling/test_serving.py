"""The first signal lets the run under way end in order, the second ends it at once. The runner is a stand-in."""

import asyncio
import os
import signal
import threading

import pytest

from flows.commands.interrupts import Interrupted
from flows.scheduling.serving import serve_until_asked


class StandIn:
    """Serves until it is stopped, and sets a handler of its own first, as Prefect's runner does."""

    def __init__(self):
        self.started = False
        self.stopped = asyncio.Event()

    async def start(self):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        await asyncio.sleep(0.1)
        self.started = True
        await self.stopped.wait()

    async def astop(self):
        self.stopped.set()


def served(wind_down, signals):
    """Serve, send signals one by one, each when the event before it has come; return the runner and the exception."""

    async def serve():
        runner = StandIn()
        with pytest.raises(Interrupted) as raised:
            await serve_until_asked(runner, wind_down)
        return runner, raised.value

    def send():
        for number, when in signals:
            when.wait(60)
            os.kill(os.getpid(), number)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    threading.Thread(target=send, daemon=True).start()
    try:
        return asyncio.run(serve())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Now:
    def wait(self, _seconds):
        import time

        time.sleep(1)  # the stand-in has set its handler by then, and ours is set


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_first_signal_winds_down(number, code):
    steps = []

    async def wind_down():
        steps.append("asked")
        await asyncio.sleep(0.2)
        steps.append("ended")

    runner, interruption = served(wind_down, [(number, Now())])
    assert steps == ["asked", "ended"]
    assert runner.stopped.is_set()
    assert interruption.code == code


def test_the_second_signal_waits_for_nothing():
    begun, steps = threading.Event(), []

    async def wind_down():
        begun.set()
        await asyncio.sleep(3600)
        steps.append("ended")

    runner, interruption = served(wind_down, [(signal.SIGTERM, Now()), (signal.SIGTERM, begun)])
    assert steps == []
    assert runner.stopped.is_set()
    assert interruption.code == 143


def test_a_server_that_has_gone_ends_it_at_once():
    async def wind_down():
        raise ConnectionError

    runner, _ = served(wind_down, [(signal.SIGTERM, Now())])
    assert runner.stopped.is_set()
