"""A run that is ended at any moment costs what was under way, and nothing else."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.findings.results import load_results
from tests.pipeline.planted import plant
from tests.pipeline.steps import begin, finish, work

pytestmark = pytest.mark.kill

STUDIES, SHARD = 64, 4
SHARDS = STUDIES // SHARD
SETTINGS = ("run.engine=local", f"run.shard_size={SHARD}")
MARK = "CAMAUDIT_KILL_TEST"  # in the environment of all that an audit starts


@dataclass(frozen=True)
class Undisturbed:
    """An archive, its configuration, and what a run leaves to which nothing happened."""

    config: Path
    folder: Path

    def start(
        self, name: str, *program: str, settings: tuple[str, ...] = (), group: int | None = None
    ) -> subprocess.Popen[str]:
        """Begin an audit of the archive, of its own name: nothing is carried over from another's."""
        chosen = [part for setting in (f"name={name}", *SETTINGS, *settings) for part in ("--set", setting)]
        command = [sys.executable, "-m", *(program or ("flows",)), "run", str(self.config), "--json", *chosen]
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {MARK: name},
            process_group=group,
        )

    def runs(self, name: str) -> list[Path]:
        """Return the folders of an audit's runs, the oldest first."""
        return sorted(path.parent for path in (self.config.parent / "runs" / name).glob("*/ledger.jsonl"))

    def check(self, name: str) -> None:
        """Run the audit to its end; hold what it leaves against the undisturbed run, and verify it."""
        finished = sum(studies for run in self.runs(name) for _, studies in done(run))
        process = self.start(name)
        _, error = process.communicate()
        assert process.returncode == 0, error
        last = self.runs(name)[-1]
        assert (last / "per_study.csv").read_bytes() == (self.folder / "per_study.csv").read_bytes()
        mine, undisturbed = load_results(last), load_results(self.folder)
        assert mine.estimates == undisturbed.estimates
        assert mine.verdicts == undisturbed.verdicts
        assert (mine.flow.computed, mine.flow.reused) == (STUDIES - finished, finished)
        verified = subprocess.run([sys.executable, "-m", "flows", "verify", str(last)], capture_output=True, text=True)
        assert verified.returncode == 0, verified.stdout + verified.stderr


def done(run: Path) -> list[tuple[int, int]]:
    """Return the shards that a run's ledger tells of, and how many studies each holds; the last line may be half."""
    shards = []
    for line in (run / "ledger.jsonl").read_text().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if entry["event"] == "shard.finished":
            shards.append((entry["body"]["shard"], entry["body"]["studies"]))
    return shards


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kill")
    os.environ["CAMAUDIT_STATE"] = str(folder / "state")
    config = plant(folder / "hospital", STUDIES)
    whole = Undisturbed(config, folder)
    process = whole.start("whole")
    _, error = process.communicate()
    assert process.returncode == 0, error
    yield Undisturbed(config, whole.runs("whole")[0])
    del os.environ["CAMAUDIT_STATE"]


def nobody_is_left(name: str, seconds: float = 30.0) -> bool:
    """Wait until no process is left that an audit of this name started."""
    mark, end = f"{MARK}={name}".encode(), time.monotonic() + seconds
    while time.monotonic() < end:
        if not any(mark in environment_of(folder) for folder in Path("/proc").glob("[0-9]*")):
            return True
        time.sleep(0.1)
    return False


def environment_of(process: Path) -> list[bytes]:
    try:
        return (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


def reach(undisturbed, name, process, shards, delay):
    """Wait until a run has finished so many shards, then a moment longer; False where it ended before."""
    while process.poll() is None:
        runs = undisturbed.runs(name)
        if (shards == 0 and runs) or (runs and len(done(runs[-1])) >= shards):
            time.sleep(delay)
            return process.poll() is None
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("number", range(20))
def test_killed_at_a_moment(undisturbed, number):
    moments = random.Random(number)
    name = f"killed-{number}"
    process = undisturbed.start(name)
    reach(undisturbed, name, process, number * SHARDS // 20, moments.uniform(0, 0.4))
    process.kill()
    process.communicate()
    undisturbed.check(name)


@pytest.mark.parametrize(("number", "sent"), [(n, s) for n in range(5) for s in (signal.SIGTERM, signal.SIGINT)])
def test_stopped_at_a_moment(undisturbed, number, sent):
    name = f"stopped-{number}-{sent.name.lower()}"
    process = undisturbed.start(name)
    under_way = reach(undisturbed, name, process, 1 + number * SHARDS // 5, 0.1)
    process.send_signal(sent)
    _, error = process.communicate()
    assert process.returncode == (128 + sent if under_way else 0)
    assert "Traceback" not in error
    undisturbed.check(name)


@pytest.mark.parametrize("number", [1, 2, 7, 12, 20, 29, 36, 40, 44, 46])
def test_killed_between_writing_and_renaming(undisturbed, number):
    name = f"half-{number}"
    process = undisturbed.start(name, "tests.kill.disturbed", "dies", str(number))
    _, error = process.communicate()
    assert process.returncode == -signal.SIGKILL, error
    undisturbed.check(name)


@pytest.mark.parametrize("number", [1, 4, 15, 38])
def test_a_full_disk(undisturbed, number):
    name = f"full-{number}"
    process = undisturbed.start(name, "tests.kill.disturbed", "full", str(number))
    _, error = process.communicate()
    assert process.returncode == 2
    assert "No space left on device" in error
    assert "Traceback" not in error
    undisturbed.check(name)


def test_a_dead_helper(undisturbed):
    """A helper is killed in the middle of a shard: the leading process finishes it, in the same run."""
    name = "helper"
    process = undisturbed.start(name, settings=("run.processes=2",))
    helpers: list[int] = []
    while process.poll() is None and not helpers:
        helpers = [child for child in children(process.pid) if b"--end-with-input" in command_of(child)]
        time.sleep(0.01)
    while process.poll() is None and not begun_by(undisturbed, name, process.pid):
        time.sleep(0.01)  # it has told the helper which run it is
    os.kill(process.pid, signal.SIGSTOP)  # else it may have worked all shards before the helper has loaded the model
    try:
        while command_of(helpers[0]) and not begun_by(undisturbed, name, helpers[0]):
            time.sleep(0.01)
        assert begun_by(undisturbed, name, helpers[0])
        os.kill(helpers[0], signal.SIGKILL)
    finally:
        os.kill(process.pid, signal.SIGCONT)
    _, error = process.communicate()
    assert process.returncode == 0, error
    run = undisturbed.runs(name)[-1]
    assert sorted(shard for shard, _ in done(run)) == list(range(SHARDS))
    assert (run / "per_study.csv").read_bytes() == (undisturbed.folder / "per_study.csv").read_bytes()
    verified = subprocess.run([sys.executable, "-m", "flows", "verify", str(run)], capture_output=True, text=True)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def children(process: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def command_of(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def begun_by(undisturbed, name, process):
    claims = (undisturbed.config.parent / "runs" / name / ".claims").glob("*/*")
    return any(f'"process": {process}' in claim.read_text() for claim in claims)


def test_files_replaced_and_removed_under_the_run(undisturbed, tmp_path):
    """Every study is accounted for; what the run saw of a file is what its hash says."""
    archive = tmp_path / "hospital"
    shutil.copytree(undisturbed.config.parent, archive, ignore=shutil.ignore_patterns("runs"))
    own = Undisturbed(archive / "audit.yaml", undisturbed.folder)
    process = own.start("moved")
    assert reach(own, "moved", process, 2, 0)
    images = sorted((archive / "archive").glob("*image*.nii.gz")) or sorted((archive / "archive").rglob("*.nii.gz"))
    images[-1].unlink()
    images[-3].write_bytes(b"no image any more")
    _, error = process.communicate()
    if process.returncode == 0:
        flow = load_results(own.runs("moved")[-1]).flow
        assert flow.found == STUDIES == flow.analysed + sum(flow.excluded.values()) + sum(flow.failed.values())
        assert flow.analysed < STUDIES
    else:
        assert process.returncode == 2
        assert error.strip().count("\n") == 0


@pytest.mark.skipif(shutil.which("faketime") is None, reason="libfaketime is not installed")
def test_a_clock_that_jumps_back(undisturbed):
    name = "clock"
    process = undisturbed.start(name)
    reach(undisturbed, name, process, 3, 0)
    process.kill()
    process.communicate()
    chosen = [part for setting in (f"name={name}", *SETTINGS) for part in ("--set", setting)]
    command = ["faketime", "-f", "-3d", sys.executable, "-m", "flows", "run", str(undisturbed.config), *chosen]
    jumped = subprocess.run(command, capture_output=True, text=True)
    assert jumped.returncode == 0, jumped.stderr
    assert any(
        (run / "per_study.csv").exists()
        and (run / "per_study.csv").read_bytes() == (undisturbed.folder / "per_study.csv").read_bytes()
        for run in undisturbed.runs(name)
    )


@pytest.mark.skipif(shutil.which("faketime") is None, reason="libfaketime is not installed")
@pytest.mark.parametrize("ahead", ["+2h", "-2h"])
def test_a_worker_whose_clock_differs(tmp_path, monkeypatch, ahead):
    """Claims and shards go by locks, not by time; what the ledger dates stays in order, and verifies."""
    monkeypatch.setenv("CAMAUDIT_STATE", str(tmp_path / "state"))
    run = begin(plant(tmp_path / "hospital", 12, run={"device": "cpu", "replicates": 200, "shard_size": 4}))
    work(run, 0)
    command = ["faketime", "-f", ahead, sys.executable, "-m", "flows", "work", str(run)]
    helped = subprocess.run(command, capture_output=True, text=True)
    assert helped.returncode == 0, helped.stderr
    assert "2 shards worked here" in helped.stdout
    finish(run)
    verified = subprocess.run([sys.executable, "-m", "flows", "verify", str(run)], capture_output=True, text=True)
    assert verified.returncode == 0, verified.stdout + verified.stderr
