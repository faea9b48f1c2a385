"""A cohort gathered study by study: nothing is kept of a record, and results are those of the records all at once."""

import gc

import pytest

from pipeline.conclusions import study_rows
from pipeline.conclusions.conclude import conclude, conclusions
from pipeline.conclusions.gathered import ListedAudits, gather
from pipeline.errors import OutputError
from pipeline.evidence.cohort import units
from pipeline.evidence.columns.store import ColumnStore
from pipeline.findings.spec import RunSpec
from pipeline.findings.study_audit import StudyAudit
from tests.benchmarks.cohort_memory import METRICS, members_of, shown_of_a_run, specification, study

SIZE = 60


@pytest.fixture(scope="module")
def spec():
    content = specification().model_dump(mode="json")
    content["configuration"]["run"]["replicates"] = 200
    return RunSpec.model_validate(content)


@pytest.fixture(scope="module")
def expected(spec, shown):
    audits = [study(number) for number in range(SIZE)]
    return conclude(spec, members_of(audits), audits, shown)


@pytest.fixture(scope="module")
def shown():
    return shown_of_a_run()


def tuned(spec: RunSpec) -> RunSpec:
    content = spec.model_dump(mode="json")
    content["configuration"]["overlap"]["threshold"] = {"tuned": "iou", "share": 0.3, "fewest": 2}
    return RunSpec.model_validate(content)


def test_records_that_are_gone_when_they_were_added_give_the_same_results(spec, shown, expected):
    audits = [study(number) for number in range(SIZE)]
    cohort = gather(spec, members_of(audits), (study(number) for number in range(SIZE)))
    records = ListedAudits(audits)
    assert conclusions(spec, members_of(audits), cohort, records, shown) == expected


def test_what_lies_in_a_file_gives_the_same_results_and_leaves_nothing(spec, shown, expected, tmp_path, monkeypatch):
    for module, name, size in ((units, "_BLOCK", 7), (study_rows, "_BLOCK", 5), (study_rows, "_FEW", 11)):
        monkeypatch.setattr(module, name, size)
    audits = [study(number) for number in range(SIZE)]
    with ColumnStore(tmp_path, limit=1) as store:
        cohort = gather(spec, members_of(audits), audits, store.keep)
        assert [row.study for row in cohort.studies] == [audit.study for audit in audits]
        assert cohort.studies[-1].study == cohort.studies[SIZE - 1].study == audits[-1].study
        assert [row.study for row in cohort.studies[9:31:4]] == [audit.study for audit in audits[9:31:4]]
        with pytest.raises(IndexError):
            cohort.studies[SIZE]
        assert conclusions(spec, members_of(audits), cohort, ListedAudits(audits), shown) == expected
    assert not list(tmp_path.iterdir())


def test_each_readers_own_scores_may_lie_in_a_file(tmp_path, monkeypatch):
    audits = [study(number) for number in range(SIZE)]
    plain = units.units_of(audits, METRICS, ("lesion",))
    monkeypatch.setattr(units, "_BLOCK", 7)
    with ColumnStore(tmp_path, limit=1) as store:
        gatherer = units.UnitGatherer(METRICS, ("lesion",), keep=store.keep)
        for audit in audits:
            gatherer.add(audit)
        stored = gatherer.table(audits)
        assert list(stored) == list(plain)
        assert {unit.study for unit in stored} == {audit.study for audit in audits if audit.reference}
        assert stored.readers_named == plain.readers_named == ("anna",)
        assert list(stored.as_read_by("anna")) == list(plain.as_read_by("anna"))


def test_a_folder_without_room_for_columns_is_named(tmp_path):
    with (
        ColumnStore(tmp_path / "gone", limit=1) as store,
        pytest.raises(OutputError, match="gone: has no room for the cohort's columns"),
    ):
        store.keep(b"values")


def test_whole_records_are_kept_of_failed_studies_alone(spec):
    listed = members_of([study(number) for number in range(SIZE)])
    gc.collect()
    before = sum(type(thing) is StudyAudit for thing in gc.get_objects())
    cohort = gather(spec, listed, (study(number) for number in range(SIZE)))
    gc.collect()
    assert sum(type(thing) is StudyAudit for thing in gc.get_objects()) - before == len(cohort.not_analysed) == 2
    assert len(cohort.studies) == SIZE


def test_tuning_patients_are_kept_and_counted(spec):
    audits = [study(number) for number in range(SIZE)]
    listed = [member.model_copy(update={"tuning": member.patient in ("P-1", "P-2")}) for member in members_of(audits)]
    cohort = gather(tuned(spec), listed, audits)
    assert [audit.study for audit in cohort.tuning] == ["S-2", "S-3", "S-4", "S-5"]
    scored = cohort.units.among("all").score("gradcam", "iou")
    reasons = {cohort.units.reasons[code] for code in scored.codes.tolist() if code}
    assert reasons == {"tuning_patient", "not_analysed"}


def test_rows_of_studies_share_what_is_equal(spec):
    audits = [study(number) for number in range(SIZE)]
    rows = gather(spec, members_of(audits), audits).studies
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
