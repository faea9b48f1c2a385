"""Help from a Dask cluster: as many workers as it has, each joining the run as a process of its own would."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from logging import CRITICAL
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flows.crews.crew import Crew, IsWorking, Say
from pipeline.errors import AuditError, ConfigError
from pipeline.extras import needs

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["dask_cluster"]

_WAIT_SECONDS = 60
_QUIET: Final = {
    "silence_logs": CRITICAL,
    "dashboard_address": None,
    "scheduler_kwargs": {"dashboard_address": "127.0.0.1:0"},  # of its own port it would say that another one has it
}


def dask_cluster(address: str | None, count: int) -> Crew:
    """Return a crew of the Dask cluster whose scheduler is at ``address``; without one, of ``count`` local workers.

    Each worker is given one task, which claims shards until none is left: what Dask holds does not grow with the run.

    Raises:
        ConfigError: when Dask is not installed.
    """
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"run.engine: dask {needs('distributed')}") from error

    @contextmanager
    def at(folder: Path, say: Say) -> Iterator[IsWorking]:
        with _client(address, count) as client:
            client.wait_for_workers(1, timeout=_WAIT_SECONDS)
            tasks = {
                name: client.submit(_work, str(folder), workers=[name], pure=False, retries=0)
                for name in _workers(client)
            }
            try:
                yield partial(_is_working, client, tasks)
            finally:
                _tell(tasks.values(), say)
                client.cancel(list(tasks.values()))

    return Crew("the Dask cluster", at, leads=False)


@contextmanager
def _client(address: str | None, count: int) -> "Iterator[Client]":
    from distributed import Client, LocalCluster

    if address is None:
        with (
            LocalCluster(count, threads_per_worker=1, host="127.0.0.1", **_QUIET) as cluster,
            Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = Client(address, timeout=_WAIT_SECONDS)
    except OSError as error:
        raise ConfigError(f"run.cluster: no Dask scheduler answers at {address}") from error
    with client:
        yield client


def _is_working(client: "Client", tasks: "Mapping[str, Future[str | None]]") -> bool:
    """Tell whether a worker is at its task. That of one that died waits for ever: a new one has another address."""
    pending = {name for name, task in tasks.items() if not task.done()}
    return bool(pending) and not pending.isdisjoint(_workers(client))


def _workers(client: "Client") -> set[str]:
    """Return the addresses of a cluster's workers; none where its scheduler is gone.

    Not by ``scheduler_info``: a thread of the client empties that list every few seconds.
    """
    try:
        return set(client.nthreads())
    except OSError:
        return set()


def _work(folder: str) -> str | None:
    """Join a run in a worker; return what went wrong: Dask would log an error's frames and values otherwise."""
    from flows.working import work_shards  # here: torch and MONAI, which the process that watches is not to hold

    try:
        work_shards(Path(folder), while_called=True)
    except AuditError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - told by its kind; its trace is in the run's folder
        return type(error).__name__
    return None


def _tell(tasks: "Iterable[Future[str | None]]", say: Say) -> None:
    """Say what ended a worker's task before the shards were done."""
    for task in tasks:
        if task.done():
            fault = task.result() if task.status == "finished" else f"it is {task.status}"
            if fault is not None:
                say(f"a Dask worker ended: {fault}")
