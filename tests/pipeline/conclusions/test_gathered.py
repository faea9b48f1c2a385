"""A cohort gathered study by study: nothing is kept of a record, and results are those of the records all at once."""

import gc
import json
from pathlib import Path

import pytest

from pipeline.conclusions.conclude import Shown, conclude, conclusions
from pipeline.conclusions.gathered import ListedAudits, gather
from pipeline.findings.facts import Provenance
from pipeline.findings.spec import Member, RunSpec
from pipeline.findings.study_audit import StudyAudit
from tests.benchmarks.cohort_memory import specification, study

SIZE = 60


@pytest.fixture(scope="module")
def spec():
    return specification()


@pytest.fixture(scope="module")
def shown():
    stored = sorted((Path(__file__).parents[2] / "old_runs").glob("run*-results*/results.json"))[-1]
    provenance = Provenance.model_validate(json.loads(stored.read_bytes())["provenance"])
    return Shown(provenance, {}, (None, None), ())


def members(audits):
    return [
        Member(study=audit.study, patient=audit.patient, source_sha256=audit.source_sha256, shard=0) for audit in audits
    ]


def tuned(spec: RunSpec) -> RunSpec:
    content = spec.model_dump(mode="json")
    content["configuration"]["overlap"]["threshold"] = {"tuned": "iou", "share": 0.3, "fewest": 2}
    return RunSpec.model_validate(content)


def test_records_that_are_gone_when_they_were_added_give_the_same_results(spec, shown):
    audits = [study(number) for number in range(SIZE)]
    cohort = gather(spec, members(audits), (study(number) for number in range(SIZE)))
    records = ListedAudits(audits)
    assert conclusions(spec, members(audits), cohort, records, shown) == conclude(spec, members(audits), audits, shown)


def test_whole_records_are_kept_of_failed_studies_alone(spec):
    listed = members([study(number) for number in range(SIZE)])
    gc.collect()
    before = sum(type(thing) is StudyAudit for thing in gc.get_objects())
    cohort = gather(spec, listed, (study(number) for number in range(SIZE)))
    gc.collect()
    assert sum(type(thing) is StudyAudit for thing in gc.get_objects()) - before == len(cohort.not_analysed) == 2
    assert len(cohort.studies) == SIZE


def test_tuning_patients_are_kept_and_counted(spec):
    audits = [study(number) for number in range(SIZE)]
    listed = [member.model_copy(update={"tuning": member.patient in ("P-1", "P-2")}) for member in members(audits)]
    cohort = gather(tuned(spec), listed, audits)
    assert [audit.study for audit in cohort.tuning] == ["S-2", "S-3", "S-4", "S-5"]
    scored = cohort.units.among("all").score("gradcam", "iou")
    reasons = {cohort.units.reasons[code] for code in scored.codes.tolist() if code}
    assert reasons == {"tuning_patient", "not_analysed"}


def test_rows_of_studies_share_what_is_equal(spec):
    audits = [study(number) for number in range(SIZE)]
    rows = gather(spec, members(audits), audits).studies
    first, second = (row for row in rows[2:7] if row.study in ("S-2", "S-6"))
    assert first.reference is second.reference
    assert first.places is second.places
    assert first.patient is rows[3].patient
    for row, audit in zip(rows, audits, strict=True):
        for name in ("probabilities", "values", "strata", "facts"):
            assert dict(getattr(row, name)) == dict(getattr(audit, name))
        assert (row.places, row.mapped, row.placed) == (audit.places, audit.mapped, audit.placed)
        assert row.may_show("lesion") == audit.may_show("lesion")
        assert row.may_lack("lesion") == audit.may_lack("lesion")
