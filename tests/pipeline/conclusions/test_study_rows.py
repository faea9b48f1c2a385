"""Rows of studies, few and many: which lie where cannot be told from what they say."""

import pytest

from pipeline.conclusions import study_rows
from pipeline.conclusions.study_rows import StudyRows
from pipeline.evidence.columns.store import ColumnStore
from tests.benchmarks.cohort_memory import study


@pytest.mark.parametrize("size", [3, 4, 6, 7, 8, 13])
def test_rows_are_read_back_by_number_by_slice_and_in_order(size, tmp_path, monkeypatch):
    monkeypatch.setattr(study_rows, "_FEW", 4)
    monkeypatch.setattr(study_rows, "_BLOCK", 3)
    names = [f"S-{number}" for number in range(size)]
    with ColumnStore(tmp_path, limit=1) as store:
        rows = StudyRows(store.keep)
        assert [rows.add(study(number)).study for number in range(size)] == names
        assert len(rows) == size
        assert [row.study for row in rows] == names
        assert [rows[number].study for number in range(-size, size)] == names * 2
        assert [row.study for row in rows[1::2]] == names[1::2]
        for beyond in (size, -size - 1):
            with pytest.raises(IndexError):
                rows[beyond]


def test_rows_in_a_file_say_what_the_records_say(tmp_path, monkeypatch):
    monkeypatch.setattr(study_rows, "_FEW", 0)
    monkeypatch.setattr(study_rows, "_BLOCK", 2)
    audits = [study(number) for number in (0, 1, 2, 3)]
    with ColumnStore(tmp_path, limit=1) as store:
        rows = StudyRows(store.keep)
        for audit in audits:
            rows.add(audit)
        for row, audit in zip(rows, audits, strict=True):
            assert dict(row.facts) == dict(audit.facts)
            assert dict(row.probabilities) == dict(audit.probabilities)
            assert (row.patient, row.reference, row.predicted) == (audit.patient, audit.reference, audit.predicted)
            assert (row.reason, row.places, row.mapped) == (audit.reason, audit.places, audit.mapped)
        assert rows[0].patient != rows[2].patient
        assert rows[2].patient is rows[3].patient is not audits[2].patient


def test_a_block_holds_nothing_of_those_that_lie_in_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(study_rows, "_FEW", 0)
    monkeypatch.setattr(study_rows, "_BLOCK", 1)
    with ColumnStore(tmp_path, limit=1) as store:
        rows = StudyRows(store.keep)
        first, second = rows.add(study(2)), rows.add(study(3))
        assert first.patient == second.patient
        assert first.patient is not second.patient


def test_what_is_kept_is_read_back_whatever_was_read_before(tmp_path):
    with ColumnStore(tmp_path, limit=1) as store:
        first = store.keep(b"first block")
        second = store.keep(b"second")
        assert first() == b"first block"
        third = store.keep(b"and a third")
        assert [block() for block in (third, first, second)] == [b"and a third", b"first block", b"second"]
