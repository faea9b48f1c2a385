"""A process's shards in turn: the next one is begun before the last is done, and both are kept from all others."""

import threading
from contextlib import closing

import pytest

from pipeline.checks.config_checks import checked_config
from pipeline.errors import OutputError
from pipeline.runs.run import Run
from pipeline.runs.shared.claims import TRIES
from pipeline.runs.shared.turns import shards_in_turn
from pipeline.runs.shared.worker import ShardWorker
from pipeline.walk import study_walk
from tests.pipeline.planted import plant


def run_of(folder, *, workers=0, studies=6):
    config = plant(
        folder, studies, run={"output": str(folder / "runs"), "shard_size": 2, "workers": workers, "engine": "local"}
    )
    return Run.create(checked_config(config), "camaudit run")


@pytest.fixture
def begun(tmp_path):
    """Yield a run of three shards of two studies each, of which none is worked."""
    with run_of(tmp_path) as run:
        yield run


def files_of(run):
    return {
        path.name: path.read_bytes() for folder in ("shards", "maps") for path in (run.folder / folder).glob("[!.]*")
    }


def worked(run, worker):
    order = []
    while (shard := worker.begin()) is not None:
        assert not run.is_done(shard)
        assert worker.finish() == 2
        assert run.is_done(shard)
        order.append(shard)
    return order


def test_shards_are_those_that_are_worked_one_by_one(begun):
    for shard in range(3):
        begun.work(shard)
    one_by_one = files_of(begun)
    for path in (begun.folder / "shards").iterdir():
        path.unlink()
    with Run.open(begun.folder) as again:
        again._done.clear()
        again.is_done = lambda shard: (again.folder / f"shards/{shard:04d}.parquet").exists()
        with ShardWorker(again, shards_in_turn(again, waits=False)) as worker:
            assert worked(again, worker) == [0, 1, 2]
    assert files_of(begun) == one_by_one


@pytest.mark.parametrize("workers", [0, 1])
def test_the_next_shard_is_shown_to_the_model_while_the_last_is_scored(tmp_path, monkeypatch, workers):
    next_is_shown, shown = threading.Event(), []
    explain, record = study_walk.explain_batch, study_walk._record

    def explained(*given):
        shown.append(given)
        if len(shown) == 2:
            next_is_shown.set()
        return explain(*given)

    def recorded(*given):
        assert next_is_shown.wait(60)  # without the next shard it would wait in vain
        return record(*given)

    monkeypatch.setattr(study_walk, "explain_batch", explained)
    monkeypatch.setattr(study_walk, "_record", recorded)
    with run_of(tmp_path, workers=workers) as run, ShardWorker(run, shards_in_turn(run, waits=True)) as worker:
        assert worked(run, worker) == [0, 1, 2]


def test_no_other_process_gets_a_shard_that_is_begun(tmp_path):
    with (
        run_of(tmp_path, studies=10) as begun,
        Run.open(begun.folder) as other,
        closing(shards_in_turn(other, waits=False)) as theirs,
        ShardWorker(begun, shards_in_turn(begun, waits=False)) as worker,
    ):
        assert worker.begin() == 0
        assert worker.finish() == 2  # by now the model was shown shard 1, and shard 2 is being read
        assert next(theirs) == 3
        assert worked(begun, worker) == [1, 2, 4]


def test_what_is_begun_is_anybodys_once_the_block_is_left(begun):
    with ShardWorker(begun, shards_in_turn(begun, waits=False)) as worker:
        worker.begin()
        worker.finish()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("behind", "prefetch"))]
    with Run.open(begun.folder) as other, ShardWorker(other, shards_in_turn(other, waits=False)) as worker:
        assert worked(other, worker) == [1, 2]


def test_a_shard_that_was_begun_too_often_ends_the_run(begun):
    with begun.claims.held(1):
        for _ in range(TRIES):
            begun.claims.begin(1)
    with (
        ShardWorker(begun, shards_in_turn(begun, waits=False)) as worker,
        pytest.raises(OutputError, match="shard 1 was begun 3 times"),
    ):
        worked(begun, worker)


def test_finish_asks_for_begin(begun):
    with (
        ShardWorker(begun, shards_in_turn(begun, waits=False)) as worker,
        pytest.raises(RuntimeError, match="begin must be called before finish"),
    ):
        worker.finish()
