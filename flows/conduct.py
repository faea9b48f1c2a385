"""A run from its creation to its report, in plain functions; how its shards are driven is somebody else's."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from flows.apart.news import noted_without_news, without_news_apart
from flows.apart.tried_again import tried_again
from flows.apart.with_model import ask_again_apart, begun_apart, experiment_apart
from flows.crews.choice import only_watches
from flows.engines import Engine
from flows.request import AuditRequest
from flows.shards import DriveShard, ShardWork, work_all
from flows.telling.beside import ALONE, Beside
from flows.watch import Watcher
from pipeline.faults import own_faults
from pipeline.findings.custody.site_key import load_site_key
from pipeline.findings.signed.attestation import attest
from pipeline.runs.run import Run
from pipeline.runs.start_watch import StartWatch
from pipeline.studies.untrusted.workers import WorkerPool
from reports.pdf import render
from reports.registry import sections

__all__ = ["begun", "conduct", "plainly", "run_without_news"]


def plainly(shard: int, work: Callable[[], int]) -> int:  # noqa: ARG001 - a shard's number is for those who show it
    """Work a shard in this process and tell nobody."""
    return work()


def begun(request: AuditRequest, watcher: Watcher, pool: WorkerPool) -> Run:
    """Create a run whose studies are read by the processes of ``pool``; in a process of its own where others work it.

    Raises:
        AuditError: one line that says what is wrong.
        InternalError: when camaudit's own code fails.
    """
    if only_watches(request.loaded.config.run):
        return begun_apart(request, watcher)
    watch = StartWatch(pool, watcher.estimated, watcher.said)
    create = partial(Run.create, request.loaded, request.command, deep=request.deep, watch=watch)
    with own_faults():
        return tried_again(create)


def run_without_news(request: AuditRequest) -> Path | None:
    """Return the newest run where a new one would say the same, and note that in the audit's log; else None.

    Raises:
        AuditError: one line that says what is wrong.
        InternalError: when camaudit's own code fails.
    """
    if not request.only_new:
        return None
    if only_watches(request.loaded.config.run):
        return without_news_apart(request)
    with own_faults():
        return noted_without_news(request)


def conduct(run: Run, engine: Engine, watcher: Watcher, drive_shard: DriveShard, beside: Beside = ALONE) -> Path:
    """Work every shard of a run, try what is asked for on the model, conclude and render; return the folder.

    Raises:
        AuditError: when the model changed meanwhile, or the folder cannot be written.
        StopRequestedError: when it was asked to end; the shards that are written stay.
        InternalError: when camaudit's own code fails; the trace is in the folder.
    """
    with run, own_faults():
        studies = run.computed
        run.note("engine.chosen", engine=str(engine))
        watcher.started(len(run.members), studies, studies * run.maps_each)
        beside.page.begun(run)
        was_prefect = engine.is_prefect
        work_all(ShardWork(run, engine, watcher, drive_shard, beside), beside.crew)
        for family in run.config.experiments.families:
            engine.check()
            if beside.crew.leads:
                run.experiment(family, watcher.on_maps)
            else:
                experiment_apart(run, family, watcher.on_maps)
        engine.check()
        if was_prefect and not engine.is_prefect:
            run.note("engine.lost", reason=engine.lost)
        ask_model = run.ask_again if beside.crew.leads else partial(ask_again_apart, run)
        run.finish(flow_run=engine.flow_run, engine=str(engine), ask_model=ask_model)
        report = render(run.folder)
        packages = [part.package for part in sections() if part.package is not None]
        run.note("report.rendered", [report.name], packages=packages)
        attest(run.folder, load_site_key())
        beside.page.finished(run.folder)
    return run.folder
