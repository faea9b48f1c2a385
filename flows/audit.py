"""The audit as a Prefect flow: one task a shard, no arithmetic here.

Prefect is told of the work and never decides what it came to (``flows.engines``): a server that dies costs its page.

Deferred annotations would break deployed runs (Prefect builds the parameters' schema from them): keep them out.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from prefect import flow, runtime, tags, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.context import TagsContext
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    temporary_settings,
)
from prefect.settings.legacy import Setting
from prefect.states import Cancelled, Completed
from pydantic import Field

from flows.commands.interrupts import interruptible
from flows.conduct import begun, conduct, run_without_news
from flows.crews.choice import crew_of
from flows.crews.crew import Crew
from flows.engines import Engine, WorkError, driven
from flows.request import AuditRequest
from flows.scheduling.keeping import keep_newest
from flows.scheduling.vital_signs import HEARTBEAT_SECONDS, vital_tags
from flows.server import shown, silence
from flows.shards import DriveShard
from flows.telling.beside import Beside, StopRequestedError
from flows.telling.outcomes import failed_run, news_of, tell_program
from flows.telling.run_page import RUN_TAG, PrefectPage, emit_news, say_on_page
from flows.watch import Watcher
from pipeline.checks.config_checks import checked_config
from pipeline.config_file import load_config
from pipeline.errors import AuditError, InternalError
from pipeline.findings.results import load_results
from pipeline.runs.nights.stop_request import stop_is_requested
from pipeline.runs.run import Run
from pipeline.studies.untrusted.workers import WorkerPool

__all__ = ["audit", "follow"]

_PATIENCE: dict[Setting, float] = {
    PREFECT_CLIENT_MAX_RETRIES: 1,
    PREFECT_API_REQUEST_TIMEOUT: 10.0,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY: HEARTBEAT_SECONDS,
}
"""How long a server that has died may keep a run waiting, and how often a run says that it lives, unless set."""


ConfigFile = Annotated[str, Field(pattern=r"\.ya?ml$", description="The path of an audit.yaml on the worker's machine")]
Override = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*=", description="key=value, such as run.seed=3")]


_LAST_WORDS = 5.0
"""Seconds that a server gets to take the last lines of a run's log."""


def _run_name() -> str:
    """Name a flow run after the audit; the name is shown everywhere and holds nothing of a study."""
    parameters = runtime.flow_run.parameters
    try:
        return f"audit-{load_config(Path(parameters['config']), parameters.get('overrides') or ()).name}"
    except AuditError:
        return "audit"


@task(
    name="audit-shard",
    task_run_name="shard-{shard}",
    cache_policy=NO_CACHE,
    persist_result=False,
    result_serializer="json",
)
def audit_shard(run: Callable[[], None], shard: int) -> None:  # noqa: ARG001 - the shard is the task run's name
    """Audit one shard; its studies' faults become rows, so a failed task means a fault of the run itself."""
    run()


@flow(name="audit", flow_run_name=_run_name, persist_result=False, result_serializer="json")
def audit(
    config: ConfigFile,
    command: str = "camaudit schedule",
    overrides: list[Override] | None = None,
    deep: bool = False,
    only_new: bool = True,
    notify: list[str] | None = None,
) -> str | State[str]:
    """Audit the archive that ``config`` (the path of an ``audit.yaml``) names; return the run's folder.

    Studies that an earlier run of the same audit has answered are carried over, not computed again. ``overrides`` are
    ``key=value``; ``deep`` hashes every file again. With ``only_new``, where nothing is new since the newest run, that
    run is the answer, and nothing is computed or written but a line. ``notify`` is a program with its arguments that
    reads as JSON what somebody has to hear of.
    """
    options = AuditOptions(command, deep, only_new, tuple(notify or ()))
    try:
        return _audited(Path(config), overrides or (), options)
    except StopRequestedError as stopped:
        return Cancelled(name="Stopped", message=str(stopped))
    except Exception as error:  # noqa: BLE001 - a chained library error can quote a file's content into Prefect's logs
        fault = error
    raise fault if isinstance(fault, AuditError) else WorkError(str(fault)) from None


@dataclass(frozen=True)
class AuditOptions:
    """What a flow run is asked beside its configuration; see ``audit``."""

    command: str
    deep: bool
    only_new: bool
    notify: tuple[str, ...]


def _audited(config: Path, overrides: Sequence[str], options: AuditOptions) -> str | State[str]:
    """Audit as a deployed flow run; whatever ends it without results is told first."""
    loaded = checked_config(config, overrides)
    request = AuditRequest(loaded, options.command, options.deep, options.only_new, options.notify)
    engine = Engine(
        say_on_page, probe=partial(silence, PREFECT_API_URL.value() or ""), flow_run=str(runtime.flow_run.name)
    )
    watcher = Watcher(said=say_on_page)
    try:
        with temporary_settings(_patience()), WorkerPool() as pool:
            if (run := run_without_news(request)) is not None:
                return Completed(name="NothingNew", message=f"nothing new since {run.name}", data=str(run))
            audits = loaded.config.run.output / loaded.config.name
            with crew_of(loaded.config.run) as crew:
                beside = Beside(PrefectPage(engine), partial(stop_is_requested, audits), crew)
                folder = conduct(begun(request, watcher, pool), engine, watcher, _as_tasks(engine), beside)
    except StopRequestedError:
        raise
    except Exception as error:
        news = failed_run(loaded.config.name, _in_a_line(error))
        with suppress(Exception):
            emit_news(news)
        tell_program(options.notify, news, say_on_page)
        raise
    tell_program(options.notify, news_of(load_results(folder), folder), say_on_page)
    if options.only_new:
        keep_newest(loaded.config, say_on_page)
    return str(folder)


def _in_a_line(error: Exception) -> str:
    """Return what may be told of a fault: our own sentences; of a library's, its kind alone."""
    return str(error) if isinstance(error, AuditError | InternalError) else type(error).__name__


def follow(run: Run, engine: Engine, watcher: Watcher, address: str, crew: Crew) -> Path:
    """Conduct a run that has begun as a flow of the Prefect server at ``address``, and without it where that fails.

    Raises:
        AuditError: as ``conduct`` does.
        InternalError: as ``conduct`` does.
    """

    def drive(work_once: Callable[[], None]) -> None:
        def body(audit: str, command: str) -> None:  # noqa: ARG001 - shown as the flow run's parameters
            engine.flow_run = str(runtime.flow_run.name)
            with interruptible():  # Prefect has set a handler of its own
                work_once()

        named = flow(
            name="audit", flow_run_name=f"audit-{run.spec.audit}", persist_result=False, result_serializer="json"
        )
        with temporary_settings({PREFECT_API_URL: address, **_patience()}), _tagged(run.spec.audit):
            named(body)(run.spec.audit, run.spec.command)

    def lose(fault: Exception) -> None:
        engine.lose(_reason(fault, address))

    def work() -> Path:
        return conduct(run, engine, watcher, _as_tasks(engine), Beside(PrefectPage(engine), crew=crew))

    engine.probe = partial(silence, address)
    try:
        return driven(work, drive, lose)
    finally:
        if engine.is_prefect:
            APILogWorker.drain_all(_LAST_WORDS, at_exit=False)  # a temporary server ends before this process does
        else:
            _forget_events()


@contextmanager
def _tagged(audit: str) -> Iterator[None]:
    with tags(RUN_TAG, audit, *vital_tags()):
        yield


def _forget_events() -> None:
    """Drop what a dead server was to be told: Prefect would try each event for seconds before this process may end."""
    for worker in tuple(EventsWorker._instances.values()):  # type: ignore[misc]  # noqa: SLF001 - Prefect has no other way
        with worker._queue.mutex:  # noqa: SLF001
            worker._queue.queue.clear()  # noqa: SLF001


def _as_tasks(engine: Engine) -> DriveShard:
    """Drive each shard as a task run, as long as Prefect does not fail; after that, plainly."""

    def lose(fault: Exception) -> None:
        engine.lose(_reason(fault, PREFECT_API_URL.value()))

    def drive_shard(shard: int, work: Callable[[], int]) -> int:
        if not engine.is_prefect:
            return work()

        def drive(run: Callable[[], None]) -> None:
            with TagsContext(current_tags=set()):  # a task with tags asks the server for a slot of each of them first
                audit_shard(run, shard)

        return driven(work, drive, lose)

    return drive_shard


def _reason(fault: Exception, address: str | None) -> str:
    return f"the Prefect server at {shown(address or 'an unknown address')} failed ({type(fault).__name__})"


def _patience() -> dict[Setting, float]:
    return {setting: value for setting, value in _PATIENCE.items() if setting.name not in os.environ}
