"""A run from its creation to its report, in plain functions; how its shards are driven is somebody else's."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from flows.crews.choice import crew_of
from flows.crews.crew import Crew
from flows.engines import Engine
from flows.request import AuditRequest
from flows.watch import Watcher
from pipeline.errors import AuditError, OutputError
from pipeline.faults import own_faults
from pipeline.runs.claims import TRIES
from pipeline.runs.run import Run
from pipeline.runs.sharing import missing_shards, shards_in_turn
from pipeline.runs.start import StartWatch
from pipeline.studies.untrusted.workers import WorkerPool
from pipeline.walk.map_plan import expected_maps
from reports.pdf import render
from reports.registry import sections

__all__ = ["DriveShard", "begun", "conduct", "plainly"]

OnShard = Callable[[int], None]
DriveShard = Callable[[int, Callable[[], int]], int]
"""Drives the work on one shard, given its number; returns what the work returns."""

_TRIES = 3


def plainly(shard: int, work: Callable[[], int]) -> int:  # noqa: ARG001 - a shard's number is for those who show it
    """Work a shard in this process and tell nobody."""
    return work()


def begun(request: AuditRequest, watcher: Watcher, pool: WorkerPool) -> Run:
    """Create a run whose studies are read by the processes of ``pool``.

    Where other threads are importing, MONAI may stumble over that, and is asked again.

    Raises:
        AuditError: one line that says what is wrong.
        InternalError: when camaudit's own code fails.
    """
    watch = StartWatch(pool, watcher.estimated, watcher.said)
    create = partial(Run.create, request.loaded, request.command, deep=request.deep, watch=watch)
    crew_of(request.loaded.config.run)  # who is to help is looked for before anything is written
    with own_faults():
        for _ in range(_TRIES - 1):
            try:
                return create()
            except AuditError as error:
                if not _is_lost_race(error):
                    raise
        return create()


def conduct(run: Run, engine: Engine, watcher: Watcher, drive_shard: DriveShard) -> Path:
    """Work every shard of a run with the help that its configuration asks for, conclude, and render the report.

    Raises:
        AuditError: when the model changed meanwhile, or the folder cannot be written.
        InternalError: when camaudit's own code fails; the trace is in the folder.
    """
    with run, own_faults():
        studies = sum(member.shard is not None for member in run.members)
        run.note("engine.chosen", engine=str(engine))
        maps_each = expected_maps(run.config, [layer.name for layer in run.spec.layers])
        watcher.started(len(run.members), studies, studies * maps_each)
        was_prefect = engine.is_prefect

        def work(shard: int) -> None:
            drive_shard(shard, partial(run.work, shard, watcher.on_maps))

        def others_did(shard: int) -> None:
            watcher.on_maps(maps_each * sum(member.shard == shard for member in run.members))

        crew = crew_of(run.config.run)
        _work_first(run, work)
        (_lead if crew.leads else _oversee)(run, engine, work, crew, others_did)
        run.claims.remove()
        engine.check()
        if was_prefect and not engine.is_prefect:
            run.note("engine.lost", reason=engine.lost)
        run.finish(flow_run=engine.flow_run, engine=str(engine))
        report = render(run.folder)
        packages = [part.package for part in sections() if part.package is not None]
        run.note("report.rendered", [report.name], packages=packages)
    return run.folder


def _work_first(run: Run, work: OnShard) -> None:
    """Do what all shards depend on: the average of the cohort's masks, and the patients who tune thresholds."""
    run.average_masks  # noqa: B018 - surveyed where it is first asked for
    for shard in shards_in_turn(run, waits=True, among=sorted(run.tuning_shards)):
        work(shard)


def _lead(run: Run, engine: Engine, work: OnShard, crew: Crew, on_others: OnShard) -> None:
    """Work shards beside the crew, and what helpers who died leave behind."""
    with crew.at(run.folder):
        for shard in shards_in_turn(run, waits=True, on_others=on_others):
            engine.check()
            work(shard)


def _oversee(run: Run, engine: Engine, _work: OnShard, crew: Crew, on_others: OnShard) -> None:
    """Have a crew work all shards; where it ends before they are done, call it again."""
    for _ in range(TRIES):
        with crew.at(run.folder) as is_working:
            missing = list(missing_shards(run, is_working, on_others))
        engine.check()
        if not missing:
            return
    numbers = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
    raise OutputError(
        f"{run.folder}: {crew.name} was called {TRIES} times and left {len(missing)} of {run.spec.shards} shards "
        f"undone ({numbers}); see what its processes say"
    )


def _is_lost_race(error: BaseException | None) -> bool:
    """Tell whether MONAI walked ``sys.modules`` while another thread imported."""
    while error is not None:
        if "changed size during iteration" in str(error):
            return True
        error = error.__cause__
    return False
