"""A schedule: a served deployment that audits what is new since the last run.

What was missed while nobody served is skipped, not made up for: an audit looks at everything that has come meanwhile.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.runner import Runner
from prefect.schedules import Cron, Interval, Schedule
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelled

from flows.audit import audit
from flows.commands.interrupts import interruptible
from flows.scheduling.arrival import Arrival, check_watched, watch_archive
from flows.scheduling.firing import Firing
from flows.scheduling.serving import serve_until_asked
from flows.scheduling.vital_signs import vital_tags, watch_for_killed_runs
from flows.telling.run_page import RUN_TAG
from pipeline.config import AuditConfig
from pipeline.errors import ConfigError
from pipeline.faults import package_logger
from pipeline.file_lock import locked_at_once
from pipeline.runs.exclusive import is_held
from pipeline.runs.nights.stop_request import forget_stop, request_stop

__all__ = ["SKIPPED", "AuditSchedule", "first_missed", "require_server", "serve"]

_RUN_NAME = re.compile(r"\d{8}T\d{6}\d*Z-")

_LOOK_SECONDS = 1.0

SKIPPED = "missed while nobody served the schedule; the next run looks at everything that is new"


@dataclass(frozen=True)
class AuditSchedule:
    """Which audit runs when. With ``catch_up`` it runs once at the start if a firing was missed.

    ``notify`` is a program that is told what somebody has to hear of.
    """

    config_path: Path
    config: AuditConfig
    overrides: Sequence[str]
    firing: Firing | Arrival
    catch_up: bool = False
    notify: tuple[str, ...] = ()


def serve(schedule: AuditSchedule, on_serving: Callable[[datetime | None], None]) -> None:
    """Serve the audit on a schedule until interrupted; every run computes only the studies that are new.

    ``on_serving`` is told when the first firing was that has been missed since the last run, None where none was.
    SIGTERM and Ctrl-C pause the deployment, let the run under way end after its shard, and return; a second one ends
    it at once. What is written is kept: the next run carries it over.

    Raises:
        ConfigError: when no Prefect server answers, the audit is served already, or its archive cannot be watched.
        OutputError: when the folder of its runs cannot be used.
    """
    if isinstance(schedule.firing, Arrival):
        check_watched(schedule.config)
    require_server()
    with _alone(schedule.config), interruptible():  # until the runner has handlers of its own
        asyncio.run(_serve(schedule, on_serving))


async def _serve(schedule: AuditSchedule, on_serving: Callable[[datetime | None], None]) -> None:
    audits = schedule.config.run.output / schedule.config.name
    forget_stop(audits)
    runner = Runner(name=schedule.config.name, limit=1, pause_on_shutdown=False)
    deployment = await audit.ato_deployment(
        name=schedule.config.name,
        schedule=_prefect_schedule(schedule.firing),
        parameters=_parameters(schedule),
        paused=False,
        tags=[RUN_TAG, schedule.config.name, *vital_tags()],
    )
    number = await runner.aadd_deployment(deployment)
    async with get_client() as client, _arrivals(schedule, client, number):
        try:
            await watch_for_killed_runs(client, package_logger().warning)
            missed = _missed(schedule)
            await _skip_missed(client, number)
            if missed is not None and schedule.catch_up:
                await client.create_flow_run_from_deployment(number)
            on_serving(missed)
            await serve_until_asked(runner, partial(_wind_down, client, number, runner, audits))
        finally:
            await client.pause_deployment(number)
            forget_stop(audits)


def _missed(schedule: AuditSchedule) -> datetime | None:
    if isinstance(schedule.firing, Arrival):
        return None  # the first look tells what has come meanwhile
    return first_missed(schedule.config, schedule.firing, datetime.now(UTC))


@asynccontextmanager
async def _arrivals(schedule: AuditSchedule, client: PrefectClient, deployment: UUID) -> AsyncIterator[None]:
    """Start a run whenever something has arrived, as long as the block lasts, where the schedule is of that kind."""
    if not isinstance(schedule.firing, Arrival):
        yield
        return

    async def start() -> bool:
        if await _under_way(client, deployment):
            return False
        await client.create_flow_run_from_deployment(deployment)
        return True

    watching = asyncio.create_task(watch_archive(schedule.config, schedule.firing, start))
    try:
        yield
    finally:
        watching.cancel()


def _parameters(schedule: AuditSchedule) -> dict[str, object]:
    return {
        "config": str(schedule.config_path.resolve()),
        "overrides": list(schedule.overrides),
        "firing": None if isinstance(schedule.firing, Arrival) else schedule.firing.as_parameters(),
        "notify": list(schedule.notify),
    }


async def _wind_down(client: PrefectClient, deployment: UUID, runner: Runner, audits: Path) -> None:
    """Let nothing new begin, ask the run under way to end after its shard, and wait until it has.

    A stopping runner kills a process that it still holds, and writes over how its run said that it ended.
    """
    await client.pause_deployment(deployment)
    request_stop(audits)
    while is_held(audits) or await _under_way(client, deployment) or not runner.has_slots_available():
        await asyncio.sleep(_LOOK_SECONDS)


async def _under_way(client: PrefectClient, deployment: UUID) -> bool:
    """Ask the server for a run that prepares, works, or has not yet said how it ended; False where it is silent."""
    working = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING]))
    )
    of_ours = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
    try:
        return bool(await client.read_flow_runs(flow_run_filter=working, deployment_filter=of_ours, limit=1))
    except httpx.HTTPError:
        return False


def first_missed(config: AuditConfig, firing: Firing, now: datetime) -> datetime | None:
    """Return the first firing after the audit's last run that is due already; None where there is none, or no run."""
    begun = [datetime.strptime(run.name[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC) for run in _runs_of(config)]
    following = firing.next_after(max(begun)) if begun else now + timedelta(1)
    return following if following <= now else None


def _runs_of(config: AuditConfig) -> list[Path]:
    folder = config.run.output / config.name
    return [path for path in folder.glob("*") if _RUN_NAME.match(path.name) and (path / "results.json").is_file()]


def _prefect_schedule(firing: Firing | Arrival) -> Schedule | None:
    if isinstance(firing, Arrival):
        return None
    if firing.every is not None:
        return Interval(firing.every, timezone=firing.timezone)
    assert firing.cron is not None
    return Cron(firing.cron, timezone=firing.timezone)


async def _skip_missed(client: PrefectClient, deployment: UUID) -> None:
    """Cancel what the server planned before now and nobody began."""
    late = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        expected_start_time=FlowRunFilterExpectedStartTime.model_validate({"before_": datetime.now(UTC)}),
    )
    of_ours = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
    while runs := await client.read_flow_runs(flow_run_filter=late, deployment_filter=of_ours, limit=100):
        for run in runs:
            await client.set_flow_run_state(run.id, Cancelled(name="Skipped", message=SKIPPED), force=True)


@contextmanager
def _alone(config: AuditConfig) -> Iterator[None]:
    """Refuse a second schedule of the same audit: its runs would stand in each other's way."""
    folder = config.run.output / config.name
    folder.mkdir(parents=True, exist_ok=True)
    with locked_at_once(folder / "schedule.lock") as is_ours:
        if not is_ours:
            raise ConfigError(f"{config.name}: another schedule serves this audit already; end it first")
        yield


def require_server() -> str:
    """Return the address of the Prefect server in use.

    Raises:
        ConfigError: when none is configured or it does not answer.
    """
    address: str | None = PREFECT_API_URL.value()
    if not address:
        raise ConfigError(
            "no Prefect server: start one with 'prefect server start' and set PREFECT_API_URL to its /api"
        )
    try:
        httpx.get(f"{address}/health", timeout=10).raise_for_status()
    except httpx.HTTPError as error:
        raise ConfigError(f"PREFECT_API_URL: no Prefect server answers at {address}") from error
    return address
