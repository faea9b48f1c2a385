"""A schedule against a real Prefect server: it fires by itself, twice, and computes only what is new."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from tests.pipeline.planted import plant, write_manifest, write_study

pytestmark = pytest.mark.slow


def wait_for(found, processes, what):
    """Wait for what other programs bring about, for as long as they run."""
    while all(process.poll() is None for process in processes):
        value = found()
        if value:
            return value
        time.sleep(0.5)
    pytest.fail(f"{what} did not happen: a process ended")
    return None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(address):
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=2) as reply:
            return reply.status == 200
    except OSError:
        return False


def runs_of(address):
    body = json.dumps({"sort": "START_TIME_ASC"}).encode()
    request = urllib.request.Request(f"{address}/flow_runs/filter", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)


@pytest.fixture
def stopping():
    """Collect processes and end them, and only them, afterwards."""
    started = []
    yield started
    for process in reversed(started):
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def server(tmp_path, stopping):
    port = free_port()
    environment = {
        **os.environ,
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "ERROR",
    }
    environment.pop("PREFECT_API_DATABASE_CONNECTION_URL", None)
    command = [
        sys.executable,
        "-m",
        "prefect",
        "server",
        "start",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-ui",
    ]
    log = (tmp_path / "server.log").open("w")
    stopping.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
    address = environment["PREFECT_API_URL"]
    wait_for(lambda: answers(address), stopping, "the server's first answer")
    return address, environment


def finished(config):
    return sorted(path.parent for path in config.parent.glob("runs/planted/*/report.pdf"))


def test_a_schedule_fires_twice_and_audits_only_the_new_study(tmp_path, server, stopping):
    address, environment = server
    config = plant(tmp_path / "hospital", 4)
    log = (tmp_path / "serve.log").open("w")
    command = [sys.executable, "-m", "flows.cli", "schedule", str(config), "--cron", "* * * * *"]
    stopping.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
    wait_for(lambda: len(finished(config)) >= 1, stopping, "the first scheduled run")
    archive = config.parent / "archive"
    with (archive / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    write_manifest(archive, [*rows, write_study(archive, 9, True)])
    known = len(finished(config))  # a run may have started before the study was added

    def grown():
        flows = [json.loads((run / "results.json").read_text())["flow"] for run in finished(config)[known - 1 :]]
        return [flow for flow in flows if flow["found"] == 5]

    flow = wait_for(grown, stopping, "a scheduled run with the new study")[0]
    assert (flow["computed"], flow["reused"]) == (1, 4)

    def completed():  # results are there a moment before the server hears of it
        runs = [run for run in runs_of(address) if run["state_type"] == "COMPLETED"]
        return runs if len(runs) >= 2 else []

    scheduled = wait_for(completed, stopping, "two completed runs on the server")
    assert all(run["auto_scheduled"] for run in scheduled)
    assert {run["name"] for run in scheduled} == {"audit-planted"}


def served(config, environment, stopping, *arguments):
    log = config.parent / f"serve{len(stopping)}.log"
    command = [sys.executable, "-m", "flows.cli", "schedule", str(config), *arguments]
    with log.open("w") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    stopping.append(process)
    return process, log


def post(address, path, body):
    data = json.dumps(body).encode()
    request = urllib.request.Request(f"{address}/{path}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)


def test_what_was_missed_is_skipped_and_a_second_schedule_refused(tmp_path, server, stopping):
    address, environment = server
    config = plant(tmp_path / "hospital", 4)
    process, log = served(config, environment, stopping, "--every", "20s")
    wait_for(lambda: len(finished(config)) >= 1, stopping, "the first run")
    second, second_log = served(config, environment, stopping, "--every", "20s")
    assert second.wait(120) == 2
    stopping.remove(second)
    assert "another schedule serves this audit" in second_log.read_text()
    process.kill()  # nobody pauses the deployment: the server goes on planning
    process.wait()
    stopping.remove(process)
    known = {run["id"] for run in runs_of(address)}
    late = lambda: [run for run in runs_of(address) if run["state_name"] == "Late"]  # noqa: E731
    wait_for(lambda: len(late()) >= 2, stopping, "two runs that nobody began")
    begun = len(finished(config))
    process, log = served(config, environment, stopping, "--every", "1d")
    wait_for(lambda: "serving" in log.read_text(), stopping, "the schedule to be served again")
    assert not late()
    assert {run["state_name"] for run in runs_of(address) if run["id"] in known} >= {"Completed"}
    assert len(finished(config)) == begun
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    stopping.remove(process)
    assert [deployment["paused"] for deployment in post(address, "deployments/filter", {})] == [True]


HOLD = """

_build = build

def build(*given):
    import time
    network, hold = _build(*given), Path(__file__).parent / "hold"
    forward = network.forward

    def waiting(x):
        while hold.exists():
            time.sleep(0.05)
        return forward(x)

    network.forward = waiting
    return network
"""


def held_network(config):
    """Let the model wait as long as a file is there; the model's checks come first, without it."""
    code = config.parent / "planted_network.py"
    code.write_text("from pathlib import Path\n" + code.read_text() + HOLD)
    return config.parent / "hold"


def run_held(address, config, log, stopping, hold):
    """Begin a run of the schedule now, whatever its clock says, and hold its model once its folder is there."""
    wait_for(lambda: "serving" in log.read_text(), stopping, "the schedule to be served")
    (deployment,) = post(address, "deployments/filter", {})
    post(address, f"deployments/{deployment['id']}/create_flow_run", {"state": {"type": "SCHEDULED"}})
    runs = config.parent / "runs" / "planted"
    wait_for(lambda: list(runs.glob("*/ledger.jsonl")), stopping, "a run's folder")
    hold.touch()
    return runs


def test_sigterm_ends_a_schedule_after_the_shard_under_way(tmp_path, server, stopping):
    address, environment = server
    run = {"batch_size": 1, "shard_size": 6, "device": "cpu", "replicates": 200}
    config = plant(tmp_path / "hospital", 24, run=run, explain={"methods": ["gradcam"]})
    hold = held_network(config)
    process, log = served(config, environment, stopping, "--every", "1d")
    runs = run_held(address, config, log, stopping, hold)
    process.send_signal(signal.SIGTERM)
    wait_for(lambda: (runs / ".stop").exists(), stopping, "the request to end")
    assert process.poll() is None  # a shard is under way
    hold.unlink()
    assert process.wait(120) == 143
    stopping.remove(process)
    assert [deployment["paused"] for deployment in post(address, "deployments/filter", {})] == [True]
    (ended,) = [(known["state_type"], known["state_name"]) for known in runs_of(address) if known["start_time"]]
    assert ended == ("CANCELLED", "Stopped")
    shards = len(list(runs.glob("*/shards/*.parquet")))
    assert 1 <= shards < 4
    assert not [left for left in (".stop", ".running", ".working") if (runs / left).exists()]


def test_a_killed_run_does_not_stay_running(tmp_path, server, stopping):
    address, environment = server
    config = plant(tmp_path / "hospital", 4, run={"device": "cpu", "replicates": 200})
    hold = held_network(config)
    process, log = served(config, environment, stopping, "--every", "1d")
    runs = run_held(address, config, log, stopping, hold)
    time.sleep(5)  # its first heartbeat is sent by a thread of its own
    holder = json.loads((runs / ".running").read_text())["process"]
    os.kill(holder, signal.SIGKILL)
    process.kill()
    process.wait()
    stopping.remove(process)
    crashed = lambda: [known for known in runs_of(address) if known["state_type"] == "CRASHED"]  # noqa: E731
    (known,) = wait_for(crashed, stopping, "the server to notice")
    assert "killed, or its machine is down" in known["state"]["message"]
