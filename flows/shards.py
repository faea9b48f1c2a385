"""A run's shards, one after the other: worked here, or by a crew, until all are done."""

from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from flows.apart.with_model import first_pass_apart
from flows.crews.crew import Crew, IsWorking
from flows.engines import Engine
from flows.telling.beside import Beside, StopRequestedError
from flows.watch import Watcher
from pipeline.errors import OutputError
from pipeline.runs.first_pass import needs_survey
from pipeline.runs.run import Run
from pipeline.runs.shared.claims import TRIES
from pipeline.runs.shared.turns import missing_shards, shards_in_turn

if TYPE_CHECKING:
    from pipeline.runs.shared.worker import ShardWorker

__all__ = ["DriveShard", "ShardWork", "work_all"]

DriveShard = Callable[[int, Callable[[], int]], int]
"""Drives the work on one shard, given its number; returns what the work returns."""


@dataclass(frozen=True)
class ShardWork:
    """How the shards of a run are worked here, and who is told."""

    run: Run
    engine: Engine
    watcher: Watcher
    drive: DriveShard
    beside: Beside

    def work(self, shards: Generator[int | None, None, None]) -> None:
        """Work the shards that are this process's own, in turn."""
        from pipeline.runs.shared.worker import ShardWorker  # here: it loads torch, which one that watches does without

        with ShardWorker(self.run, shards, self.watcher.on_maps) as worker:
            while (shard := self._next(worker)) is not None:
                started = monotonic()
                studies = self.drive(shard, worker.finish)
                self.beside.page.shard_done(shard, studies, monotonic() - started)

    def _next(self, worker: "ShardWorker") -> int | None:
        self.stop_if_asked()
        self.engine.check()
        return worker.begin()

    def tell(self, shard: int) -> None:
        """Tell of a shard that another process has done."""
        studies = len(self.run.members_of(shard))
        self.watcher.on_maps(self.run.maps_each * studies)
        self.beside.page.shard_done(shard, studies, None)

    def stop_if_asked(self) -> None:
        """End the run between two shards where somebody asked for it.

        Raises:
            StopRequestedError: saying how far it came.
        """
        if self.beside.must_stop():
            done = sum(map(self.run.is_done, range(self.run.spec.shards)))
            self.run.note("run.stopped", shards=done)
            raise StopRequestedError(
                f"stopped after {done} of {self.run.spec.shards} shards; the next run carries them over"
            )


def work_all(work: ShardWork, crew: Crew) -> None:
    """Have every shard worked, those first on which the others depend.

    Raises:
        AuditError: when a shard cannot be worked, or a crew leaves some undone.
        StopRequestedError: when somebody asked for an end between two shards.
    """
    if crew.leads:
        _lead(work, crew)
    else:
        _first_pass(work)
        _oversee(work, crew)
    work.stop_if_asked()
    work.run.claims.remove()


def _lead(work: ShardWork, crew: Crew) -> None:
    """Work shards beside the crew, and what helpers who died leave behind."""
    run = work.run
    with crew.abreast():
        run.average_masks  # noqa: B018 - surveyed where it is first asked for: all shards depend on it
        work.work(shards_in_turn(run, waits=True, among=sorted(run.tuning_shards)))
        with crew.at(run.folder, work.watcher.said):
            work.work(shards_in_turn(run, waits=True, on_others=work.tell))


def _first_pass(work: ShardWork) -> None:
    """Have done beforehand what all other shards depend on, in a process that ends with it."""
    run = work.run
    tuning = [shard for shard in sorted(run.tuning_shards) if not run.is_done(shard)]
    if tuning or needs_survey(run.config):
        work.stop_if_asked()
        first_pass_apart(run)
        for shard in tuning:
            work.tell(shard)


def _oversee(work: ShardWork, crew: Crew) -> None:
    """Have a crew work all shards; where it ends before they are done, call it again."""
    run, missing, heard = work.run, [], ["see what its processes say"]

    def hear(sentence: str) -> None:
        if sentence not in heard:  # each call may come to the same
            work.watcher.said(sentence)
            heard.append(sentence)

    for _ in range(TRIES):
        work.stop_if_asked()
        with ExitStack() as call:
            call.enter_context(run.claims.calling())  # before anybody comes who would go again where nobody calls
            with crew.at(run.folder, hear) as is_working:
                missing = missing_shards(run, partial(_goes_on, work, is_working, call), work.tell)
        work.engine.check()
        if not missing:
            return
    work.stop_if_asked()
    numbers = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
    raise OutputError(
        f"{run.folder}: {crew.name} was called {TRIES} times and left {len(missing)} of {run.spec.shards} shards "
        f"undone ({numbers}); {heard[-1]}"
    )


def _goes_on(work: ShardWork, is_working: IsWorking, call: ExitStack) -> bool:
    """Tell whether a crew still works; where the run is to end, it ends after the shard it has in hand."""
    if not work.beside.must_stop():
        return is_working()
    call.close()
    return any(map(work.run.claims.is_held, range(work.run.spec.shards))) and is_working()
