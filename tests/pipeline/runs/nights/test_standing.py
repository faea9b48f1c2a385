"""A run is under way while a living process says so: a killed one leaves nothing that is believed."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from pipeline.errors import OutputError
from pipeline.runs.nights import heartbeat
from pipeline.runs.nights.half_made import half_made_runs
from pipeline.runs.nights.heartbeat import SILENT_SECONDS, at_work, workers_of
from pipeline.runs.nights.standing import audit_folder_of, standing_of, standings_of
from tests.pipeline.planted import plant
from tests.pipeline.runs.test_run import complete
from tests.pipeline.steps import begin, work

PROGRAM = """
import sys, time
from pathlib import Path
from pipeline.runs.nights.heartbeat import at_work
with at_work(Path(sys.argv[1])):
    print("at work", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def run(tmp_path):
    return begin(plant(tmp_path, 6))


def test_a_killed_process_is_not_running(run):
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(run)], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"at work\n"
        standing = standing_of(run)
        assert standing.state == "running"
        assert [worker.process for worker in standing.workers] == [process.pid]
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    standing = standing_of(run)
    assert standing.state == "interrupted"
    assert [worker.alive for worker in standing.workers] == [False]


def test_who_ends_by_himself_leaves_nothing(run):
    with at_work(run):
        assert standing_of(run).state == "running"
        with at_work(run.with_name("another")):
            pass
    assert workers_of(run) == ()
    assert not (run.parent / ".working").exists()


def test_who_breaks_off_leaves_nothing_either(run):
    with pytest.raises(KeyError), at_work(run):
        raise KeyError
    assert not (run.parent / ".working").exists()


def test_of_another_machine_the_beat_tells(run, monkeypatch):
    folder = run.parent / ".working"
    folder.mkdir()
    path = folder / f"{run.name}.elsewhere.12.1"
    path.touch()
    assert standing_of(run).state == "running"
    then = time.time() - SILENT_SECONDS - 1
    os.utime(path, (then, then))
    assert standing_of(run).state == "interrupted"


def test_the_beat_goes_on(run):
    with at_work(run, interval=0.01):
        (path,) = (run.parent / ".working").iterdir()
        os.utime(path, (1, 1))
        while path.stat().st_mtime < 2:
            time.sleep(0.01)


def test_shards_and_answers(tmp_path):
    config = plant(tmp_path, 6)
    begun = begin(config)
    work(begun, 0)
    assert (standing_of(begun).state, standing_of(begun).done, standing_of(begun).shards) == ("interrupted", 1, 2)
    finished, _ = complete(config)
    standing = standing_of(finished)
    assert (standing.state, standing.has_report, standing.exploratory) == ("finished", False, True)
    assert sum(standing.answers.values()) == 3
    assert standing.flow == {"analysed": 6, "excluded": 0, "failed": 0, "computed": 1, "reused": 5}
    assert [known.state for known in standings_of(begun.parent)] == ["interrupted", "finished"]
    assert audit_folder_of(finished) == (begun.parent, (finished,))


def test_what_cannot_be_read_says_why(run):
    path = run / "run.json"
    path.write_text(re.sub(r'"schema_version": \d+', '"schema_version": 1', path.read_text(), count=1))
    standing = standing_of(run)
    assert standing.state == "unreadable"
    assert "is of schema 1" in standing.reason
    assert str(run) not in standing.reason


def half_made(run, left):
    """Leave of a run what a process left that was killed in its start."""
    for path in run.iterdir():
        if path.name not in left:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    if "ledger.jsonl" in left:
        ledger = run / "ledger.jsonl"
        ledger.write_bytes(b"".join(ledger.read_bytes().splitlines(keepends=True)[:3]))


@pytest.mark.parametrize("left", [("run.json",), ("run.json", "cohort.json", "private", "ledger.jsonl")])
def test_a_run_that_was_killed_in_its_start(run, left):
    half_made(run, left)
    standing = standing_of(run)
    assert (standing.state, standing.studies, standing.shards) == ("interrupted", 0, 0)
    assert standing.reason.startswith("has not begun")
    assert half_made_runs(run.parent) == [run]


@pytest.mark.parametrize("kept", ["results.json", "shards/0000.parquet"])
def test_a_run_whose_ledger_was_taken_away_is_no_such_run(run, kept):
    (run / "ledger.jsonl").unlink()
    (run / "shards").mkdir()
    (run / kept).touch()
    assert standing_of(run).state == "unreadable"
    assert half_made_runs(run.parent) == []


def test_others_folders_are_no_runs_that_never_began(run):
    for name in ("notes", "20260301Z-abc", "20260301T020001000Z-notes"):
        (run.with_name(name)).mkdir()
    assert half_made_runs(run.parent) == []
    empty = run.with_name("20260301T020001000Z-0123abcd")
    empty.mkdir()
    assert half_made_runs(run.parent) == [empty]
    with at_work(empty):
        assert half_made_runs(run.parent) == []


def test_a_folder_without_runs(tmp_path):
    with pytest.raises(OutputError, match="holds no run; give the folder of a run"):
        standings_of(tmp_path)


def test_hosts_with_dots_are_read_back(run, monkeypatch):
    monkeypatch.setattr(heartbeat.socket, "gethostname", lambda: "reading.room.local")
    with at_work(run):
        (worker,) = workers_of(run)
    assert (worker.host, worker.process, worker.alive) == ("reading-room-local", os.getpid(), True)
