"""Machines that share a run and do not agree: each refuses in one line, or the run comes through whole."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.file_lock import is_locked
from tests.flows.crews.test_processes import shards_done
from tests.pipeline.planted import plant
from tests.pipeline.steps import begin, finish

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
ELSEWHERE = ("unshare", "--uts", "sh", "-c", 'hostname elsewhere && exec "$@"', "sh")
HAS_HOSTS = subprocess.run([*ELSEWHERE, "true"], capture_output=True, check=False).returncode == 0
PACKAGES = ("cam", "camaudit", "flows", "pipeline", "reports")


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    error: str


def camaudit(*arguments, before=(), **environment):
    """Start a command line, as on a machine of its own."""
    command = [*before, sys.executable, "-m", "flows", *map(str, arguments)]
    return subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process):
    _, error = process.communicate(timeout=600)
    return Ended(process.returncode, error)


def refused(process, sentence):
    """Tell that a process refused in one line that holds a sentence."""
    answer = ended(process)
    assert (answer.code, answer.error.count("\n")) == (2, 1), answer.error
    assert sentence in answer.error


def runs(config, name="planted"):
    return sorted(path.parent for path in (config.parent / "runs" / name).glob("*/ledger.jsonl"))


def wait_until(is_so, process):
    while not is_so():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)


def stop(process, run):
    """Stop a process between two lines of a run's ledger: nobody else could add one meanwhile."""
    process.send_signal(signal.SIGSTOP)
    while is_locked(run / "ledger.jsonl"):
        process.send_signal(signal.SIGCONT)
        time.sleep(0.05)
        process.send_signal(signal.SIGSTOP)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """An archive of twelve shards, and the rows that one process writes of it."""
    folder = tmp_path_factory.mktemp("machines")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAMAUDIT_STATE", str(folder / "state"))
        config = plant(folder / "hospital", 36, run={"device": "cpu", "replicates": 200, "shard_size": 3})
        assert ended(camaudit("run", config, "--json", "--set", "run.engine=local", "--set", "name=alone")).code == 0
        yield config


def copied(config, folder):
    """Copy an archive with its pseudonyms, without its runs; return the configuration."""
    shutil.copytree(config.parent, folder, ignore=shutil.ignore_patterns("runs"))
    (folder / "runs").mkdir()
    shutil.copy(config.parent / "runs" / "pseudonym.key", folder / "runs")
    return folder / config.name


def rows(run):
    return (run / "per_study.csv").read_bytes()


def is_whole(run, archive):
    assert shards_done(run) == list(range(12))
    assert rows(run) == rows(runs(archive, "alone")[0])
    assert ended(camaudit("verify", run)).code == 0


@pytest.mark.skipif(not HAS_HOSTS, reason="no name of a host of its own can be given here")
def test_two_machines_that_lead_and_one_that_helps(archive):
    name = ("--set", "name=led", "--set", "run.engine=local", "--json")
    leading = camaudit("run", archive, *name)
    wait_until(lambda: runs(archive, "led") and shards_done(runs(archive, "led")[0]), leading)
    (run,) = runs(archive, "led")
    stop(leading, run)  # else it may be done before the others have begun
    try:
        refused(camaudit("run", archive, *name, before=ELSEWHERE), f"is held by process {leading.pid} on ")
        helped = ended(camaudit("work", run, before=ELSEWHERE))
    finally:
        leading.send_signal(signal.SIGCONT)
    assert helped == Ended(0, "")
    assert len(shards_done(run)) > 1
    assert ended(leading) == Ended(0, "")
    is_whole(run, archive)


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("gone", ["runs", "archive", "."])
def test_a_shared_folder_that_is_away_for_ten_seconds(archive, tmp_path, processes, gone):
    """That of the runs, of the archive, of all; nothing is made in its place, and no study is lost."""
    share = tmp_path / "hospital"
    config, settings = copied(archive, share), ("--set", "run.engine=local", "--set", f"run.processes={processes}")
    process = camaudit("run", config, "--json", *settings)
    wait_until(lambda: runs(config) and len(shards_done(runs(config)[0])) >= 2, process)
    place = (share / gone).resolve()
    place.rename(tmp_path / "away")
    time.sleep(10)
    assert not place.exists()
    (tmp_path / "away").rename(place)
    answer = ended(process)
    if answer.code:
        assert answer.code == 2, answer.error
        assert "Traceback" not in answer.error
        assert answer.error.count("\n") <= processes, answer.error
        again = ended(camaudit("run", config, "--json", *settings))
        assert again.code == 0, again.error
    run = runs(config)[-1]
    assert rows(run) == rows(runs(archive, "alone")[0])
    assert ended(camaudit("verify", run)).code == 0


@pytest.fixture
def begun(archive, tmp_path, monkeypatch):
    """A run that waits for workers, in a copy of the archive."""
    return begin(copied(archive, tmp_path / "hospital"))


def comes_through(begun, archive):
    """Work a run whose workers were refused, on a machine that agrees."""
    assert shards_done(begun) == []
    assert ended(camaudit("work", begun)).code == 0
    finish(begun)
    assert shards_done(begun) == list(range(12))
    assert rows(begun) == rows(runs(archive, "alone")[0])


def test_a_worker_with_another_key(begun, archive, tmp_path):
    other = camaudit("work", begun, CAMAUDIT_STATE=str(tmp_path / "another state"))
    refused(other, "was begun with another site's key than this machine's")
    comes_through(begun, archive)


def test_a_worker_with_another_model(begun, archive, tmp_path):
    factory = begun.parents[2] / "planted_network.py"
    content = factory.read_text()
    factory.write_text(content.replace("-500.0", "-499.0"))
    refused(camaudit("work", begun), "or is another one on this machine")
    factory.write_text(content)
    comes_through(begun, archive)


def test_a_worker_with_another_camaudit(begun, archive, tmp_path):
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / "other" / package, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "other" / "pipeline" / "evidence" / "answers.py").open("a") as file:
        file.write("\n# another version\n")
    refused(camaudit("work", begun, PYTHONPATH=str(tmp_path / "other")), "was begun by another camaudit")
    comes_through(begun, archive)
