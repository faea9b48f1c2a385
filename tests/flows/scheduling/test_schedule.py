"""A schedule against a real Prefect server: it fires by itself, twice, and computes only what is new."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.pipeline.planted import plant, write_manifest, write_study

pytestmark = pytest.mark.slow


def wait_for(found, processes, what, seconds=900):
    """Wait for what other programs bring about, for as long as they run."""
    end = time.monotonic() + seconds
    while (alive := all(process.poll() is None for process in processes)) and time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.2)
    pytest.fail(f"{what} did not happen: {f'{seconds} s are over' if alive else 'a process ended'}")
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


def post(address, path, body):
    """Ask the server; one whose database is locked answers 503, and is asked again, as Prefect's own client does."""
    data = json.dumps(body).encode()
    request = urllib.request.Request(f"{address}/{path}", data, {"Content-Type": "application/json"})
    for pause in (*(0.5,) * 120, None):
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            if error.code != 503 or pause is None:
                raise
        time.sleep(pause)
    return None


def runs_of(address):
    return post(address, "flow_runs/filter", {"sort": "START_TIME_ASC"})


@pytest.fixture
def stopping(tmp_path):
    """Collect processes and end them, and only them, afterwards; what they said is shown where the test failed."""
    started = []
    yield started
    for log in sorted(tmp_path.rglob("*.log")):
        sys.stdout.write(f"--- {log.name}\n{log.read_text(errors='replace')[-5000:]}\n")
    for process in reversed(started):
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def server(tmp_path, stopping):
    address = f"http://127.0.0.1:{free_port()}/api"
    environment = {
        **os.environ,
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_API_URL": address,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "ERROR",
    }
    environment.pop("PREFECT_API_DATABASE_CONNECTION_URL", None)
    start_server(address, environment, stopping)
    return address, environment


def start_server(address, environment, stopping):
    port = address.rpartition(":")[2].partition("/")[0]
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", port, "--no-ui"]
    with Path(environment["PREFECT_HOME"]).with_name("server.log").open("a") as log:
        stopping.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
    wait_for(lambda: answers(address), stopping, "the server's first answer")
    return stopping[-1]


def finished(config):
    return sorted(path.parent for path in config.parent.glob("runs/planted/*/report.pdf"))


def add_study(archive):
    with (archive / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    write_manifest(archive, [*rows, write_study(archive, 99, True)])


def test_a_schedule_fires_twice_and_audits_only_the_new_study(tmp_path, server, stopping):
    address, environment = server
    config = plant(tmp_path / "hospital", 4)
    log = (tmp_path / "serve.log").open("w")
    command = [sys.executable, "-m", "flows.cli", "schedule", str(config), "--cron", "* * * * *"]
    stopping.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
    wait_for(lambda: len(finished(config)) >= 1, stopping, "the first scheduled run")
    add_study(config.parent / "archive")
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
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file, process_group=0)
    stopping.append(process)
    return process, log


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
    network, home = _build(*given), Path(__file__).parent
    forward = network.forward

    def waiting(x):
        while any(home.glob("runs/*/*/shards/*.parquet")) and not (home / "go").exists():
            (home / "held").touch()
            time.sleep(0.05)
        return forward(x)

    network.forward = waiting
    return network
"""


def held_network(config):
    """Let the model wait in the second shard of a run, in which it says so, until a file is there."""
    code = config.parent / "planted_network.py"
    code.write_text("from pathlib import Path\n" + code.read_text() + HOLD)


def begin_run(address):
    """Begin a run of the schedule now, whatever its clock says."""
    (deployment,) = post(address, "deployments/filter", {})
    post(address, f"deployments/{deployment['id']}/create_flow_run", {"state": {"type": "SCHEDULED"}})


def run_held(address, config, log, stopping):
    """Begin a run and wait until it is held; return the folder of the audit's runs."""
    wait_for(lambda: "serving" in log.read_text(), stopping, "the schedule to be served")
    begin_run(address)
    wait_for((config.parent / "held").exists, stopping, "the second shard")
    return config.parent / "runs" / "planted"


def is_paused(address):
    (deployment,) = post(address, "deployments/filter", {})
    return deployment["paused"]


def started_runs(address):
    return [(known["state_type"], known["state_name"]) for known in runs_of(address) if known["start_time"]]


@pytest.mark.parametrize("terminal", [False, True])
def test_an_end_that_is_asked_for_comes_after_the_shard_under_way(tmp_path, server, stopping, terminal):
    """SIGTERM goes to the schedule alone; a terminal's Ctrl-C to all that it began, too."""
    address, environment = server
    run = {"batch_size": 1, "shard_size": 4, "device": "cpu", "replicates": 200}
    config = plant(tmp_path / "hospital", 24, run=run, explain={"methods": ["gradcam"]})
    held_network(config)
    process, log = served(config, environment, stopping, "--every", "1d")
    runs = run_held(address, config, log, stopping)
    if terminal:
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.SIGTERM)
    wait_for(lambda: (runs / ".stop").exists() and is_paused(address), stopping, "the request to end")
    assert process.poll() is None  # a shard is under way
    (config.parent / "go").touch()
    assert process.wait(120) == (130 if terminal else 143)
    stopping.remove(process)
    assert log.read_text().splitlines()[-1].startswith("camaudit: interrupted; what was finished is kept")
    assert "Traceback" not in log.read_text()
    assert is_paused(address)
    assert started_runs(address) == [("CANCELLED", "Stopped")]
    assert len(list(runs.glob("*/shards/*.parquet"))) == 2
    assert not [left for left in (".stop", ".running", ".working") if (runs / left).exists()]


def test_a_second_signal_ends_the_run_under_way_at_once(tmp_path, server, stopping):
    address, environment = server
    run = {"batch_size": 1, "shard_size": 4, "device": "cpu", "replicates": 200}
    config = plant(tmp_path / "hospital", 12, run=run, explain={"methods": ["gradcam"]})
    held_network(config)
    process, log = served(config, environment, stopping, "--every", "1d")
    runs = run_held(address, config, log, stopping)
    process.send_signal(signal.SIGTERM)
    wait_for((runs / ".stop").exists, stopping, "the request to end")
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 143
    stopping.remove(process)
    assert "Traceback" not in log.read_text()
    assert is_paused(address)
    (ended,) = started_runs(address)
    assert ended[0] == "CANCELLED"  # by the runner, or by the schedule where that has ended before it could say so
    assert len(list(runs.glob("*/shards/*.parquet"))) == 1
    assert not [left for left in (".stop", ".running", ".working") if (runs / left).exists()]


@pytest.mark.parametrize("is_serving", [False, True])
def test_a_schedule_that_is_ended_as_it_begins_is_paused(tmp_path, server, stopping, is_serving):
    """Before it serves, and in the moment in which it begins to."""
    address, environment = server
    config = plant(tmp_path / "hospital", 3)
    process, log = served(config, environment, stopping, "--every", "1d")
    deployed = lambda: post(address, "deployments/filter", {})  # noqa: E731
    wait_for((lambda: "serving" in log.read_text()) if is_serving else deployed, stopping, "the deployment")
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 143
    stopping.remove(process)
    assert log.read_text().splitlines()[-1].startswith("camaudit: interrupted;")
    assert is_paused(address)


def test_a_server_that_goes_away_costs_the_run_nothing_and_is_asked_again(tmp_path, server, stopping):
    address, environment = server
    environment |= {"PREFECT_RUNNER_POLL_FREQUENCY": "2", "PREFECT_CLIENT_MAX_RETRIES": "1"}
    run = {"batch_size": 1, "shard_size": 4, "device": "cpu", "replicates": 200}
    config = plant(tmp_path / "hospital", 12, run=run, explain={"methods": ["gradcam"]})
    held_network(config)
    process, log = served(config, environment, stopping, "--every", "1d")
    run_held(address, config, log, stopping)
    (server_process,) = [known for known in stopping if known is not process]
    server_process.kill()
    server_process.wait()
    stopping.remove(server_process)
    (config.parent / "go").touch()
    wait_for(lambda: finished(config), stopping, "the report of the run under way")
    wait_for(lambda: "it is asked again" in log.read_text(), stopping, "word of the server")
    start_server(address, environment, stopping)
    wait_for(lambda: "answers again" in log.read_text(), stopping, "word of the server")
    add_study(config.parent / "archive")
    begin_run(address)
    wait_for(lambda: len(finished(config)) == 2, stopping, "a run after that")
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 143
    stopping.remove(process)
    assert log.read_text().count("it is asked again") == 1


def test_a_killed_run_does_not_stay_running(tmp_path, server, stopping):
    address, environment = server
    run = {"batch_size": 1, "shard_size": 2, "device": "cpu", "replicates": 200}
    config = plant(tmp_path / "hospital", 6, run=run, explain={"methods": ["gradcam"]})
    held_network(config)
    process, log = served(config, environment, stopping, "--every", "1d")
    runs = run_held(address, config, log, stopping)
    beats = {"filter": {"event": {"name": ["prefect.flow-run.heartbeat"]}}}
    wait_for(lambda: post(address, "events/filter", beats)["events"], stopping, "the run's first heartbeat")
    holder = json.loads((runs / ".running").read_text())["process"]
    os.kill(holder, signal.SIGKILL)
    process.kill()
    process.wait()
    stopping.remove(process)
    crashed = lambda: [known for known in runs_of(address) if known["state_type"] == "CRASHED"]  # noqa: E731
    (known,) = wait_for(crashed, stopping, "the server to notice")
    assert "killed, or its machine is down" in known["state"]["message"]
