"""Help from the workers of a Prefect work pool: child runs that join the run, on whichever machines the pool has.

Deferred annotations would break deployed runs (Prefect builds the parameters' schema from them): keep them out.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.deployments.flow_runs import arun_deployment
from prefect.exceptions import ObjectNotFound
from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)
from prefect.settings.legacy import Setting
from prefect.states import Crashed
from prefect.types.entrypoint import EntrypointType

from flows.crews.crew import Crew, IsWorking, Say
from flows.engines import WorkError
from flows.server import shown
from pipeline.errors import AuditError, ConfigError
from pipeline.runs.nights.heartbeat import beats_of_others

__all__ = ["join_run", "work_pool"]

_LOOK_SECONDS = 2.0
_PERSISTENCE: Final[dict[Setting, float]] = {PREFECT_CLIENT_MAX_RETRIES: 5, PREFECT_API_REQUEST_TIMEOUT: 60.0}
"""Without its server a pool does nothing: it is asked longer than where only a run's page depends on it."""

_SILENT_SECONDS = 180.0
"""How long child runs that have begun may say nothing: they load torch and the model before their first word."""

_DEPLOYMENT = "camaudit"


@flow(name="audit-work", flow_run_name="work-{run_id}", persist_result=False)
def join_run(folder: str, run_id: str) -> None:  # noqa: ARG001 - shown as the flow run's name
    """Work shards of a run that nobody else has, until none is left."""
    from flows.working import work_shards  # here: torch and MONAI, which the process that watches is not to hold

    try:
        work_shards(Path(folder), while_called=True)
    except Exception as error:  # noqa: BLE001 - a chained library error can quote a file's content into Prefect's logs
        fault = error
    else:
        return
    raise fault if isinstance(fault, AuditError) else WorkError(str(fault)) from None


def work_pool(pool: str, count: int) -> Crew:
    """Return a crew of ``count`` child runs in a work pool of the Prefect server that the settings name.

    Raises:
        ConfigError: when there is no server, it does not answer, or it has no such pool.
    """
    if not PREFECT_API_URL.value():
        raise ConfigError("run.engine: pool needs a Prefect server that its workers reach too; set PREFECT_API_URL")
    with _answering(), get_client(sync_client=True) as client:
        try:
            client.read_work_pool(pool)
        except ObjectNotFound as error:
            raise ConfigError(
                f"run.pool: the Prefect server has no work pool {pool!r}; prefect work-pool create"
            ) from error

    @contextmanager
    def at(folder: Path, say: Say) -> Iterator[IsWorking]:
        with temporary_settings(_PERSISTENCE), _answering():
            children = asyncio.run(_called(pool, folder, count))
        yield _Watch(folder, children, say).is_working

    return Crew(f"the work pool {pool}", at, leads=False)


@contextmanager
def _answering() -> Iterator[None]:
    """Say in one line that the server does not do what it is asked in the block.

    Raises:
        ConfigError: for whatever its client raises.
    """
    try:
        yield
    except AuditError:
        raise
    except Exception as error:
        address = shown(PREFECT_API_URL.value() or "")
        raise ConfigError(
            f"run.pool: the Prefect server at {address} does not do as it is asked ({type(error).__name__})"
        ) from error


async def _called(pool: str, folder: Path, count: int) -> list[UUID]:
    """Make the server know what a child run does, the flow of the installed package, and ask for child runs."""
    name, by_module = f"{_DEPLOYMENT}-{pool}", EntrypointType.MODULE_PATH
    deployment = await join_run.ato_deployment(name, work_pool_name=pool, entrypoint_type=by_module)
    await deployment.aapply()
    parameters = {"folder": str(folder.resolve()), "run_id": folder.name}
    children = [
        await arun_deployment(f"{join_run.name}/{name}", parameters=parameters, timeout=0) for _ in range(count)
    ]
    return [child.id for child in children]


class _Watch:
    """Looks at child runs every few seconds, and tells of each that failed.

    Of a machine that is gone the server knows nothing: its child run stays RUNNING. So child runs that have begun are
    not waited for once nobody says that he works on the run, which is asked of the run's folder, not of the server.
    """

    def __init__(self, folder: Path, children: list[UUID], say: Say) -> None:
        self._folder, self._open, self._say = folder, set(children), say
        self._next = self._heard = time.monotonic()
        self._beats = beats_of_others(folder)

    def is_working(self) -> bool:
        """Tell whether a child run has not ended yet."""
        now = time.monotonic()
        if self._open and now >= self._next:
            self._next = now + _LOOK_SECONDS
            waits = False
            with suppress(Exception), get_client(sync_client=True) as client:  # it may be away: see the folder
                waits = self._look(client)
            before, self._beats = self._beats, beats_of_others(self._folder)
            if waits or before != self._beats:
                self._heard = now
            elif now - self._heard > _SILENT_SECONDS:
                self._give_up()
        return bool(self._open)

    def _look(self, client: SyncPrefectClient) -> bool:
        """Tell whether a child run still waits for a worker; those that have ended are done with."""
        waits = False
        for child in tuple(self._open):
            state = client.read_flow_run(child).state
            if state is not None and state.is_final():
                self._open.remove(child)
                if not state.is_completed():
                    self._say(f"a child run of the work pool ended: {state.name} ({state.message})")
            elif state is None or state.is_scheduled() or state.is_pending():
                waits = True
        return waits

    def _give_up(self) -> None:
        silence = f"nobody has worked on it for {_SILENT_SECONDS:g} s: its machine is down, or does not see the folder"
        self._say(f"a child run of the work pool was given up: {silence}")
        with suppress(Exception), get_client(sync_client=True) as client:
            for child in self._open:
                client.set_flow_run_state(child, Crashed(message=silence))
        self._open.clear()
