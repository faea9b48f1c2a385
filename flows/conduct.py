"""A run from its folder to its report, in plain functions; how its shards are driven is somebody else's."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from flows.engines import Engine
from flows.request import AuditRequest
from flows.watch import Watcher
from pipeline.errors import AuditError
from pipeline.faults import FAULTS, own_faults
from pipeline.findings.ledger import Ledger
from pipeline.runs.conclude import finish
from pipeline.runs.run import begin, open_auditor, read_run, work
from pipeline.studies.untrusted.workers import WorkerPool
from pipeline.walk.map_plan import expected_maps
from reports.pdf import render

__all__ = ["BegunRun", "DriveShard", "begun", "conduct", "plainly"]

DriveShard = Callable[[int, Callable[[], int]], int]
"""Drives the work on one shard, given its number; returns what the work returns."""

_TRIES = 3


def plainly(shard: int, work: Callable[[], int]) -> int:  # noqa: ARG001 - a shard's number is for those who show it
    """Work a shard in this process and tell nobody."""
    return work()


@dataclass(frozen=True)
class BegunRun:
    """A run whose folder is there, and the processes that read its studies."""

    folder: Path
    request: AuditRequest
    pool: WorkerPool


def begun(request: AuditRequest, watcher: Watcher, pool: WorkerPool) -> BegunRun:
    """Begin a run whose studies are read by the processes of ``pool``.

    Where other threads are importing, MONAI may stumble over that, and is asked again.

    Raises:
        AuditError: one line that says what is wrong.
        InternalError: when camaudit's own code fails.
    """
    with own_faults():
        return BegunRun(_begun(request, watcher, pool), request, pool)


def _begun(request: AuditRequest, watcher: Watcher, pool: WorkerPool) -> Path:
    attempt = partial(
        begin,
        request.config,
        request.command,
        request.overrides,
        deep=request.deep,
        pool=pool,
        on_estimate=watcher.estimated,
    )
    for _ in range(_TRIES - 1):
        try:
            return attempt()
        except AuditError as error:
            if not _is_lost_race(error):
                raise
    return attempt()


def conduct(run: BegunRun, engine: Engine, watcher: Watcher, drive_shard: DriveShard) -> Path:
    """Work every shard of a run that has begun, draw the conclusions and render the report; return the folder.

    Raises:
        AuditError: when the configuration or the archive changed meanwhile, or the folder cannot be written.
        InternalError: when camaudit's own code fails; the trace is in the folder.
    """
    folder, config, pool = run.folder, run.request.config, run.pool
    with own_faults(folder / FAULTS):
        start, members = read_run(folder)
        layers = tuple(layer.name for layer in start.layers)
        auditor = open_auditor(config, start.overrides, layers=layers, pool=pool)
        studies = sum(member.shard is not None for member in members)
        _note(folder, "engine.chosen", engine=str(engine))
        watcher.started(len(members), studies, studies * expected_maps(auditor.config, auditor.layers))
        was_prefect = engine.is_prefect
        for shard in range(start.shards):
            engine.check()
            drive_shard(shard, partial(work, folder, config, shard, watcher.on_maps, pool=pool))
        engine.check()
        if was_prefect and not engine.is_prefect:
            _note(folder, "engine.lost", reason=engine.lost)
        finish(folder, config, flow_run=engine.flow_run, engine=str(engine), pool=pool)
        report = render(folder)
        _note(folder, "report.rendered", report=report.name)
    return folder


def _note(folder: Path, event: str, **body: object) -> None:
    Ledger(folder / "ledger.jsonl").append(event, **body)


def _is_lost_race(error: BaseException | None) -> bool:
    """Tell whether MONAI walked ``sys.modules`` while another thread imported."""
    while error is not None:
        if "changed size during iteration" in str(error):
            return True
        error = error.__cause__
    return False
