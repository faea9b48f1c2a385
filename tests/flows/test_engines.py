"""Whatever becomes of the driver, the work is done once, and its own outcome is what counts."""

import contextlib
from asyncio import CancelledError
from types import SimpleNamespace

import pytest
from prefect.exceptions import TerminationSignal

from flows.commands.interrupts import Interrupted
from flows.engines import Attempt, Engine, WorkError, driven
from flows.server import silence
from pipeline.errors import ConfigError


class Work:
    def __init__(self, error=None):
        self.error, self.times = error, 0

    def __call__(self):
        self.times += 1
        if self.error is not None:
            raise self.error
        return 42


def before(run):
    raise ConnectionError


def after(run):
    run()
    raise ConnectionError


def never(run):
    return None


def twice(run):
    run()
    run()


def swallowing(run):
    with contextlib.suppress(WorkError):
        run()


def plainly(run):
    run()


@pytest.mark.parametrize(("drive", "faults"), [(before, 1), (after, 1), (never, 0), (twice, 0), (plainly, 0)])
def test_the_work_is_done_once_and_answered(drive, faults):
    work, told = Work(), []
    assert driven(work, drive, told.append) == 42
    assert work.times == 1
    assert [type(fault) for fault in told] == [ConnectionError] * faults


@pytest.mark.parametrize("error", [ConfigError("key"), KeyError("SECRET"), ConnectionError("the work's own")])
@pytest.mark.parametrize("drive", [before, after, never, twice, swallowing, plainly])
def test_what_the_work_raises_is_raised_and_is_no_fault_of_the_driver(drive, error):
    work, told = Work(error), []
    with pytest.raises(type(error)) as raised:
        driven(work, drive, told.append)
    assert raised.value is error
    assert work.times == 1
    assert len(told) == (drive is before)


def test_the_driver_sees_one_sentence_and_no_frames():
    def watched(run):
        try:
            run()
        except WorkError as error:
            seen.append(error)
            raise

    seen = []
    with pytest.raises(ConfigError):
        driven(Work(ConfigError("the key is wrong")), watched, seen.append)
    (error,) = seen
    assert str(error) == "the key is wrong"
    assert (error.__cause__, error.__context__) == (None, None)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), SystemExit(1), Interrupted(15)])
def test_an_interruption_is_nobodys_fault(interruption):
    def interrupted(run):
        raise interruption

    work, told = Work(), []
    with pytest.raises(type(interruption)):
        driven(work, interrupted, told.append)
    assert (work.times, told) == (0, [])
    with pytest.raises(type(interruption)):
        driven(Work(interruption), after, told.append)
    assert told == []


@contextlib.contextmanager
def replaced(by):
    try:
        yield
    except BaseException:
        raise by from None


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), Interrupted(15), TerminationSignal(15)])
@pytest.mark.parametrize("is_done", [False, True])
def test_an_interruption_is_not_lost_where_a_driver_that_breaks_replaces_it(interruption, is_done):
    def crash_untold(run):
        if is_done:
            run()
        with replaced(by=RuntimeError()), replaced(by=TimeoutError("the server that is to be told does not answer")):
            raise interruption

    work, faults = Work(), []
    with pytest.raises(type(interruption)) as raised:
        driven(work, crash_untold, faults.append)
    assert raised.value is interruption
    assert (work.times, faults) == (int(is_done), [])


@pytest.mark.parametrize("end", [CancelledError(), GeneratorExit()])
def test_what_ends_a_part_of_the_driver_alone_is_a_fault_of_the_driver(end):
    def timed_out(run):
        with replaced(by=TimeoutError()):
            raise end

    work, faults = Work(), []
    assert driven(work, timed_out, faults.append) == 42
    assert [type(fault) for fault in faults] == [TimeoutError]


@contextlib.contextmanager
def client_that_fails_to_close(**_settings):
    def interrupted():
        raise Interrupted(15)

    with replaced(by=RuntimeError("the connection is in use")):
        yield SimpleNamespace(api_healthcheck=interrupted)


def test_an_interruption_while_a_server_is_asked_is_no_silence_of_the_server(monkeypatch):
    monkeypatch.setattr("prefect.client.orchestration.get_client", client_that_fails_to_close)
    with pytest.raises(Interrupted):
        silence("http://127.0.0.1:9/api")


def test_an_attempt_that_nobody_drove_is_done_by_whoever_asks():
    work = Work()
    attempt = Attempt(work)
    assert (attempt.answer(), attempt.answer(), work.times) == (42, 42, 1)


def test_an_engine_is_lost_once_and_says_so_in_one_line():
    said = []
    engine = Engine(said.append)
    assert (engine.is_prefect, str(engine)) == (True, "prefect")
    engine.flow_run = "audit-x"
    engine.lose("the server died")
    engine.lose("and again")
    assert said == ["the server died: the run goes on without it"]
    assert str(engine) == "prefect, then local (the server died)"
    assert not engine.is_prefect
    engine = Engine(said.append)
    engine.lose("nobody there")
    assert str(engine) == "local (nobody there)"
    assert str(Engine(said.append, "local")) == "local"
