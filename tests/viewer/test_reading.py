"""Answers, cohort, help and reviews, as a reader uses them; hostile strings stay strings."""

import json
import threading

import pytest

from flows.viewing.desk import Desk
from flows.viewing.server import viewing
from pipeline.findings.custody.ledger import read_ledger
from pipeline.findings.reviews import parse_review
from reports.cover.first_answers import first_answers, verdict_rows
from reports.viewer.build import open_context, write_page
from tests.reports.viewer.example_run import CT, DX, HIDDEN, write_viewed_run
from tests.reports.viewer.test_page import HOSTILE

pytestmark = pytest.mark.viewer
READY = ".case[data-ready]"


def test_the_answer_comes_first_in_the_report_s_words(opened, run, page_file):
    page = opened(page_file.as_uri())
    results, shown = open_context(run).results, page.inner_text("main")
    for row in verdict_rows(results):
        assert row.criterion in shown
        assert row.allowed in shown
    for answer in first_answers(results):
        assert answer.first in shown


def test_rows_are_filtered_and_open_their_case(opened, page_file):
    page = opened(f"{page_file.as_uri()}#cohort")
    assert page.inner_text("output.state:visible >> nth=-1") == "3 of 3 studies"
    page.select_option("select[data-filter='site']", label="Süd")
    assert page.inner_text(".filters output") == "1 of 3 studies"
    page.select_option("select[data-filter='site']", label="all")
    page.select_option("select[data-filter='Answer']", label="wrong")
    assert [row.inner_text().split()[0] for row in page.query_selector_all(".cohort tbody tr:not([hidden])")] == [
        HIDDEN
    ]
    page.select_option("select[data-filter='Answer']", label="all")
    page.fill("input[data-filter='Score at least']", "2")
    assert page.inner_text(".filters output") == "0 of 3 studies"
    page.fill("input[data-filter='Score at least']", "")
    page.click(f"button:text-is('{DX}')")
    page.wait_for_selector(f".case[data-study='{DX}'][data-ready]")
    page.keyboard.press(",")
    page.wait_for_selector(f".case[data-study='{CT}'][data-ready]")


def test_keys_are_explained(opened, page_file):
    page = opened(f"{page_file.as_uri()}#case-0", READY)
    page.keyboard.press("?")
    assert page.is_visible("dialog.help")
    assert "neurological" in page.inner_text("dialog.help")
    page.keyboard.press("Escape")
    assert page.is_hidden("dialog.help")


def judged(page):
    page.keyboard.press("2")
    page.fill(".review textarea", "beside it\u202e, Å\nsecond line")
    page.select_option(".review select", label="the map Grad-CAM")
    page.click("[data-judgement='agree']")
    page.fill(".sending input >> nth=0", "Dr. Åse")
    page.fill(".sending input >> nth=1", "radiologist")


def test_a_review_is_saved_as_a_file_that_its_format_takes(opened, run, page_file, tmp_path):
    page = opened(f"{page_file.as_uri()}#case-0", READY)
    judged(page)
    with page.expect_download() as download:
        page.click("#save-review")
    download.value.save_as(tmp_path / "review.json")
    review = parse_review((tmp_path / "review.json").read_bytes())
    assert (review.run, review.ledger_head) == (
        open_context(run).results.run,
        read_ledger(run / "ledger.jsonl")[-1].hash,
    )
    assert (review.reviewer.name, review.reviewer.role) == ("Dr. Åse", "radiologist")
    assert [(case.map, case.judgement) for case in review.cases] == [(None, "disagree"), ("gradcam", "agree")]
    assert review.cases[0].comment == "beside it, Å\nsecond line"
    assert page.locator("#send-review").count() == 0


def test_a_review_needs_a_name_and_a_judgement(opened, page_file):
    page = opened(f"{page_file.as_uri()}#case-0", READY)
    page.click("#save-review")
    assert page.inner_text(".sending output") == "Give your name first."
    page.fill(".sending input >> nth=0", "Dr. A")
    page.fill(".review textarea", "no judgement")
    assert "1 commented without a judgement" in page.inner_text(".sending output")
    page.click("#save-review")
    assert page.inner_text(".sending output") == "Judge a case first."


def test_a_served_page_shows_its_cases_and_writes_back(opened, tmp_path):
    run = write_viewed_run(tmp_path / "run")
    with viewing(Desk(open_context(run), run / "reviews")) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            page = opened(f"{server.admission.address}#case-0", READY)
            assert page.locator("canvas[data-plane]").count() == 3
            judged(page)
            page.click("#send-review")
            page.wait_for_selector("output:has-text('Written as review-')")
        finally:
            server.shutdown()
            thread.join()
    written = list((run / "reviews").iterdir())
    assert [parse_review(path.read_bytes()).cases[1].judgement for path in written] == ["agree"]


def test_hostile_strings_are_shown_as_they_are(opened, tmp_path):
    run = write_viewed_run(tmp_path / "run", volumes="none")
    fields = json.loads((run / "results.json").read_bytes())
    texts = [*HOSTILE, "</script><img src=x onerror=alert(1)>", "<svg onload=alert(1)>", "javascript:alert(1)"]
    fields |= {"title": texts[-3], "organisation": " ".join(texts)[:60_000], "prepared_by": texts[-2]}
    fields["verdicts"][0]["estimate"]["reason"] = texts[-3]
    fields["cases"][0] |= {"rule": "\n".join(texts), "note": texts[-3]}
    fields["cases"][0]["audit"]["strata"] = {text[:200]: text for text in texts}
    (run / "results.json").write_text(json.dumps(fields))
    rows = (run / "per_study.csv").read_text().replace("Nord", texts[-3])
    (run / "per_study.csv").write_text(rows)
    page_file = write_page(run, tmp_path / "report.html").page
    page = opened(page_file.as_uri())
    assert page.text_content("h1") == texts[-3]
    page = opened(f"{page_file.as_uri()}#cohort")
    assert texts[-3] in page.text_content(".cohort")
    page = opened(f"{page_file.as_uri()}#case-0", READY)
    for text in texts:
        assert " ".join(text.split())[:50] in " ".join(page.text_content(".case").split())
    assert page.locator("img, svg, main script").count() == 0


def test_whoever_puts_a_script_into_the_page_is_stopped_and_told_of(browser, page_file):
    page = browser.new_page()
    page.goto(page_file.as_uri())
    page.wait_for_selector("body[data-ready]", state="attached")
    page.evaluate(
        "() => { try { const node = document.createElement('script'); node.append('document.title = \"taken\"');"
        " document.body.append(node); } catch (fault) { document.body.dataset.thrown = 'true'; } }"
    )
    page.wait_for_selector("body[data-faults], body[data-thrown]", state="attached")
    assert page.title() != "taken"
    page.close()


def test_an_altered_run_says_so(opened, run, tmp_path):
    altered = write_page(run, tmp_path / "report.html", ["a file is not the one that the run wrote"])
    page = opened(altered.page.as_uri())
    assert "ALTERED" in page.inner_text("#altered")
