"""``camaudit approve``: a decision in the ledger and on a page; reviews of anything else are refused."""

import json
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.findings.custody.ledger import Ledger, read_ledger
from pipeline.findings.custody.site_key import load_site_key
from pipeline.findings.results import load_results
from pipeline.findings.signed.decisions import reviewed_maps
from pipeline.verify.failure import FailureKind
from reports.page.read_back import read_report
from tests.falsify.world import flip
from tests.flows.persons.help import codes
from tests.reports.signing.people import write_p12


def approve(camaudit, run, *more, decision="approve"):
    who = ("--name", "Clara Clinician", "--role", "radiologist", "--reason", "the maps lie where the nodules are")
    return camaudit("approve", run, "--decision", decision, *who, *more)


def review_of(run, path, **changes):
    results = load_results(run)
    study = results.cases[0].study
    name = next(iter(reviewed_maps(results)[study]))
    case = {"study": study, "map": name, "judgement": "disagree", "comment": "beside the nodule"}
    content = {
        "format": "camaudit-review/1",
        "run": results.run,
        "ledger_head": read_ledger(run / "ledger.jsonl")[-1].hash,
        "reviewer": {"name": "Rita Reader", "role": "radiologist"},
        "cases": [case],
        "written_at": datetime.now(UTC).isoformat(),
    }
    path.write_text(json.dumps(content | changes))
    return path


def test_a_decision_stands_in_the_ledger_and_on_a_page_and_the_earlier_report_stays(
    copy, camaudit, people, tmp_path, rendered_again
):
    before = (copy.run / "report.pdf").read_bytes()
    camaudit("sign", copy.run, "--key", write_p12(people["author"], tmp_path / "a.p12"), "--role", "physicist",
             "--meaning", "authorship")  # fmt: skip
    signed = (copy.run / "report-signed.pdf").read_bytes()
    code, out, err = approve(camaudit, copy.run, "--review", review_of(copy.run, tmp_path / "r.json"))
    assert (code, out.rstrip(), err) == (0, str(copy.run / "report.pdf"), "")
    assert (copy.run / "superseded" / "report-1.pdf").read_bytes() == before
    assert (copy.run / "superseded" / "report-signed-1.pdf").read_bytes() == signed
    assert not (copy.run / "report-signed.pdf").exists()
    words = "".join(read_report(copy.run / "report.pdf").pages)
    for said in (
        "ApprovedbyClaraClinician(radiologist)",
        "themapsliewherethenodulesare",
        "besidethenodule",
        "RitaReader",
    ):
        assert said in words
    assert approve(camaudit, copy.run, decision="reject")[0] == 0, "a later decision stands beside the first"
    assert "RejectedbyClaraClinician" in "".join(read_report(copy.run / "report.pdf").pages)
    assert codes(camaudit, copy.run) == set()
    events = [entry.event for entry in read_ledger(copy.run / "ledger.jsonl")]
    assert events[-4:] == ["decision.recorded", "report.superseded", "report.rendered", "attestation.written"]


def test_reviews_of_something_else_are_refused_and_nothing_is_recorded(copy, camaudit, tmp_path):
    before = (copy.run / "ledger.jsonl").read_bytes()
    refused = {
        "another run": review_of(copy.other, tmp_path / "a.json"),
        "another head": review_of(copy.run, tmp_path / "b.json", ledger_head="ab" * 32),
        "a head before the results": review_of(
            copy.run, tmp_path / "c.json", ledger_head=read_ledger(copy.run / "ledger.jsonl")[3].hash
        ),
        "no such study": review_of(
            copy.run, tmp_path / "d.json", cases=[{"study": "x", "map": None, "judgement": "agree", "comment": ""}]
        ),
        "not there": tmp_path / "nowhere.json",
    }
    for name, path in refused.items():
        code, out, err = approve(camaudit, copy.run, "--review", path)
        assert (code, out, err.startswith("camaudit: --review") or "--review" in err) == (2, "", True), name
    assert (copy.run / "ledger.jsonl").read_bytes() == before


def test_what_does_not_hold_is_not_decided_about(copy, camaudit):
    flip(copy.run / "per_study.csv")
    code, out, err = approve(camaudit, copy.run)
    assert (code, out, "nothing was recorded: 30" in err) == (30, "", True)
    code, _, err = approve(camaudit, copy.run, decision="aprove")
    assert (code, "did you mean 'approve'" in err) == (2, True)
    code, _, err = camaudit("approve", copy.run, "--decision", "approve")
    assert (code, "--name: is missing" in err) == (2, True)


FORGED = {
    "about another run": {"run": "20200101T000000000Z-0"},
    "about no report of the run": {"report": "0" * 64},
    "no decision": {"decision": "perfect"},
    "a file taken away": {"removed": ["per_study.csv"]},
    "a review that nobody kept": {"review": "decisions/review-0123456789ab.json"},
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_decisions_are_named_although_the_key_signed_them(copy, camaudit, name):
    entries = read_ledger(copy.run / "ledger.jsonl")
    report = next(e.body["files"]["report.pdf"] for e in entries if e.event == "report.rendered")
    facts = {"decision": "approve", "run": copy.run.name, "report": report, "name": "A", "role": "b", "reason": "c"}
    facts |= {"run": load_results(copy.run).run, **FORGED[name]}
    Ledger(copy.run / "ledger.jsonl", load_site_key()).append("decision.recorded", **facts)
    assert FailureKind.DECISION.code in codes(camaudit, copy.run)


def test_a_decision_is_taken_from_prefects_own_form(copy, prefect):
    """The flow pauses; the form is filled in as Prefect's page does it; the decision is recorded."""
    from prefect.client.orchestration import get_client
    from prefect.flow_runs import resume_flow_run

    from flows.commands.persons.approving import ask_for_decision

    ended = []
    flow = threading.Thread(target=lambda: ended.append(ask_for_decision(Path(copy.run), look_every_seconds=1)))
    flow.start()
    with get_client(sync_client=True) as client:
        while not (paused := [run for run in client.read_flow_runs() if run.state_name == "Paused"]):
            assert flow.is_alive()
            time.sleep(0.2)
    form = {"decision": "needs-review", "name": "Clara", "role": "radiologist", "reason": "two cases are doubtful"}
    resume_flow_run(paused[0].id, run_input=form)
    flow.join()
    assert ended == [0]
    assert "TobereviewedfurtherbyClara" in "".join(read_report(copy.run / "report.pdf").pages)
