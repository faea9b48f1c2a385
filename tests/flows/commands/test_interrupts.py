"""Ctrl-C and SIGTERM, sent for real: one line, the exit code, nobody left behind, and the next run goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.commands.interrupts import ADVICE, Interrupted, children_deaf_to_terminal, interruptible
from tests.pipeline.planted import plant

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def children_of(pid):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            found.append(int(stat.parent.name))
    return found


def is_there(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, seconds=600.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("it did not happen")


@pytest.mark.parametrize(
    ("engine", "number"),
    [
        pytest.param("local", signal.SIGINT, marks=pytest.mark.slow),
        ("local", signal.SIGTERM),
        pytest.param("prefect", signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param("prefect", signal.SIGINT, marks=pytest.mark.slow),
    ],
)
def test_a_run_that_is_interrupted_says_how_to_go_on(tmp_path, engine, number):
    run = {"engine": engine, "shard_size": 1, "batch_size": 1, "device": "cpu", "replicates": 200, "workers": 1}
    config = plant(tmp_path / "audit", 12, run=run)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {"PREFECT_HOME": os.environ["PREFECT_HOME"], "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "flows.cli", "run", str(config)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: list(tmp_path.glob("audit/runs/planted/*/shards/0002.parquet")))
        children = children_of(process.pid)
        process.send_signal(number)
        out, err = process.communicate(timeout=600)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 128 + number, err
    assert err.splitlines()[-1] == f"camaudit: {ADVICE}"
    assert "Traceback" not in err
    assert "Exception" not in err
    assert out == ""
    assert len(children) == (1 if engine == "local" else 2)  # who reads, and the server
    wait_until(lambda: not any(map(is_there, children)))
    assert [path for path in (config.parent / "runs").rglob(".*") if path.is_file()] == []

    again = subprocess.run(command, env=environment | {"PREFECT_API_URL": "http://127.0.0.1:9/api"},
                           capture_output=True, text=True, check=True)  # fmt: skip
    summary = again.stdout.splitlines()[0]
    assert "12 studies = 12 analysed" in summary
    assert int(summary.partition("(")[2].split()[0]) >= 2  # the third shard may be written and not yet in the ledger


def impatient(number):
    try:
        os.kill(os.getpid(), number)
    finally:
        os.kill(os.getpid(), number)  # does not disturb what is being put in order


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_raised_once_and_the_handlers_come_back(number):
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(Interrupted) as interrupted, interruptible():
        impatient(number)
    assert interrupted.value.code == 128 + number
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before


def test_what_a_terminal_sends_to_everyone_is_for_whoever_began_the_others():
    """From the child's first moment on, before it has a handler of its own."""

    def send():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)

    with children_deaf_to_terminal():
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        child.send_signal(signal.SIGINT)
        with pytest.raises(Interrupted) as interruption, interruptible():
            send()
    assert interruption.value.code == 130
    child.send_signal(signal.SIGINT)
    child.communicate(b"\n")
    assert child.returncode == 0
    with pytest.raises(KeyboardInterrupt):
        send()


def test_only_the_main_thread_has_handlers():
    from concurrent.futures import ThreadPoolExecutor

    def enter():
        with interruptible():
            return signal.getsignal(signal.SIGINT)

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(enter).result() is signal.getsignal(signal.SIGINT)


class EndsInADestructor:
    """What a garbage collector calls at any moment, a signal's handler inside it: Python drops what that raises."""

    def __init__(self, number):
        self.number = number

    def __del__(self):
        os.kill(os.getpid(), self.number)
        for _ in range(100):  # the handler runs between two of these
            pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_that_a_destructor_swallows_comes_again(number):
    reached = []

    def work():
        with interruptible():
            dying = EndsInADestructor(number)
            del dying
            reached.append("the exception vanished")
            time.sleep(60)

    with pytest.raises(Interrupted) as interruption:
        work()
    assert (reached, interruption.value.code) == (["the exception vanished"], 128 + number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_that_a_library_swallows_comes_again(number):
    reached = []

    def work():
        with interruptible():
            try:
                os.kill(os.getpid(), number)
                time.sleep(60)
            except BaseException:
                reached.append("the exception vanished")
            time.sleep(60)

    with pytest.raises(Interrupted) as interruption:
        work()
    assert (reached, interruption.value.code) == (["the exception vanished"], 128 + number)


def test_what_else_a_destructor_raises_is_told_as_before(monkeypatch):
    told_to_hook = []
    monkeypatch.setattr(sys, "unraisablehook", told_to_hook.append)
    with interruptible():

        class Faulty:
            def __del__(self):
                raise ValueError

        Faulty()
    assert [unraisable.exc_type for unraisable in told_to_hook] == [ValueError]
    assert sys.unraisablehook == told_to_hook.append
