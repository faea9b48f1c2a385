"""What a run leaves on its page: read back from the server, not from what was called."""

import json
import os
import time
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.settings import PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

from flows.request import AuditRequest
from flows.running import run_audit
from flows.watch import Watcher
from pipeline.checks.config_checks import checked_config
from pipeline.errors import AuditError
from tests.pipeline.planted import plant


@pytest.fixture(scope="module")
def page(tmp_path_factory, prefect_of_module):
    """The flow run of an audit of 6 studies in 2 shards, with everything that its page shows."""
    config = plant(tmp_path_factory.mktemp("page"), 6, name="shown")  # the server knows other tests' runs
    with temporary_settings({PREFECT_LOGGING_TO_API_ENABLED: True}):
        run = run_audit(AuditRequest(checked_config(config), "camaudit run"), Watcher(), pytest.fail)
    with get_client(sync_client=True) as client:
        (flow_run,) = [
            known for known in client.read_flow_runs(limit=200) if known.parameters.get("audit") == "shown"
            and "shown" in known.tags and known.state.is_completed()
        ][:1]  # fmt: skip
        artifacts = [known for known in client.read_artifacts() if known.flow_run_id == flow_run.id]
        wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flow_run.id]))
        logs = _eventually(lambda: [log.message for log in client.read_logs(wanted)], "report: ")
    return run, flow_run, {known.key: known for known in artifacts}, logs


def _eventually(read, word):
    """Logs are sent by a thread of their own."""
    lines = read()
    while not any(word in line for line in lines):
        time.sleep(0.1)
        lines = read()
    return lines


@pytest.fixture(scope="module")
def prefect_of_module(prefect):
    return prefect


def test_a_log_line_a_shard(page):
    run, _, _, logs = page
    assert f"run {run.name}: 6 studies, 6 of them new, in 2 shards" in logs
    lines = [line for line in logs if line.startswith("shard ")]
    assert [line.partition(" studies in ")[0] for line in lines] == ["shard 1 of 2: 5", "shard 2 of 2: 1"]
    assert any(line.startswith("report: ") for line in logs)


def test_nothing_of_a_patient_or_a_study_stands_on_the_page(page):
    run, flow_run, artifacts, logs = page
    shown = "\n".join([*logs, *(str(known.data) for known in artifacts.values()), *flow_run.tags, flow_run.name])
    cohort = json.loads((run / "cohort.json").read_text())
    for member in cohort:
        assert member["study"] not in shown
        assert member["patient"] not in shown
    assert "study0" not in shown
    assert "patient0" not in shown


def test_progress_tables_and_the_report(page):
    run, _, artifacts, _ = page
    assert set(artifacts) == {"shown-progress", "shown-studies", "shown-verdicts", "shown-report"}
    assert float(artifacts["shown-progress"].data) == 100.0
    studies = json.loads(artifacts["shown-studies"].data)
    assert {row["studies"]: row["count"] for row in studies} == {"found": 6, "analysed": 6}
    verdicts = json.loads(artifacts["shown-verdicts"].data)
    assert len(verdicts) == 3
    assert "EXPLORATORY" in artifacts["shown-verdicts"].description
    assert (run / "report.pdf").as_uri() in artifacts["shown-report"].data


def test_tags(page):
    _, flow_run, _, _ = page
    assert {"camaudit", "shown", "exploratory"} <= set(flow_run.tags)


def test_a_failed_run_leaves_no_pickle(tmp_path, prefect_of_module):
    from flows.audit import audit

    state = audit(str(tmp_path / "absent.yaml"), return_state=True)
    assert state.is_failed()
    assert "absent.yaml: cannot be read" in state.message
    storage = Path(os.environ["PREFECT_HOME"]) / "storage"
    kept = [path.read_bytes() for path in storage.rglob("*") if path.is_file()] if storage.exists() else []
    assert [content for content in kept if b"cloudpickle" in content or b"\x80\x05" in content] == []


def test_a_night_without_news_is_a_completed_run_that_says_so(tmp_path, prefect_of_module):
    from flows.audit import audit

    config = plant(tmp_path, 3)
    first = audit(str(config), return_state=True)
    assert first.is_completed()
    second = audit(str(config), return_state=True)
    assert (second.type.value, second.name) == ("COMPLETED", "NothingNew")
    assert second.message == f"nothing new since {Path(str(first.result())).name}"
    assert len(list((tmp_path / "runs" / "planted").glob("*/run.json"))) == 1


def test_a_run_that_is_asked_to_end_ends_after_its_shard(tmp_path, prefect_of_module, monkeypatch):
    from flows.audit import audit
    from pipeline.runs.nights.standing import standing_of
    from pipeline.runs.nights.stop_request import forget_stop, request_stop
    from pipeline.runs.run import Run

    config, kept = plant(tmp_path, 6), Run.keep
    audits = tmp_path / "runs" / "planted"

    def asking(run, shard, audited):
        request_stop(audits)  # while the first shard is under way
        return kept(run, shard, audited)

    monkeypatch.setattr(Run, "keep", asking)
    stopped = audit(str(config), return_state=True)
    assert (stopped.type.value, stopped.name) == ("CANCELLED", "Stopped")
    assert stopped.message == "stopped after 1 of 2 shards; the next run carries them over"
    (run,) = [path.parent for path in audits.glob("*/run.json")]
    assert (standing_of(run).state, standing_of(run).done) == ("interrupted", 1)
    monkeypatch.setattr(Run, "keep", kept)
    forget_stop(audits)
    audit(str(config))
    newest = sorted(audits.glob("*/results.json"))[-1]
    flow = json.loads(newest.read_text())["flow"]
    assert (flow["computed"], flow["reused"]) == (1, 5)


def test_a_page_that_cannot_be_written_costs_nothing(tmp_path, prefect_of_module, monkeypatch):
    from flows.telling import run_page

    def broken(*_, **__):
        raise ConnectionError

    for name in ("create_progress_artifact", "create_table_artifact", "create_markdown_artifact", "get_run_logger"):
        monkeypatch.setattr(run_page, name, broken)
    config = plant(tmp_path, 3)
    run = run_audit(AuditRequest(checked_config(config), "camaudit run"), Watcher(), pytest.fail)
    assert (run / "report.pdf").exists()


def test_who_has_to_hear_of_a_failed_run_does(tmp_path, prefect_of_module):
    from flows.audit import audit

    config = plant(tmp_path, 3)
    (tmp_path / "planted_network.py").write_text("def build():\n    raise ValueError('no weights')\n")
    heard = tmp_path / "heard.json"
    program = tmp_path / "notify"
    program.write_text(f"#!/bin/sh\ncat > {heard}\n")
    program.chmod(0o700)
    with pytest.raises(AuditError):
        audit(str(config), notify=[str(program)])
    news = json.loads(heard.read_text())
    assert (news["audit"], news["kinds"]) == ("planted", ["failed-run"])
    assert "model.factory" in news["sentences"][0]
