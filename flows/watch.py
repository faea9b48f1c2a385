"""Who is told of a run's progress in this process.

Apart from the flow, because a served flow is pickled with everything that its functions name.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["Watcher", "current", "watched_by"]


@dataclass(frozen=True)
class Watcher:
    """Two callbacks: ``started(found, new)`` once the studies are known, ``study_done()`` after each new one."""

    started: Callable[[int, int], None] = lambda found, new: None  # noqa: ARG005 - the names are the documentation
    study_done: Callable[[], None] = lambda: None


_NOBODY = Watcher()
_watcher: ContextVar[Watcher] = ContextVar("watcher", default=_NOBODY)


def current() -> Watcher:
    """Return the watcher of the run in this context."""
    return _watcher.get()


@contextmanager
def watched_by(watcher: Watcher) -> Iterator[None]:
    """Tell ``watcher`` of the runs inside the block."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)
