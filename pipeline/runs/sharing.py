"""One run, several processes: which shards this one works, and what it waits for."""

import time
from collections.abc import Callable, Iterable, Iterator

from pipeline.runs.run import Run

__all__ = ["missing_shards", "shards_in_turn"]


def _pause() -> None:
    time.sleep(0.2)  # between two looks at what others have finished


def shards_in_turn(
    run: Run,
    *,
    waits: bool,
    among: Iterable[int] | None = None,
    on_others: Callable[[int], None] = lambda shard: None,  # noqa: ARG005 - the name is the documentation
    pause: Callable[[], None] = _pause,
) -> Iterator[int]:
    """Yield each shard that nobody else has, while it is this process's alone, until none is missing.

    Shards of patients on whom thresholds are tuned come first, and the others when those are done. ``among`` limits
    the choice. Without ``waits`` the end is where the rest is in other processes' hands; with it, a shard whose process
    has died is taken over.
    ``on_others`` is told each shard that another process has finished.

    Raises:
        OutputError: when a shard was begun too often, or the folder cannot be written.
    """
    missing = [shard for shard in (range(run.spec.shards) if among is None else among) if not run.is_done(shard)]
    while missing:
        before = len(missing)
        for shard in tuple(missing):
            if not run.is_ready(shard):
                continue
            with run.claims.held(shard) as is_mine:
                if run.is_done(shard):
                    on_others(shard)
                elif is_mine:
                    if run.claims.begin(shard):
                        run.clear_unfinished(shard)
                    yield shard
                else:
                    continue
            missing.remove(shard)
        if missing and len(missing) == before:
            if not waits:
                return
            pause()


def missing_shards(
    run: Run, is_working: Callable[[], bool], on_others: Callable[[int], None], pause: Callable[[], None] = _pause
) -> list[int]:
    """Wait until others have done all shards of a run, or work no more; return those that are missing then."""
    missing = [shard for shard in range(run.spec.shards) if not run.is_done(shard)]
    while missing:
        goes_on = is_working()  # asked before the last look: what is done while it ends counts
        for shard in [shard for shard in missing if run.is_done(shard)]:
            missing.remove(shard)
            on_others(shard)
        if not goes_on:
            break
        pause()
    return missing
