"""The first signal lets the run under way end in order, the second ends it at once. What serves is a stand-in."""

import asyncio
import os
import signal
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import UUID

import httpx
import pytest
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.commands.interrupts import Interrupted
from flows.scheduling import schedule
from flows.scheduling.firing import Firing
from flows.scheduling.served_audit import AuditSchedule, ServedAudit
from flows.scheduling.serving import QuietRunner, serve_until_asked
from pipeline.config_file import load_config
from pipeline.errors import ConfigError, OutputError
from pipeline.runs.nights.stop_request import stop_is_requested
from tests.pipeline.planted import plant


class StandIn:
    """Serves until it is stopped or has wound down; ``steps`` are what was asked of it."""

    def __init__(self, winds_down=True):
        self.steps, self.winds_down = [], winds_down
        self.wound_down = asyncio.Event()

    def begin(self):
        """Do what happens as the serving begins."""

    async def serve(self, ending):
        self.begin()
        await ending.wait()
        await self.wound_down.wait()

    async def wind_down(self):
        self.steps.append("wind down")
        await asyncio.sleep(0.1)
        if self.winds_down:
            self.wound_down.set()
        else:
            os.kill(os.getpid(), signal.SIGTERM)

    async def stop(self):
        self.steps.append("stop")
        self.wound_down.set()

    async def stopped(self):
        self.steps.append("stopped")


class SignalledAtOnce(StandIn):
    """A runner sets its handler, and the signal comes before it has started."""

    def __init__(self, number, **options):
        super().__init__(**options)
        self.number = number

    def begin(self):
        signal.signal(signal.SIGTERM, QuietRunner(name="stand-in").handle_sigterm)  # as it does, first of all
        os.kill(os.getpid(), self.number)


def served(make):
    """Serve what ``make`` makes until it has ended; return it and the exit code."""

    async def serve():
        service = make()
        with pytest.raises(Interrupted) as raised:
            await serve_until_asked(service)
        return service, raised.value.code

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        return asyncio.run(serve())
    finally:
        assert {number: signal.getsignal(number) for number in before} == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_first_signal_winds_down(number, code):
    service, ended = served(lambda: SignalledAtOnce(number))
    assert service.steps == ["wind down"]
    assert ended == code


def test_the_second_signal_waits_for_nothing():
    service, ended = served(lambda: SignalledAtOnce(signal.SIGTERM, winds_down=False))
    assert service.steps == ["wind down", "stop", "stopped"]
    assert ended == 143


def test_a_folder_that_cannot_be_made_is_refused_in_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(schedule, "require_server", lambda: "http://127.0.0.1:9/api")
    config = load_config(plant(tmp_path, 3))
    (tmp_path / "runs").touch()
    with pytest.raises(OutputError, match="cannot be made: Not a directory"):
        schedule.serve(AuditSchedule(tmp_path / "audit.yaml", config, (), Firing(every=timedelta(1))), pytest.fail)


def test_a_state_folder_that_cannot_be_used_is_refused_in_a_line(tmp_path, monkeypatch):
    (tmp_path / "state").touch()
    monkeypatch.setenv("CAMAUDIT_STATE", str(tmp_path / "state" / "camaudit"))
    config = load_config(plant(tmp_path, 3))
    with pytest.raises(OutputError, match="set CAMAUDIT_STATE to a folder that you can write"):
        schedule.serve(AuditSchedule(tmp_path / "audit.yaml", config, (), Firing(every=timedelta(1))), pytest.fail)


@pytest.mark.parametrize("address", ["http://somebody:secret@127.0.0.1:9/api", "http://somebody:secret@:x/api"])
def test_a_server_that_does_not_answer_is_named_without_its_password(address, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", address)
    with temporary_settings({PREFECT_API_URL: address}), pytest.raises(ConfigError) as refused:
        schedule.require_server()
    assert str(refused.value).startswith("PREFECT_API_URL: no Prefect server answers at http://")
    assert "secret" not in str(refused.value)


class ServerStandIn:
    """A stand-in for the client of a server that is there, away, or came back without what it knew."""

    def __init__(self, *answers):
        self.answers, self.registered, self.runs, self.states = list(answers), 0, [], {}

    async def get_scheduled_flow_runs_for_deployments(self, _deployments, scheduled_before):
        assert scheduled_before is not None
        answer = self.answers.pop(0)
        if answer == "away":
            raise httpx.ConnectError("refused")
        return self.runs

    async def set_flow_run_state(self, run, state, *, force):
        assert force
        self.states[run] = state.name

    async def read_deployment(self, _deployment):
        if self.answers[0] == "forgetful":
            raise ObjectNotFound(httpx.HTTPError("404"))
        if self.answers[0] == "away":
            raise httpx.ConnectError(self.answers.pop(0))

    async def pause_deployment(self, _deployment):
        raise httpx.ConnectError("refused")


@pytest.mark.parametrize(
    ("answers", "registered", "said"),
    [
        (["there", "away", "away", "there"], 1, []),
        (["away", "away", "away", "away", "there"], 1, ["failed (ConnectError); it is asked again", "answers again"]),
        (["away", "forgetful", "there"], 2, []),
    ],
)
def test_a_server_that_is_away_is_asked_again(tmp_path, monkeypatch, answers, registered, said):
    heard, server = [], ServerStandIn(*answers)

    async def register(_runner, _deployment):
        server.registered += 1
        return UUID(int=1)

    async def serve():
        ending, service = asyncio.Event(), ServedAudit(planned, server, "http://somebody:secret@127.0.0.1:9/api")
        service._runner.query_seconds = 0.001
        await service.register()
        serving = asyncio.create_task(service.serve(ending))
        while server.answers:
            await asyncio.sleep(0.001)
        ending.set()
        await serving
        await service.wind_down()

    monkeypatch.setattr(QuietRunner, "aadd_deployment", register)
    planned = AuditSchedule(
        tmp_path / "audit.yaml", load_config(plant(tmp_path, 3)), (), Firing(every=timedelta(1)), say=heard.append
    )
    planned.audits.mkdir(parents=True)
    asyncio.run(serve())
    assert server.registered == registered
    *heard, at_the_end = heard
    assert heard == [f"the Prefect server at http://127.0.0.1:9/api {sentence}" for sentence in said]
    assert at_the_end.startswith("the deployment could not be paused (ConnectError): the server goes on planning runs")
    assert stop_is_requested(planned.audits)


def test_what_is_too_late_is_skipped_without_a_process(tmp_path, monkeypatch):
    """Behind a run of hours a schedule of minutes has hundreds. The newest begins: else none ever would, where it takes
    longer to load than the next is away.
    """
    begun, server, now = [], ServerStandIn("there"), datetime.now(UTC)
    ages = {1: (300, True), 2: (150, True), 4: (70, True), 3: (90, True), 5: (300, False), 6: (-8, True)}
    server.runs = [
        SimpleNamespace(id=number, expected_start_time=now - timedelta(seconds=age), auto_scheduled=by_itself)
        for number, (age, by_itself) in ages.items()
    ]

    async def begin(_runner, run_once):
        begun.append(run_once)

    async def register(_runner, _deployment):
        return UUID(int=1)

    async def serve():
        ending, service = asyncio.Event(), ServedAudit(planned, server, "http://127.0.0.1:9/api")
        await service.register()
        serving = asyncio.create_task(service.serve(ending))
        while not begun:
            await asyncio.sleep(0.001)
        ending.set()
        await serving

    monkeypatch.setattr(QuietRunner, "aadd_deployment", register)
    monkeypatch.setattr(QuietRunner, "start", begin)
    config = load_config(plant(tmp_path, 3))
    planned = AuditSchedule(tmp_path / "audit.yaml", config, (), Firing(every=timedelta(minutes=1)), say=pytest.fail)
    asyncio.run(serve())
    assert server.states == {1: "Skipped", 2: "Skipped", 3: "Skipped"}
    assert begun == [True]


class Broken(StandIn):
    async def serve(self, _ending):
        raise ConnectionError


def test_what_serving_raises_is_raised():
    async def serve():
        await serve_until_asked(Broken())

    with pytest.raises(ConnectionError):
        asyncio.run(serve())
