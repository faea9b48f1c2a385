"""Let one thing be made in a thread while another is worked on: ahead of the model, or behind it."""

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

__all__ = ["Later", "Prefetched", "WorkBehind"]

Item = TypeVar("Item")

_END: Any = object()


class Prefetched(Generic[Item]):
    """``items`` in order, made in a thread of their own from now on, at most ``ahead`` before they are asked for.

    What making one raises is raised where it is asked for. Closing waits for the one that is being made.
    """

    def __init__(self, items: Generator[Item, None, None], ahead: int) -> None:
        self._items = items
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
        self._pending = deque(self._thread.submit(next, items, _END) for _ in range(ahead))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Item:
        """Return the next one.

        Raises:
            StopIteration: when there is none, or the rest is not wanted any more.
        """
        try:
            item: Item = self._pending.popleft().result() if self._pending else _END
        except BaseException:
            self.close()
            raise
        if item is _END:
            self.close()
            raise StopIteration
        self._pending.append(self._thread.submit(next, self._items, _END))
        return item

    def close(self) -> None:
        """Let go of what is left."""
        self._pending.clear()
        self._thread.shutdown(cancel_futures=True)
        self._items.close()


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
