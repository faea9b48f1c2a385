"""What is killed or starved where others work a run: workers of it, and the processes that do a part of it."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.kill.test_kill import (
    SHARDS,
    children,
    command_of,
    done,
    nobody_is_left,
    undisturbed,  # noqa: F401 - a fixture
)
from tests.pipeline.planted import plant
from tests.pipeline.steps import begin, finish

pytestmark = pytest.mark.kill

DASK = ("run.engine=dask", "run.processes=1")


def begun_shards(run):
    """Return who began which shard."""
    claims = run.parent / ".claims" / run.name
    return {int(path.name): path.read_text() for path in claims.glob("0*") if path.read_text()}


def wait(until, process):
    while process.poll() is None and not (answer := until()):
        time.sleep(0.01)
    assert process.poll() is None, process.stderr.read()
    return answer


def verified(run):
    done = subprocess.run([sys.executable, "-m", "flows", "verify", str(run)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_worker_that_dies_with_the_next_shard_in_hand(tmp_path, monkeypatch):
    """The other one takes over both shards: the one under way, and the one that was begun while it was scored."""
    monkeypatch.setenv("CAMAUDIT_STATE", str(tmp_path / "state"))
    run = begin(plant(tmp_path / "hospital", 24, run={"device": "cpu", "replicates": 200, "shard_size": 4}))
    command = [sys.executable, "-m", "flows", "work", str(run)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as dying:
        wait(lambda: len(begun_shards(run)) - len(done(run)) == 2, dying)
        os.kill(dying.pid, signal.SIGSTOP)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as other:
            wait(lambda: any(f'"process": {other.pid}' in who for who in begun_shards(run).values()), other)
            os.kill(dying.pid, signal.SIGKILL)
            _, error = other.communicate()
    assert other.returncode == 0, error
    assert sorted(shard for shard, _ in done(run)) == list(range(6))
    finish(run)
    verified(run)


def test_a_dask_worker_that_dies(undisturbed):  # noqa: F811
    """Its task would wait for ever for a worker of that address: the cluster is called again, in the same run."""
    process = undisturbed.start("dask-worker", settings=DASK)
    (run,) = wait(lambda: [run for run in undisturbed.runs("dask-worker") if len(done(run)) >= 2], process)
    os.kill(int(begun_shards(run)[max(begun_shards(run))].split('"process": ')[-1].split(",")[0]), signal.SIGKILL)
    _, error = process.communicate(timeout=900)
    assert process.returncode == 0, error
    assert sorted(shard for shard, _ in done(run)) == list(range(SHARDS))
    assert (run / "per_study.csv").read_bytes() == (undisturbed.folder / "per_study.csv").read_bytes()
    verified(run)


@pytest.mark.parametrize(
    ("fault", "says"), [("dies", "ended before it was done (SIGKILL"), ("full", "No space left on device")]
)
@pytest.mark.parametrize("number", [1, 3])
def test_a_run_that_is_begun_apart(undisturbed, fault, says, number):  # noqa: F811
    name = f"apart-{fault}-{number}"
    process = undisturbed.start(name, "tests.kill.disturbed", f"apart-{fault}", str(number), settings=DASK)
    _, error = process.communicate()
    assert process.returncode == 2
    assert says in error
    assert error.strip().count("\n") == 0
    undisturbed.check(name)


@pytest.mark.parametrize(
    ("shards", "sent"),
    [(0, signal.SIGTERM), (0, signal.SIGKILL), *((SHARDS, s) for s in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL))],
)
def test_whoever_waits_for_another_process_is_ended(undisturbed, shards, sent):  # noqa: F811
    """While the run is begun (0), and while the model is asked again. A terminal's Ctrl-C goes to its whole group."""
    name = f"waits-{shards}-{sent.name.lower()}"
    process = undisturbed.start(name, settings=DASK, group=0)
    runs = undisturbed.runs
    wait(lambda: shards == 0 or (runs(name) and len(done(runs(name)[-1])) == shards), process)
    wait(lambda: [each for each in children(process.pid) if b"own_process" in command_of(each)], process)
    if sent != signal.SIGINT:
        time.sleep(2)  # else it has not loaded anything yet
    os.killpg(process.pid, sent) if sent == signal.SIGINT else process.send_signal(sent)
    _, error = process.communicate()
    assert process.returncode == (-sent if sent == signal.SIGKILL else 128 + sent)
    assert error.strip() == (
        ""
        if sent == signal.SIGKILL
        else "camaudit: interrupted; what was finished is kept: run the same command again to go on"
    )
    assert nobody_is_left(name)
    undisturbed.check(name)
