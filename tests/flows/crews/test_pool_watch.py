"""What the process that leads a run knows of a work pool's child runs, where server and machines come and go."""

from contextlib import contextmanager
from types import SimpleNamespace
from uuid import uuid4

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Completed, Crashed, Failed, Pending, Running, Scheduled

from flows.crews import work_pool as pools
from pipeline.errors import ConfigError
from pipeline.runs.nights.heartbeat import at_work

LOOK = pools._LOOK_SECONDS + 0.1


class Pool:
    """A server that says of child runs what ``states`` holds, None where it is away; a clock; and who beats."""

    def __init__(self, monkeypatch, folder, *states):
        self.states = {uuid4(): state for state in states}
        self.now, self.said, self.beats, self.is_away = 0.0, [], frozenset(), False
        monkeypatch.setattr(pools, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(pools, "get_client", self.client)
        monkeypatch.setattr(pools, "beats_of_others", lambda _: self.beats)
        self.watch = pools._Watch(folder, list(self.states), self.said.append)

    @contextmanager
    def client(self, **_):
        if self.is_away:
            raise ConnectionError
        yield SimpleNamespace(
            read_flow_run=lambda child: SimpleNamespace(state=self.states[child]),
            set_flow_run_state=lambda child, state: self.states.update({child: state}),
        )

    def let(self, *states):
        self.states = dict(zip(self.states, states, strict=True))

    def works_after(self, seconds):
        self.now += seconds
        return self.watch.is_working()


@pytest.fixture
def pool(monkeypatch, tmp_path):
    return Pool(monkeypatch, tmp_path, Running(), Running())


def test_child_runs_are_waited_for_until_all_have_ended(pool):
    assert pool.works_after(LOOK)
    pool.let(Completed(), Failed(message="was begun with another site's key"))
    assert not pool.works_after(LOOK)
    assert pool.said == ["a child run of the work pool ended: Failed (was begun with another site's key)"]


def test_one_that_waits_for_a_worker_is_waited_for_as_long_as_it_takes(pool):
    for waiting in (Scheduled(), Pending(), None):
        pool.let(Running(), waiting)
        assert pool.works_after(10 * pools._SILENT_SECONDS)
        assert pool.works_after(LOOK)
    assert pool.said == []


def test_whoever_says_that_he_works_is_waited_for(pool):
    for beat in range(5):
        pool.beats = frozenset({("worker", beat)})
        assert pool.works_after(0.7 * pools._SILENT_SECONDS)
        pool.is_away = beat > 1  # the server tells nothing: the folder does
    assert pool.said == []


def test_the_child_run_of_a_machine_that_is_down_is_given_up(pool):
    pool.let(Completed(), Running())
    pool.beats = frozenset({("worker", 0)})
    assert pool.works_after(LOOK)
    assert pool.works_after(0.9 * pools._SILENT_SECONDS)
    assert not pool.works_after(0.2 * pools._SILENT_SECONDS)
    (sentence,) = pool.said
    assert sentence.startswith("a child run of the work pool was given up: nobody has worked on it for 180 s")
    assert [state.type for state in pool.states.values()] == [Completed().type, Crashed().type]


def test_a_server_that_is_gone_with_all_workers_is_not_waited_for(pool):
    pool.is_away = True
    assert pool.works_after(0.9 * pools._SILENT_SECONDS)
    assert not pool.works_after(0.2 * pools._SILENT_SECONDS)


def test_only_others_are_heard(tmp_path):
    run = tmp_path / "run"
    with at_work(run):
        assert pools.beats_of_others(run) == frozenset()
        other = run.parent / ".working" / "run.elsewhere.17.abcd"
        other.touch()
        assert {name for name, _ in pools.beats_of_others(run)} == {other.name}


def test_a_server_that_does_not_answer_is_told_in_one_line():
    settings = {PREFECT_API_URL: "http://somebody:secret@127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 0}
    with temporary_settings(settings), pytest.raises(ConfigError) as refused:
        pools.work_pool("audits", 1)
    assert str(refused.value) == (
        "run.pool: the Prefect server at http://127.0.0.1:9/api does not do as it is asked (ConnectError)"
    )
