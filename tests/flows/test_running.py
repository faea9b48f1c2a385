"""A run with a Prefect server that is not there, does not start, or dies: the report is made, nothing is done twice."""

import http.server
import json
import os
import subprocess
import sys
import threading
from collections import Counter

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows import server as servers
from flows.request import AuditRequest
from flows.running import run_audit
from flows.watch import Watcher
from pipeline.checks.config_checks import checked_config
from pipeline.findings.results import load_results
from pipeline.runs.run import Run
from tests.pipeline.planted import plant


def events(folder):
    entries = [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]
    return {entry["event"]: entry["body"] for entry in entries}


def check(folder, studies):
    results = load_results(folder)
    assert (results.flow.found, results.flow.analysed, results.flow.computed) == (studies, studies, studies)
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF-")
    return results


@pytest.fixture
def works(monkeypatch):
    """Count how often each study is shown to the model."""
    seen = Counter()
    sound = Run.stretch

    def counted(run, shard, on_maps):
        stretch = sound(run, shard, on_maps)
        seen.update(source.study for source in stretch.sources)
        return stretch

    monkeypatch.setattr(Run, "stretch", counted)
    return seen


def test_a_server_that_does_not_answer(tmp_path, works):
    config, said = plant(tmp_path, 3), []
    with temporary_settings({PREFECT_API_URL: "http://user:password@127.0.0.1:9/api"}):
        folder = run_audit(AuditRequest(checked_config(config), "camaudit run"), Watcher(), said.append)
    results = check(folder, 3)
    reason = "the Prefect server at http://127.0.0.1:9/api does not answer"
    assert said == [f"{reason}: the run goes on without it"]
    assert results.provenance.engine == f"local ({reason})"
    assert results.provenance.flow_run is None
    assert events(folder)["engine.chosen"] == {"engine": f"local ({reason})"}
    assert set(works.values()) == {1}


class Nonsense(http.server.BaseHTTPRequestHandler):
    """Answers every request with 200 and something that is not what was asked for."""

    def do_GET(self):
        body = b"true"
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.do_GET()

    def log_message(self, *_):
        pass


def test_a_server_that_is_not_prefects(tmp_path, works):
    config, said = plant(tmp_path, 3), []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Nonsense) as other:
        thread = threading.Thread(target=other.serve_forever, daemon=True)
        thread.start()
        try:
            with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{other.server_port}/api"}):
                folder = run_audit(AuditRequest(checked_config(config), "camaudit run"), Watcher(), said.append)
        finally:
            other.shutdown()
            thread.join()
    results = check(folder, 3)
    assert set(works.values()) == {1}
    (line,) = said
    assert line.endswith(": the run goes on without it")
    assert results.provenance.engine.startswith("local (the Prefect server at http://127.0.0.1:")


def test_a_server_that_dies_after_the_first_shard(tmp_path, works):
    config, said = plant(tmp_path, 6, run={"shard_size": 2, "batch_size": 2, "device": "cpu", "replicates": 200}), []
    server = servers._started()
    done = []

    def on_maps(maps, more=0, /):
        done.append(maps)
        if sum(done) >= 6 and server.process.poll() is None:
            server.process.kill()
            server.process.wait()

    try:
        folder = run_audit(
            AuditRequest(checked_config(config), "camaudit run"), Watcher(on_maps=on_maps), said.append, server
        )
    finally:
        servers._end(server.process)
    assert server.process.returncode == -9
    results = check(folder, 6)
    assert len(works) == 6
    assert set(works.values()) == {1}
    assert results.provenance.flow_run == "audit-planted"
    assert events(folder)["engine.chosen"] == {"engine": "prefect"}
    assert events(folder)["engine.lost"]["reason"].endswith("does not answer")
    assert results.provenance.engine.startswith("prefect, then local (the Prefect server at http://127.0.0.1:")
    (line,) = said
    assert line.startswith("the Prefect server at http://127.0.0.1:")
    assert line.endswith(": the run goes on without it")


def test_a_server_that_is_there(tmp_path, works, prefect):
    config, said = plant(tmp_path, 3), []
    folder = run_audit(AuditRequest(checked_config(config), "camaudit run"), Watcher(), said.append)
    results = check(folder, 3)
    assert (said, results.provenance.engine) == ([], "prefect")
    assert set(works.values()) == {1}


def test_no_server_is_asked_for(tmp_path, monkeypatch):
    config = plant(tmp_path, 3, run={"engine": "local", "device": "cpu", "replicates": 200})
    monkeypatch.setattr(servers, "_found", lambda: pytest.fail("a server was looked for"))
    results = check(run_audit(AuditRequest(checked_config(config), "camaudit run"), Watcher(), pytest.fail), 3)
    assert results.provenance.engine == "local"


def test_a_fault_of_the_run_is_not_the_servers(tmp_path, prefect, monkeypatch):
    from pipeline.errors import ArchiveError

    config, said = plant(tmp_path, 3), []

    def gone(*_, **__):
        raise ArchiveError("3 studies vanished")

    monkeypatch.setattr("flows.conduct.Run.work", gone)
    with pytest.raises(ArchiveError, match="3 studies vanished"):
        run_audit(AuditRequest(checked_config(config), "camaudit run"), Watcher(), said.append)
    assert said == []


def run_in_a_process(config, **environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", "run", str(config)],
        env=clean | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def one_line(done):
    lines = [line for line in done.stderr.splitlines() if line.startswith("camaudit: ")]
    assert "Traceback" not in done.stderr
    assert done.returncode == 0, done.stderr
    assert "3 studies = 3 analysed" in done.stdout
    (line,) = lines
    assert line.endswith(": the run goes on without it")
    return line


def test_a_database_that_is_none(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "prefect.db").write_bytes(os.urandom(5000))
    line = one_line(run_in_a_process(plant(tmp_path / "audit", 3), PREFECT_HOME=str(home)))
    assert "the temporary Prefect server ended while starting (exit code 3)" in line


@pytest.mark.slow
def test_no_place_for_prefect(tmp_path):
    (tmp_path / "file").touch()
    one_line(run_in_a_process(plant(tmp_path / "audit", 3), PREFECT_HOME=str(tmp_path / "file" / "prefect")))


def test_our_own_fault_ends_in_one_line_and_exit_code_3(tmp_path, camaudit, monkeypatch):
    from pipeline.walk import measuring

    config = plant(tmp_path, 3, run={"engine": "local", "device": "cpu", "replicates": 200})
    monkeypatch.setattr(measuring, "score_all", lambda *_: {}["SECRET^PETER"])
    code, out, err = camaudit("run", config)
    assert (code, out) == (3, "")
    line = err.splitlines()[-1]
    assert line.startswith("camaudit: camaudit itself failed at pipeline/walk/measuring.py:")
    (trace,) = tmp_path.glob("runs/planted/*/faults.log")
    assert str(trace) in line
    assert trace.stat().st_mode & 0o777 == 0o600
    assert json.loads(trace.read_text())["exceptions"][0]["type"] == "KeyError"
    assert "SECRET" not in err + trace.read_text()
    code, out, _ = camaudit("report", trace.parent)
    assert code == 2  # it has no results: nobody takes it for a finished run


@pytest.mark.parametrize("place", ["Run.create", "Run.finish", "render"])
def test_our_own_fault_beside_the_studies(tmp_path, camaudit, monkeypatch, place, prefect):
    config = plant(tmp_path, 3)
    monkeypatch.setattr(f"flows.conduct.{place}", lambda *_, **__: {}["SECRET^PETER"])
    code, _, err = camaudit("run", config)
    assert code == 3
    assert "camaudit itself failed at flows/" in err.splitlines()[-1]
    assert "SECRET" not in err
    assert ("--debug" in err.splitlines()[-1]) == (
        place == "Run.create"
    )  # there is no folder yet that a trace could lie in


def test_what_a_server_learns_of_our_own_fault(tmp_path, camaudit, monkeypatch, prefect):
    from prefect.client.orchestration import get_client

    config = plant(tmp_path, 3)
    monkeypatch.setattr("pipeline.walk.measuring.score_all", lambda *_: {}["SECRET^PETER"])
    assert camaudit("run", config)[0] == 3
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs()
        logs = client.request("POST", "/logs/filter", json={"limit": 200}).json()
    assert "FAILED" in {run.state.type.value for run in runs}
    assert "SECRET" not in "".join(run.model_dump_json() for run in runs) + str(logs)
