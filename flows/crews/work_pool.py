"""Help from the workers of a Prefect work pool: child runs that join the run, on whichever machines the pool has.

Deferred annotations would break deployed runs (Prefect builds the parameters' schema from them): keep them out.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.deployments.flow_runs import arun_deployment
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL
from prefect.types.entrypoint import EntrypointType

from flows.crews.crew import Crew, IsWorking
from flows.engines import WorkError
from pipeline.errors import AuditError, ConfigError
from pipeline.faults import package_logger

__all__ = ["join_run", "work_pool"]

_LOOK_SECONDS = 2.0
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
        ConfigError: when there is no server, or it has no such pool.
    """
    if not PREFECT_API_URL.value():
        raise ConfigError("run.engine: pool needs a Prefect server that its workers reach too; set PREFECT_API_URL")
    with get_client(sync_client=True) as client:
        try:
            client.read_work_pool(pool)
        except ObjectNotFound as error:
            raise ConfigError(
                f"run.pool: the Prefect server has no work pool {pool!r}; prefect work-pool create"
            ) from error

    @contextmanager
    def at(folder: Path) -> Iterator[IsWorking]:
        yield _Watch(asyncio.run(_called(pool, folder, count))).is_working

    return Crew(f"the work pool {pool}", at, leads=False)


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
    """Looks at child runs every few seconds, and tells once of each that failed."""

    def __init__(self, children: list[UUID]) -> None:
        self._open = set(children)
        self._next = time.monotonic()

    def is_working(self) -> bool:
        """Tell whether a child run has not ended yet."""
        if self._open and time.monotonic() >= self._next:
            self._next = time.monotonic() + _LOOK_SECONDS
            with get_client(sync_client=True) as client:
                for child in tuple(self._open):
                    state = client.read_flow_run(child).state
                    if state is not None and state.is_final():
                        self._open.remove(child)
                        if not state.is_completed():
                            package_logger().warning("a child run of the work pool ended: %s", state.name)
        return bool(self._open)
