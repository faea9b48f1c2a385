"""What the process that leads a run sees of a crew that works it: who is called, who died, and when it may leave."""

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from flows.conduct import plainly
from flows.crews.crew import NO_CREW, Crew
from flows.crews.dask_cluster import _is_working
from flows.engines import Engine
from flows.shards import ShardWork, work_all
from flows.telling.beside import Beside, StopRequestedError
from flows.watch import Watcher
from flows.working import work_shards
from pipeline.checks.config_checks import checked_config
from pipeline.errors import OutputError
from pipeline.runs.run import Run
from pipeline.runs.shared.claims import TRIES
from tests.pipeline.planted import plant
from tests.pipeline.shared_pool import POOL


@pytest.fixture
def begun(tmp_path):
    """Yield a run of three shards of one study each, of which none is worked."""
    settings = {"output": str(tmp_path / "runs"), "shard_size": 1, "workers": 0, "engine": "local"}
    with Run.create(checked_config(plant(tmp_path, 3, run=settings)), "camaudit run") as run:
        yield run


@dataclass
class WatchedCrew:
    """A crew of one that works a shard whenever it is looked for; when the run is asked to end; what was seen."""

    run: Run
    stops_after: int = 99
    looks: list[bool] = field(default_factory=list)
    calls: Counter = field(default_factory=Counter)

    def must_stop(self) -> bool:
        return sum(map(self.run.is_done, range(3))) >= self.stops_after

    def crew(self, works):
        @contextmanager
        def at(folder, say):
            say(f"call {self.calls['begun']} went wrong")
            self.calls["begun"] += 1
            assert self.run.claims.is_called
            yield works

        return Crew("a crew", at, leads=False)

    def is_working(self) -> bool:
        self.looks.append(self.run.claims.is_called)
        shard = len(self.looks) - 1
        with self.run.claims.held(shard):
            self.run.work(shard)
        return True

    def work(self, works):
        beside = Beside(must_stop=self.must_stop, crew=self.crew(works))
        work_all(ShardWork(self.run, Engine(print, "local"), Watcher(), plainly, beside), beside.crew)


def test_a_crew_is_called_until_all_shards_are_done(begun):
    asked = WatchedCrew(begun)
    asked.work(asked.is_working)
    assert asked.looks == [True, True, True]
    assert not begun.claims.is_called


def test_a_run_that_is_to_end_waits_for_the_shard_under_way_alone(begun):
    asked, held = WatchedCrew(begun, stops_after=1), []
    with begun.claims.held(2):  # somebody has a shard in hand when the run is asked to end

        def works() -> bool:
            held.append(begun.claims.is_called)
            if len(held) == 1:
                begun.work(0)
            if len(held) == 3:
                begun.work(2)
            return len(held) < 4

        with pytest.raises(StopRequestedError, match="stopped after 2 of 3 shards"):
            asked.work(works)
    assert held == [True, False, False, False]
    assert asked.calls == {"begun": 1}


def test_nobody_is_waited_for_where_nobody_has_a_shard_in_hand(begun):
    asked = WatchedCrew(begun, stops_after=0)
    with pytest.raises(StopRequestedError, match="stopped after 0 of 3 shards"):
        asked.work(pytest.fail)


def test_a_crew_that_ends_before_the_shards_are_done_is_called_again(begun):
    asked = WatchedCrew(begun)
    with pytest.raises(OutputError, match=f"a crew was called {TRIES} times and left 3 of 3 shards undone") as refused:
        asked.work(lambda: False)
    assert str(refused.value).endswith("(0, 1, 2); call 2 went wrong")
    assert asked.calls == {"begun": TRIES}


def test_who_was_called_ends_after_its_shard_once_nobody_calls(begun):
    done = []
    assert work_shards(begun.folder, pool=POOL, while_called=True) == 0
    with begun.claims.calling() as _:
        assert begun.claims.is_called
    call = begun.claims.calling()
    call.__enter__()

    def on_shard(shard: int) -> None:
        done.append(shard)
        call.__exit__(None, None, None)

    assert work_shards(begun.folder, on_shard=on_shard, pool=POOL, while_called=True) == 1
    assert done == [0]
    assert not begun.claims.is_held(1)
    assert work_shards(begun.folder, pool=POOL) == 2  # whoever came by itself stays


def test_the_task_of_a_dask_worker_that_died_is_not_waited_for():
    pending, over = SimpleNamespace(done=lambda: False), SimpleNamespace(done=lambda: True)
    client = SimpleNamespace(nthreads=lambda: {"tcp://second": 1, "tcp://new": 1})
    assert not _is_working(client, {"tcp://died": pending, "tcp://second": over})
    assert _is_working(client, {"tcp://died": over, "tcp://second": pending})


def test_the_tasks_of_a_scheduler_that_died_are_not_waited_for():
    def gone():
        raise OSError("the scheduler has closed the connection")

    assert not _is_working(SimpleNamespace(nthreads=gone), {"tcp://first": SimpleNamespace(done=lambda: False)})


def test_who_leads_works_every_shard_abreast_of_the_crew(begun):
    seen = []

    @contextmanager
    def abreast():
        seen.append("begun")
        yield
        seen.append("ended")

    def work_shard(shard, work):
        seen.append(shard)
        return work()

    crew = Crew("a crew", NO_CREW.at, abreast=abreast)
    work_all(ShardWork(begun, Engine(print, "local"), Watcher(), work_shard, Beside(crew=crew)), crew)
    assert seen == ["begun", 0, 1, 2, "ended"]
