"""Where a clause is said to be answered, the section prints what answers it: each pointer's words are looked for."""

import pytest

import reports.sections  # noqa: F401 - fills the registry
from pipeline.findings.context.cohort import CohortRow, TrainingOverlap
from pipeline.findings.facts import TimeStamp
from reports.clauses.clause import load_clauses
from reports.clauses.evidence import EVIDENCE
from reports.registry import sections
from tests.reports import example
from tests.reports.page.test_page_count import experiments
from tests.reports.test_change import change, figure
from tests.reports.test_sentences import said

PRINTED = {
    ("case_pages", "cases"): "Chosen by rule:",
    ("change", "change"): "Held against",
    ("change", "margins"): "The margins were locked beforehand",
    ("classifier", "bounds"): "[0.75, 0.99]",
    ("classifier", "classifier"): "Accuracy",
    ("clauses", "always"): "supports evidence for",
    ("cover", "always"): "Sign-off",
    ("cover", "criteria"): "The data allow",
    ("cover", "locked"): "LOCKED 2026-11-20 09:00 UTC",
    ("cover", "time_stamp"): "Time stamp: 2026-11-20 09:01 UTC by An authority",
    ("data", "acquisition"): "Vendor",
    ("data", "flow"): "44 analysed",
    ("data", "reference_standard"): "Two readers of nine years",
    ("faithfulness", "faithfulness"): "BEATS BOTH",
    ("methods", "maps"): "Selvaraju",
    ("metrics", "overlap"): "Intersection over union",
    ("model", "always"): "DenseNet121",
    ("model", "independence"): "900 hashes",
    ("overlap", "baselines"): "Random map",
    ("overlap", "bounds"): "[0.27, 0.36]",
    ("overlap", "overlap"): "IoU",
    ("overlap", "readers"): "Between experts",
    ("preparation", "preparation"): "axcodes=RAS",
    ("reproducibility", "always"): "embedded in this PDF",
    ("reproducibility", "environment"): "torch 2.13.0",
    ("reproducibility", "ledger"): "Ledger head",
    ("reproducibility", "repeatability"): "deterministic algorithms on",
    ("sanity", "sanity"): "PASS",
    ("scope", "intended_use"): "Flags chest CT studies",
    ("scope", "known_risks"): "A risk that is known",
    ("scope", "responsible"): "A responsible person",
    ("shortcuts", "shortcuts"): "Border of the picture",
    ("stability", "stability"): "Noise of",
    ("subgroups", "subgroups"): "Small groups are not dropped",
    ("summary", "always"): "What this report is and is not",
    ("unmeasured", "always"): "Nothing in this report speaks to the following",
}
"""What a section says where it answers."""

POINTERS = sorted({(section, evidence) for clause in load_clauses().clauses for section, evidence in clause.answered})


def full():
    """Return results that hold every kind of evidence."""
    stated = {"readers": ("Two readers of nine years",), "protocol": ("each alone",),
              "known_risks": ("A risk that is known",), "responsible": ("A responsible person",)}  # fmt: skip
    stamp = TimeStamp(time="2026-11-20T09:01:00+00:00", authority="An authority", sha256="c" * 64)
    judged = figure(margin=0.1, answer="NOT MET", reason="p = 0.001 against the claim is at most 0.025")
    return example.results(
        lock=example.results().lock.model_copy(update={"time_stamp": stamp}),
        statements=stated,
        cohort_table=(CohortRow(name="Vendor", of="studies", counts={"GE": 44}, stated=44),),
        training_overlap=TrainingOverlap(hashes=900, list_sha256="b" * 64, checked=44, studies=(), patients=0),
        experiments=experiments(),
        changes=(change(figures=(judged,), locked=True),),
        margins={"iou": 0.1},
    )


@pytest.mark.parametrize(("section", "evidence"), POINTERS)
def test_a_section_prints_what_a_clause_is_sent_to_it_for(section, evidence):
    results = full()
    assert EVIDENCE[evidence](results) is None, "the results of this test hold every kind"
    title = next(part.title for part in sections() if part.build.__module__.rpartition(".")[2] == section)
    assert PRINTED[section, evidence] in said(title, results)


def test_every_pointer_has_its_words():
    assert set(PRINTED) == set(POINTERS)
