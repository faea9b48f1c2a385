"""The file of clauses: every row is dated, has a source, and points to sections and rows that exist."""

import re
from datetime import date
from pathlib import Path

import pytest

import reports.sections  # noqa: F401 - fills the registry
from pipeline.vocabulary import FRAMEWORKS, USUAL_FRAMEWORKS
from reports.clauses.clause import load_clauses, read_clauses
from reports.clauses.evidence import EVIDENCE
from reports.registry import sections

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "reports/clauses/clauses.toml").read_text(encoding="utf-8")
CLAUSES = load_clauses()


@pytest.mark.parametrize("clause", CLAUSES.clauses, ids=lambda clause: clause.id)
def test_a_clause_points_to_sections_and_evidence_that_exist(clause):
    known = {part.build.__module__.rpartition(".")[2] for part in sections()} | {"change"}
    assert {section for section, _ in clause.answered} <= known
    assert {evidence for _, evidence in clause.answered} <= set(EVIDENCE)
    assert date(2026, 1, 1) < clause.observed_on <= date(2026, 11, 29)
    assert clause.source
    assert clause.answered or clause.leaves_open


def test_each_framework_has_clauses_and_each_kind_of_evidence_is_asked_for():
    assert {clause.framework for clause in CLAUSES.clauses} == set(FRAMEWORKS)
    assert {evidence for clause in CLAUSES.clauses for _, evidence in clause.answered} == set(EVIDENCE)


def test_what_the_report_is_for_has_its_rows():
    references = " | ".join(f"{clause.framework} {clause.reference}" for clause in CLAUSES.clauses)
    articles = ("Art. 9", "Art. 10", "Art. 11", "Art. 12", "Art. 13", "Art. 14", "Art. 15", "Art. 17", "Art. 72")
    for wanted in (*articles, "Annex IV", "Predetermined change", "24971-2", "63621", "N88", "CLAIM", "11.50"):
        assert wanted.casefold() in references.casefold()
    assert {"stard-ai", "future-ai", "clix-m", "nist-ai-rmf", "iec-62304"} <= set(FRAMEWORKS)
    by_id = {clause.id: clause for clause in CLAUSES.clauses}
    assert (by_id["fda-ai-functions"].status, by_id["mdr-reform"].status) == ("draft", "proposed")
    assert by_id["eu-ai-act-15"].applies_from == "2028-08-02"
    assert len(USUAL_FRAMEWORKS) <= 3


def changed(old, new):
    """Return the file with the first clause's text changed."""
    start = TEXT.index("[[clauses]]")
    assert old in TEXT[start:]
    return TEXT[:start] + TEXT[start:].replace(old, new, 1)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("observed_on = 2026-11-28\n", "", "eu-ai-act-9-risk: lacks observed_on"),
        ("observed_on = 2026-11-28\n", 'observed_on = ""\n', "eu-ai-act-9-risk: lacks observed_on"),
        ("observed_on = 2026-11-28\n", 'observed_on = "2026-11-28"\n', "eu-ai-act-9-risk: observed_on must be a day"),
        ('source = "Regulation (EU) 2024/1689, Art. 9"\n', "", "eu-ai-act-9-risk: lacks source"),
        ('source = "Regulation (EU) 2024/1689, Art. 9"\n', 'source = ""\n', "eu-ai-act-9-risk: lacks source"),
        ('status = "in_force"', 'status = "certain"', "status must be one of"),
        ('confidence = "secondary"', 'confidence = "sure"', "confidence must be one of"),
        ('applies_from = "2028-08-02"', 'applies_from = "soon"', "applies_from is a year, month or day"),
        ('id = "eu-ai-act-9-testing"', 'id = "eu-ai-act-9-risk"', "stands there twice"),
        ('framework = "eu-ai-act"', 'framework = "eu"', "framework 'eu' is none of"),
        ('superseded_by = "n88-data"', 'superseded_by = "n89"', "superseded_by 'n89' is no other row's id"),
        ('leaves_open = "the risk file itself"', 'opens = ""\nleaves_open = ""', "unknown fields"),
    ],
)
def test_a_row_that_does_not_hold_is_refused(old, new, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        read_clauses(changed(old, new))


def test_a_framework_that_the_vocabulary_does_not_know_is_refused():
    with pytest.raises(ValueError, match="as the vocabulary has them"):
        read_clauses(TEXT.replace("[frameworks.mdr]", "[frameworks.mdx]"))


@pytest.mark.parametrize(("days", "stale"), [(180, False), (181, True)])
def test_a_row_grows_stale_after_180_days(days, stale):
    clause = CLAUSES.clauses[0]
    today = date.fromordinal(clause.observed_on.toordinal() + days)
    assert clause.is_stale(today) is stale
