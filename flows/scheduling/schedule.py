"""A schedule: a served deployment that audits what is new since the last run.

What was missed while nobody served is skipped, not made up for: an audit looks at everything that has come meanwhile.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
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
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelled

from flows.commands.interrupts import interruptible, raise_replaced_end
from flows.scheduling.arrival import Arrival, check_watched
from flows.scheduling.firing import Firing
from flows.scheduling.served_audit import AuditSchedule, ServedAudit
from flows.scheduling.serving import serve_until_asked
from flows.scheduling.vital_signs import watch_for_killed_runs
from flows.server import shown
from pipeline.config import AuditConfig
from pipeline.errors import ConfigError, OutputError
from pipeline.file_lock import locked_at_once
from pipeline.findings.custody.site_key import load_site_key
from pipeline.runs.nights.stop_request import forget_stop

__all__ = ["SKIPPED", "first_missed", "require_server", "serve"]

_RUN_NAME = re.compile(r"\d{8}T\d{6}\d*Z-")

SKIPPED = "missed while nobody served the schedule; the next run looks at everything that is new"


def serve(schedule: AuditSchedule, on_serving: Callable[[datetime | None], None]) -> None:
    """Serve the audit on a schedule until interrupted; every run computes only the studies that are new.

    ``on_serving`` is told when the first firing was that has been missed since the last run, None where none was.
    SIGTERM and Ctrl-C pause the deployment, let the run under way end after its shard, and return; a second one ends
    it at once. What is written is kept: the next run carries it over.

    Raises:
        ConfigError: when no Prefect server answers, the audit is served already, or its archive cannot be watched.
        OutputError: when the folder of its runs, or the state folder with the site's key, cannot be used.
    """
    load_site_key()  # no run can do without: said at the start, by day
    if isinstance(schedule.firing, Arrival):
        check_watched(schedule.config)
    address = require_server()
    with _alone(schedule.config), interruptible():  # until the loop has handlers of its own
        try:
            asyncio.run(_serve(schedule, address, on_serving))
        except httpx.HTTPError as error:
            raise_replaced_end(error)
            fault = f"the Prefect server at {shown(address)} failed while the schedule began ({type(error).__name__})"
            raise ConfigError(f"PREFECT_API_URL: {fault}; see its log, then start the schedule again") from error


async def _serve(schedule: AuditSchedule, address: str, on_serving: Callable[[datetime | None], None]) -> None:
    forget_stop(schedule.audits)
    async with get_client() as client:
        service = ServedAudit(schedule, client, address)
        try:
            await service.register()
            await watch_for_killed_runs(client, schedule.say)
            missed = _missed(schedule)
            await _skip_missed(client, service.deployment)
            if missed is not None and schedule.catch_up:
                await client.create_flow_run_from_deployment(service.deployment)
            on_serving(missed)
            await serve_until_asked(service)
        finally:
            forget_stop(schedule.audits)
            await service.pause()


def _missed(schedule: AuditSchedule) -> datetime | None:
    if isinstance(schedule.firing, Arrival):
        return None  # the first look tells what has come meanwhile
    return first_missed(schedule.config, schedule.firing, datetime.now(UTC))


def first_missed(config: AuditConfig, firing: Firing, now: datetime) -> datetime | None:
    """Return the first firing after the audit's last run that is due already; None where there is none, or no run."""
    begun = [datetime.strptime(run.name[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC) for run in _runs_of(config)]
    following = firing.next_after(max(begun)) if begun else now + timedelta(1)
    return following if following <= now else None


def _runs_of(config: AuditConfig) -> list[Path]:
    folder = config.run.output / config.name
    return [path for path in folder.glob("*") if _RUN_NAME.match(path.name) and (path / "results.json").is_file()]


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
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}; choose another run.output") from error
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
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ConfigError(f"PREFECT_API_URL: no Prefect server answers at {shown(address)}") from error
    return address
