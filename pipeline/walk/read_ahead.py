"""Let one thing be made ready while another is worked on."""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

__all__ = ["prefetched"]

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
