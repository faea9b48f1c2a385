"""One run, several processes: which shards this one works, and what it waits for."""

import time
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType

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
) -> Generator[int | None, None, None]:
    """Yield each shard that nobody else has, while it is this process's alone, until none is missing.

    Shards of patients on whom thresholds are tuned come first, and the others when those are done. ``among`` limits
    the choice. Without ``waits`` the end is where the rest is in other processes' hands; with it, a shard whose process
    has died is taken over. ``on_others`` is told each shard that another process has finished.

    A shard stays this process's until it is done, so the next one may be asked for before: None says that there is none
    to begin as long as those are not done. Whoever asks again without having done them gives them up.

    Raises:
        OutputError: when a shard was begun too often, or the folder cannot be written.
    """
    missing = [shard for shard in (range(run.spec.shards) if among is None else among) if not run.is_done(shard)]
    with _Hands(run) as hands:
        while missing or hands.hold_any:  # what was begun last is still being worked: to end would let go of it
            before = len(missing)
            for shard in tuple(missing):
                if not run.is_ready(shard):
                    continue
                is_mine = hands.take(shard)
                if run.is_done(shard):
                    on_others(shard)
                elif is_mine:
                    if run.claims.begin(shard):
                        run.clear_unfinished(shard)
                    yield shard
                else:
                    continue
                missing.remove(shard)
                hands.let_go_of_done()
            if len(missing) == before:
                if hands.hold_any:
                    yield None
                    hands.let_go_of_all()
                elif waits:
                    pause()
                else:
                    return


class _Hands(AbstractContextManager["_Hands"]):
    """The shards of a run that this process holds; none of them once the block is left."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._claims: dict[int, ExitStack] = {}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.let_go_of_all()

    @property
    def hold_any(self) -> bool:
        """Whether a shard is held."""
        return bool(self._claims)

    def take(self, shard: int) -> bool:
        """Take a shard, and tell whether nobody else has it."""
        with ExitStack() as claim:
            is_mine = claim.enter_context(self._run.claims.held(shard))
            if is_mine:
                self._claims[shard] = claim.pop_all()
        return is_mine

    def let_go_of_done(self) -> None:
        """Let go of the shards that are done."""
        for shard in [shard for shard in self._claims if self._run.is_done(shard)]:
            self._claims.pop(shard).close()

    def let_go_of_all(self) -> None:
        """Let go of every shard."""
        while self._claims:
            self._claims.popitem()[1].close()


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
