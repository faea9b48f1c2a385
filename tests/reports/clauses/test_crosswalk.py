"""What is said of a clause follows from the results, and never claims that it is fulfilled."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import reports.sections  # noqa: F401 - fills the registry
from pipeline.vocabulary import FRAMEWORKS
from reports.clauses.clause import load_clauses
from reports.clauses.evidence import EVIDENCE
from reports.pdf import render
from tests.reports import example
from tests.reports.test_sentences import said

ROOT = Path(__file__).resolve().parents[3]
BANNED = re.compile(
    r"\b(in )?complian(t|ce)\b|\bcompl(y|ies|ied)\b|\bconform(s|ant|ing)?\b|\bfulfils\b|\bcertif(y|ies|ied)\b", re.I
)


def at(day, **changes):
    """Return the example's results, as of another day."""
    provenance = example.results().provenance.model_copy(update={"finished_at": f"{day}T12:00:00+00:00"})
    return example.results(provenance=provenance, **changes)


def row(results, reference):
    """Return what is said of the clause with a reference: itself, evidence, open."""
    parts = said("Clauses", results).split(" | ")
    begins = re.compile(re.escape(reference) + "\u2020?(\\. | \\()")
    clause = next(part for part in parts if begins.match(part))
    named, _, rest = clause.partition(" In: ")
    where, _, left = rest.partition(" Open: ")
    return named, where.removesuffix("."), left.removesuffix(".")


def test_what_is_there_names_its_section_and_what_lacks_says_why():
    _, where, left = row(example.results(), "Art. 9(8)")
    assert where == "Cover"
    assert left == ""
    _, where, left = row(example.results(exploratory=("no lock",), verdicts=()), "Art. 9(8)")
    assert where == "nothing in this report"
    assert left == "no criterion was set; nothing was locked beforehand: the run is exploratory"


def test_a_subgroup_counts_only_when_it_was_evaluated():
    assert "Subgroups" in row(example.results(), "Annex IV(3)")[1]
    without = tuple(part for part in example.estimates() if part.group is None)
    _, where, left = row(example.results(estimates=without), "Annex IV(3)")
    assert "Subgroups" not in where
    assert "no subgroup was evaluated" in left


def test_what_was_not_run_is_left_open_by_its_name():
    left = row(example.results(), "Items 30, 31")[2]
    assert left == "no sanity check was run; no test of stability was run"


@pytest.mark.parametrize("name", sorted(EVIDENCE))
def test_every_kind_of_evidence_says_why_it_lacks(name):
    made = {"libraries": {}, "determinism": "", "ledger_head": None}
    counts = dict.fromkeys(("found", "analysed", "patients", "computed", "reused"), 0)
    lists = ("verdicts", "estimates", "classification", "agreements", "cases", "methods", "preparation")
    nothing = example.results(
        exploratory=("no lock",),
        missing=0,
        flow=example.Flow(**counts, excluded={}, failed={}),
        provenance=example.results().provenance.model_copy(update=made),
        **dict.fromkeys(lists, ()),
        **{"cohort_facts": {}, "intended_use": "not stated", "reference_standard": " ", "prepared_by": "not stated"},
    )
    lack = EVIDENCE[name](nothing)
    assert (lack is None) == (name == "always")
    assert lack != ""


@pytest.mark.parametrize(
    ("day", "status"),
    [
        ("2026-11-29", "applies from 2028-08-02"),
        ("2028-08-01", "applies from 2028-08-02"),
        ("2028-08-02", "in force since 2028-08-02"),
    ],
)
def test_what_is_not_yet_in_force_says_from_when(day, status):
    usual = f"EU AI Act: {status} | "
    assert usual in said("Clauses", at(day))
    assert status not in row(at(day), "Art. 12(1), (2)")[0]


def test_a_row_that_was_looked_up_long_ago_says_so():
    assert "180 days" not in said("Clauses", at("2027-05-20"))
    old = said("Clauses", at("2027-05-28"))
    assert "looked up 2026-11-28, more than 180 days ago" in old
    assert "looked up 2026-11-28, more than 180 days before this report" in old


def test_a_draft_a_proposal_and_what_was_replaced_are_told():
    results = example.results(frameworks=("fda", "mdr", "gmlp"))
    assert "draft 2025-01-07" in row(results, "AI-enabled device software functions")[0]
    assert "proposed 2025" in row(results, "COM(2025) 1023")[0]
    assert "replaced by N88, principles 3-5" in row(results, "GMLP, 10 principles of 2021")[0]
    assert row(results, "Art. 61, Annex XIV")[0].startswith("Art. 61, Annex XIV\u2020. ")
    assert row(example.results(), "Art. 9(8)")[0].startswith("Art. 9(8). "), "its wording was seen"


def test_only_the_frameworks_that_were_chosen_are_listed_and_the_others_named():
    text = said("Clauses", example.results(frameworks=("clix-m",)))
    assert "14 items" in text
    assert "Art. 12" not in text
    assert "Not shown, and at hand: EU AI Act, MDR" in text
    assert said("Clauses", example.results(frameworks=())) == "No framework was chosen (report.frameworks)."


def test_nothing_that_a_report_says_claims_that_a_clause_is_fulfilled(tmp_path):
    """Sentences in the sections' sources, in the data of clauses, and in a whole rendered report."""
    sources = [
        path
        for folder in ("reports", "docs")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".toml", ".md")
    ]
    for path in sources:
        lines = path.read_text(encoding="utf-8").replace("certify=", "").splitlines()  # an argument of pyHanko's
        found = [line for line in lines if BANNED.search(line)]
        assert not found, f"{path.name}: {found[:1]}"
    text = said("Clauses", example.results(frameworks=tuple(FRAMEWORKS)))
    assert "supports evidence for" in text
    assert not BANNED.search(text)


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="needs pdftotext")
def test_the_usual_table_takes_little_room_and_all_of_them_can_be_printed(tmp_path):
    few, all_of_them, none = (
        render(example.write_run(tmp_path / name, example.results(frameworks=frameworks)))
        for name, frameworks in (("few", ("eu-ai-act", "claim-2024")), ("all", tuple(FRAMEWORKS)), ("none", ()))
    )
    texts = [
        subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, check=True).stdout.decode()
        for path in (few, all_of_them, none)
    ]
    pages = [text.count("\f") for text in texts]
    assert pages[0] - pages[2] <= 2
    assert not BANNED.search(texts[1])
    for clause in load_clauses().clauses:
        assert clause.reference.split()[0] in texts[1]
