"""A worker of a cluster or a pool is killed while it reads one shard and the maps of another are being scored."""

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from pipeline.findings.results import load_results
from tests.flows.crews.run_folders import FIELDS, FOLLOWING
from tests.flows.scheduling.test_schedule import server, stopping  # noqa: F401 - fixtures
from tests.kill.test_apart_and_crews import begun_shards, verified, wait
from tests.kill.test_kill import SHARDS, done, undisturbed  # noqa: F401 - a fixture

pytestmark = pytest.mark.kill

POOL = ("run.engine=pool", "run.pool=audits", "run.processes=2")


@pytest.fixture
def workers(server, stopping, tmp_path, monkeypatch):  # noqa: F811
    """Start a server, a work pool and its two workers; return the workers."""
    environment = server[1] | {"PYTHONPATH": str(Path(__file__).parents[2])}  # a child run imports what runs here
    for name in ("PREFECT_HOME", "PREFECT_API_URL"):
        monkeypatch.setenv(name, environment[name])
    prefect = [sys.executable, "-m", "prefect"]
    subprocess.run([*prefect, "work-pool", "create", "audits", "--type", "process"], env=environment, check=True)
    for number in range(2):
        worker = [*prefect, "worker", "start", "--pool", "audits", "--name", f"worker{number}"]
        with (tmp_path / f"worker{number}.log").open("w") as log:
            stopping.append(subprocess.Popen(worker, env=environment, stdout=log, stderr=log))
    return [worker.pid for worker in stopping[-2:]]


def overlapping(run):
    """Return the process that has two unfinished shards in hand, and which they are; None where none has."""
    finished = {shard for shard, _ in done(run)}
    in_hand = {shard: who for shard, who in begun_shards(run).items() if shard not in finished}
    holders = {shard: int(who.split('"process": ')[-1].split(",")[0]) for shard, who in in_hand.items()}
    process, count = next(iter(Counter(holders.values()).most_common(1)), (0, 0))
    return (process, sorted(shard for shard in holders if holders[shard] == process)) if count == 2 else None


def stopped_with_two_shards(undisturbed, name, process):  # noqa: F811
    """Stop a process as it has two shards in hand; return the run and the process."""

    def seen():
        for run in undisturbed.runs(name):
            if done(run) and (hands := overlapping(run)) is not None:
                return run, hands
        return None

    while True:
        run, (holder, shards) = wait(seen, process)
        os.kill(holder, signal.SIGSTOP)
        if overlapping(run) == (holder, shards):
            return run, holder
        os.kill(holder, signal.SIGCONT)


def is_below(process, others):
    """Return the one of ``others`` that a process descends from."""
    while process > 1 and process not in others:
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return process


def contents(run):
    """Return what every file of a run holds that no time or name goes into."""
    names = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    left = {name for name in names - {*FIELDS, FOLLOWING} if not name.startswith("private/")}
    return {name: (run / name).read_bytes() for name in left}


def check(undisturbed, run):  # noqa: F811
    """Hold a run against the undisturbed one: every shard once, and the same bytes."""
    assert sorted(shard for shard, _ in done(run)) == list(range(SHARDS))
    assert contents(run) == contents(undisturbed.folder)
    mine, whole = load_results(run), load_results(undisturbed.folder)
    assert (mine.estimates, mine.verdicts, mine.flow) == (whole.estimates, whole.verdicts, whole.flow)
    verified(run)


@pytest.mark.parametrize("count", [1, 2])
def test_a_worker_of_a_cluster(undisturbed, count):  # noqa: F811
    """Another one takes over both shards; of a single worker, the one that the cluster starts in its place."""
    name = f"dask-{count}"
    process = undisturbed.start(name, settings=("run.engine=dask", f"run.processes={count}"))
    run, holder = stopped_with_two_shards(undisturbed, name, process)
    os.kill(holder, signal.SIGKILL)
    _, error = process.communicate(timeout=900)
    assert (process.returncode, error) == (0, "")  # of a dead worker's task a cluster says nothing
    check(undisturbed, run)


@pytest.mark.parametrize("whole_machine", [False, True])
def test_a_child_run_of_a_pool(undisturbed, workers, whole_machine):  # noqa: F811
    """Alone, or with the worker that started it, as where a machine goes down: nobody tells the server."""
    name = f"pool-{int(whole_machine)}"
    process = undisturbed.start(name, settings=POOL)
    run, holder = stopped_with_two_shards(undisturbed, name, process)
    if whole_machine:
        os.kill(is_below(holder, workers), signal.SIGKILL)
    os.kill(holder, signal.SIGKILL)
    _, error = process.communicate(timeout=900)
    assert process.returncode == 0, error
    assert all("a child run of the work pool ended: Crashed" in line for line in error.splitlines()), error
    check(undisturbed, run)
