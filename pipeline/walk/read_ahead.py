"""Let one thing be made in a thread while another is worked on: ahead of the model, or behind it."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

__all__ = ["Later", "WorkBehind", "prefetched"]

Item = TypeVar("Item")

_END: Any = object()


def prefetched(items: Generator[Item, None, None], ahead: int) -> Iterator[Item]:
    """Yield ``items`` in order, made in a thread of their own, at most ``ahead`` before they are asked for.

    What making one raises is raised where it is asked for. Leaving early waits for the one that is being made.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as thread:
        pending = deque(thread.submit(next, items, _END) for _ in range(ahead))
        try:
            while (item := pending.popleft().result()) is not _END:
                pending.append(thread.submit(next, items, _END))
                yield item
        finally:
            thread.shutdown(cancel_futures=True)
            items.close()


class Later(Generic[Item]):
    """What a thread is making, or has made."""

    def __init__(self, future: Future[Item]) -> None:
        self._future: Future[Item] | None = future

    def result(self) -> Item:
        """Wait for it and return it, or raise what making it raised; it is let go of, and can be asked for once."""
        assert self._future is not None
        future, self._future = self._future, None
        return future.result()


class WorkBehind:
    """One thread that makes things in the order in which they are handed over; leaving the block ends it.

    ``within`` gives what the thread is in while it makes one. Leaving early waits for the one that is being made.
    """

    def __init__(self, within: Callable[[], AbstractContextManager[object]]) -> None:
        self._within = within
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="behind")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(cancel_futures=True)

    def begin(self, make: Callable[[], Item]) -> Later[Item]:
        """Let the thread call ``make`` once it has done what was handed over before."""
        return Later(self._thread.submit(self._made, make))

    def _made(self, make: Callable[[], Item]) -> Item:
        with self._within():
            return make()
