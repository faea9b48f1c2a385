"""``camaudit run``: the server starts beside imports and hashing; the model is loaded before Prefect starts threads."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.allocation import keep_freed_memory
from flows.crews.choice import crew_of, only_watches
from flows.engines import Engine
from flows.request import AuditRequest
from flows.server import PrefectServer, UnreachableError, prefect_server
from flows.telling.beside import Beside
from flows.watch import Watcher
from pipeline.errors import AuditError, InternalError
from pipeline.studies.untrusted.workers import WorkerPool
from pipeline.studies.warm_up import warm_up

__all__ = ["run_audit"]


def run_audit(
    request: AuditRequest,
    watcher: Watcher,
    say: Callable[[str], None],
    server: PrefectServer | UnreachableError | None = None,
) -> Path:
    """Audit the archive that a configuration names and render the report; return the run's folder.

    ``say`` is told in one line when the run goes on without Prefect. ``server`` is one that the caller owns; without
    it the run finds or starts its own.

    Raises:
        AuditError: one line that says what is wrong.
        InternalError: when camaudit's own code fails.
    """
    try:
        folder = _run_somewhere(request, watcher, say, server)
    except (AuditError, InternalError) as error:
        if request.notify:
            from flows.telling.outcomes import failed_run, tell_program

            tell_program(request.notify, failed_run(request.loaded.config.name, str(error)), say)
        raise
    return folder


def _run_somewhere(
    request: AuditRequest,
    watcher: Watcher,
    say: Callable[[str], None],
    server: PrefectServer | UnreachableError | None,
) -> Path:
    if (run := _without_news(request)) is not None:
        say(f"nothing new since {run.name}: its results are the answer")
        return run
    engine = Engine(say, request.loaded.config.run.engine)
    if engine.asked in ("local", "dask"):
        folder = _run_with(None, request, engine, watcher)
    elif server is not None:
        folder = _run_with(server, request, engine, watcher)
    else:
        with prefect_server() as own:
            folder = _run_with(own, request, engine, watcher)
    if request.notify:
        from flows.telling.outcomes import news_of, tell_program
        from pipeline.findings.results import load_results

        tell_program(request.notify, news_of(load_results(folder), folder), say)
    if request.only_new:
        from flows.scheduling.keeping import keep_newest

        keep_newest(request.loaded.config, say)
    return folder


def _without_news(request: AuditRequest) -> Path | None:
    """Look before a server or a process is started: a night that brings nothing new is to cost nothing."""
    if not request.only_new:
        return None
    with _collection_paused():
        from flows.conduct import run_without_news
    return run_without_news(request)


def _run_with(
    server: PrefectServer | UnreachableError | None, request: AuditRequest, engine: Engine, watcher: Watcher
) -> Path:
    watches = only_watches(request.loaded.config.run)
    if not watches:
        keep_freed_memory()
    with WorkerPool() as pool:
        if not watches:
            warm_up(pool)
        with crew_of(request.loaded.config.run) as crew:
            with _collection_paused():
                from flows.conduct import begun, conduct, plainly  # by now the server starts beside

                if not watches:
                    import pipeline.runs.start  # noqa: F401 - torch and MONAI, before Prefect starts threads

            run = begun(request, watcher, pool)
            address = _address(server, engine)
            if address is None:
                return conduct(run, engine, watcher, plainly, Beside(crew=crew))
            from flows.audit import follow

            return follow(run, engine, watcher, address, crew)


def _address(server: PrefectServer | UnreachableError | None, engine: Engine) -> str | None:
    """Return the address of the server once it answers, None when the run has to do without."""
    try:
        if isinstance(server, PrefectServer):
            from flows import audit  # noqa: F401 - Prefect, which may not be importable here

            return server.wait()
    except UnreachableError as reason:
        engine.lose(str(reason))
    except Exception as fault:  # noqa: BLE001 - whatever keeps Prefect from being imported
        engine.lose(f"Prefect cannot be loaded ({type(fault).__name__})")
    if isinstance(server, UnreachableError):
        engine.lose(str(server))
    return None


@contextmanager
def _collection_paused() -> Iterator[None]:
    """Import without looking for garbage meanwhile, and never among what modules make: it is there to stay."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
