"""What a schedule serves: an audit's deployment on a Prefect server, whose runs are begun when they are due."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, redirect_stdout, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.schedules import Cron, Interval, Schedule
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.settings.legacy import Setting
from prefect.states import Cancelled

from flows.audit import audit
from flows.commands.interrupts import children_deaf_to_terminal
from flows.scheduling.arrival import Arrival, watch_archive
from flows.scheduling.firing import Firing
from flows.scheduling.serving import QuietRunner
from flows.scheduling.vital_signs import vital_tags
from flows.server import shown
from flows.telling.run_page import RUN_TAG
from pipeline.config import AuditConfig
from pipeline.errors import OutputError
from pipeline.faults import package_logger
from pipeline.runs.nights.stop_request import request_stop

__all__ = ["AT_ONCE", "LATE", "AuditSchedule", "ServedAudit"]

LATE = "the next firing was due before this one could begin; that one looks at everything that is new"
AT_ONCE = "the schedule was asked a second time to end; what is written is carried over by the next run"

_PREFETCH = timedelta(seconds=10)  # so long before a run is due its process begins to load, as Prefect's runner does
_PAUSE_SECONDS = 10.0  # that the server gets to take word of the end
_STOP_SECONDS = 60.0  # until a run that was told to end at once has ended, or is killed
_SILENT = 3  # times in a row that a server did not answer, until that is said
_RETRIES = 3  # of each of a runner's requests, 14 s in all; Prefect's own five are a minute, and a run's end is several
_HURRIED: Mapping[Setting, Any] = {PREFECT_CLIENT_MAX_RETRIES: 1}


@dataclass(frozen=True)
class AuditSchedule:
    """Which audit runs when. With ``catch_up`` it runs once at the start if a firing was missed.

    ``notify`` is a program that is told what somebody has to hear of, ``say`` what must not be overlooked meanwhile.
    """

    config_path: Path
    config: AuditConfig
    overrides: Sequence[str]
    firing: Firing | Arrival
    catch_up: bool = False
    notify: tuple[str, ...] = ()
    say: Callable[[str], None] = package_logger().warning

    @property
    def audits(self) -> Path:
        """The folder of the audit's runs."""
        return self.config.run.output / self.config.name


class ServedAudit:
    """Begins an audit's runs when they are due, one at a time, as long as it is not asked to end.

    Prefect's own loop gives up once its server has been silent for half a minute, and kills the run under way: here
    its runner is called when there is something to begin, and a server that is away is asked again for ever.
    """

    def __init__(self, schedule: AuditSchedule, client: PrefectClient, address: str) -> None:
        self._schedule, self._client, self._server = schedule, client, f"the Prefect server at {shown(address)}"
        self._runner = QuietRunner(name=schedule.config.name, limit=1, pause_on_shutdown=False)
        self._clock = _prefect_schedule(schedule.firing)  # made once: --every counts from here
        self._known: UUID | None = None
        self._silences = 0  # one after the other

    @property
    def deployment(self) -> UUID:
        """The deployment's number on the server."""
        assert self._known is not None
        return self._known

    async def register(self) -> None:
        """Have the server plan the runs.

        Raises:
            httpx.HTTPError: when it does not.
        """
        schedule = self._schedule
        made = await audit.ato_deployment(
            name=schedule.config.name,
            schedule=self._clock,
            parameters=_parameters(schedule),
            paused=False,
            tags=[RUN_TAG, schedule.config.name, *vital_tags()],
        )
        self._known = await self._runner.aadd_deployment(made)

    async def serve(self, ending: asyncio.Event) -> None:
        """Begin what is due until ``ending`` is set; what runs then is waited for."""
        watching = self._watching(ending)
        try:
            while not ending.is_set():
                if watching is not None and watching.done():
                    return watching.result()  # it ends by a fault alone
                await self._begin_due()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._runner.query_seconds):
                        await ending.wait()
        finally:
            if watching is not None:
                watching.cancel()

    async def wind_down(self) -> None:
        """Let nothing new begin, and ask the run under way to end after its shard."""
        try:
            request_stop(self._schedule.audits)
        except OutputError as error:
            self._schedule.say(f"{error}; the run under way goes on to its end: a second signal ends it at once")
        await self.pause()

    async def stop(self) -> None:
        """End the run under way at once."""
        with suppress(Exception), temporary_settings(dict(_HURRIED)):  # it may find that the runner ends with the run
            async with asyncio.timeout(_STOP_SECONDS):
                await self._runner.astop()

    async def stopped(self) -> None:
        """Say on the page of a run that was ended at once that it has ended, where nobody else has."""
        try:
            with temporary_settings(dict(_HURRIED)):
                async with asyncio.timeout(_PAUSE_SECONDS):
                    for run in await _under_way(self._client, self.deployment):
                        await self._client.set_flow_run_state(
                            run.id, Cancelled(name="Stopped", message=AT_ONCE), force=True
                        )
        except (httpx.HTTPError, PrefectException, TimeoutError) as error:
            self._schedule.say(f"the end of the run under way could not be told to the server ({type(error).__name__})")

    async def pause(self) -> None:
        """Have the server plan nothing more; where it does not answer, say what follows."""
        if self._known is None:
            return
        try:
            with temporary_settings(dict(_HURRIED)):
                async with asyncio.timeout(_PAUSE_SECONDS):
                    await self._client.pause_deployment(self._known)
        except (httpx.HTTPError, PrefectException, TimeoutError) as error:
            self._schedule.say(
                f"the deployment could not be paused ({type(error).__name__}): the server goes on planning runs, and "
                "the next start of the schedule skips them"
            )

    async def _begin_due(self) -> None:
        """Run what is due to its end; a server that is away is said to be away once."""
        try:
            with temporary_settings(dict(_HURRIED)):
                if self._silences:
                    await self._register_again()
                is_due = await self._is_due()
            if is_due:
                await self._run_due()
        except Exception as error:  # noqa: BLE001 - whatever breaks where a server goes away
            self._silences += 1
            if self._silences == _SILENT:
                self._schedule.say(f"{self._server} failed ({type(error).__name__}); it is asked again")
        else:
            if self._silences >= _SILENT:
                self._schedule.say(f"{self._server} answers again")
            self._silences = 0

    async def _run_due(self) -> None:
        """Have the runner begin a run, and wait for its end."""
        patience = {} if PREFECT_CLIENT_MAX_RETRIES.name in os.environ else {PREFECT_CLIENT_MAX_RETRIES: _RETRIES}
        with ExitStack() as stack:
            stack.enter_context(temporary_settings(patience))
            nowhere = stack.enter_context(Path(os.devnull).open("w"))
            stack.enter_context(redirect_stdout(nowhere))  # the runner prints frames of its own
            stack.enter_context(children_deaf_to_terminal())  # the first Ctrl-C is for the schedule
            await self._runner.start(run_once=True)

    async def _register_again(self) -> None:
        """Register anew with a server that came back without what it knew: it would plan nothing, and say nothing."""
        try:
            await self._client.read_deployment(self.deployment)
        except ObjectNotFound:
            await self.register()

    async def _is_due(self) -> bool:
        """Tell whether a run is to begin; of several firings that are due the older ones are skipped here, unbegun."""
        client, now = self._client, datetime.now(UTC)
        runs = await client.get_scheduled_flow_runs_for_deployments([self.deployment], scheduled_before=now + _PREFETCH)
        for run in _missed(runs, now):
            await client.set_flow_run_state(run.id, Cancelled(name="Skipped", message=LATE), force=True)
        return bool(runs)

    def _watching(self, ending: asyncio.Event) -> "asyncio.Task[None] | None":
        """Start a run whenever something has arrived, where the schedule is of that kind."""
        schedule = self._schedule
        if not isinstance(schedule.firing, Arrival):
            return None

        async def start() -> bool:
            if ending.is_set():
                return False
            try:
                if await _under_way(self._client, self.deployment):
                    return False
                await self._client.create_flow_run_from_deployment(self.deployment)
            except (httpx.HTTPError, PrefectException):
                return False  # asked again: what has arrived waits
            return True

        return asyncio.create_task(watch_archive(schedule.config, schedule.firing, start, schedule.say))


def _missed(runs: Sequence[FlowRun], now: datetime) -> list[FlowRun]:
    """Return the firings that are due, but for the newest of them, which always begins, however late it is."""
    due = [(run.expected_start_time, run) for run in runs if run.auto_scheduled and run.expected_start_time is not None]
    ordered = sorted(((planned, run) for planned, run in due if planned <= now), key=lambda pair: pair[0])
    return [run for _, run in ordered[:-1]]


def _parameters(schedule: AuditSchedule) -> dict[str, object]:
    return {
        "config": str(schedule.config_path.resolve()),
        "overrides": list(schedule.overrides),
        "notify": list(schedule.notify),
    }


async def _under_way(client: PrefectClient, deployment: UUID) -> list[FlowRun]:
    """Ask the server for the runs that prepare, work, or have not yet said how they ended."""
    states = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
    working = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=states)))
    of_ours = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
    return await client.read_flow_runs(flow_run_filter=working, deployment_filter=of_ours, limit=10)


def _prefect_schedule(firing: Firing | Arrival) -> Schedule | None:
    if isinstance(firing, Arrival):
        return None
    if firing.every is not None:
        return Interval(firing.every, timezone=firing.timezone)
    assert firing.cron is not None
    return Cron(firing.cron, timezone=firing.timezone)
