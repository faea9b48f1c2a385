"""The table of a cohort: what headers tell, and that nobody is told apart by it."""

import numpy as np
import pytest

from pipeline.conclusions.cohort_table import cohort_table
from tests.pipeline.evidence.records import not_analysed, study


def rows_of(facts, patients=None):
    audits = [study(n, facts=own, patient=patients[n] if patients else None) for n, own in enumerate(facts)]
    return {row.name: row for row in cohort_table([*audits, not_analysed(0)])}


def test_groups_are_counted_by_patients_or_studies():
    facts = [{"PatientSex": "F", "Manufacturer": "GE"}] * 8 + [{"PatientSex": "M"}] * 6 + [{}] * 2
    patients = [f"P-{n // 2}" for n in range(16)]
    rows = rows_of([{**own, "PatientAge": "40-59"} for own in facts], patients)
    assert (rows["Sex"].of, rows["Sex"].stated, rows["Sex"].not_stated) == ("patients", 7, 1)
    assert (rows["Vendor"].counts, rows["Vendor"].stated, rows["Vendor"].not_stated) == ({"GE": 8}, 8, 8)
    assert rows["Age band"].counts == {"40-59": 8}
    assert "Reconstruction kernel" not in rows


def test_numbers_are_median_and_ends():
    values = [1.25, 2.5, 5.0]
    rows = rows_of([{"SliceThickness": f"{value:g}"} for value in values] + [{}, {"SliceThickness": "thick"}])
    row = rows["Slice thickness"]
    assert (row.median, row.low, row.high, row.unit) == (np.median(values), 1.25, 5.0, "mm")
    assert (row.stated, row.not_stated) == (3, 2)


@pytest.mark.parametrize(
    ("sizes", "shown", "small"),
    [
        ({"a": 10, "b": 5}, {"a": 10, "b": 5}, None),
        ({"a": 10, "b": 6, "c": 1}, {"a": 10}, (2, 7)),
        ({"a": 10, "c": 1, "d": 1}, {"a": 10}, (2, None)),
        ({"a": 10, "c": 3, "d": 4}, {"a": 10}, (2, 7)),
        ({"c": 3}, {}, (1, None)),
        ({"a": 10, "c": 3}, {}, (2, 13)),
    ],
)
def test_a_group_of_fewer_than_five_cannot_be_told(sizes, shown, small):
    row = rows_of([{"PatientSex": name} for name, many in sizes.items() for _ in range(many)])["Sex"]
    assert row.counts == shown
    assert row.small == small


@pytest.mark.parametrize("seed", range(20))
def test_no_small_group_follows_by_subtraction_from_what_is_printed(seed):
    generator = np.random.default_rng(seed)
    sizes = {f"g{n}": int(size) for n, size in enumerate(generator.integers(1, 12, generator.integers(1, 7)))}
    row = rows_of([{"Manufacturer": name} for name, many in sizes.items() for _ in range(many)])["Vendor"]
    hidden = {name: many for name, many in sizes.items() if name not in row.counts}
    assert all(many >= 5 for many in row.counts.values())
    assert sum(row.counts.values()) + sum(hidden.values()) == row.stated
    if any(many < 5 for many in hidden.values()):
        assert row.small is not None
        assert row.small[0] == len(hidden)
        assert len(hidden) >= 2 or not row.counts


def test_lesions_are_told_by_label_and_unit():
    facts = [
        {"lesions: nodule": "2", "largest lesion: nodule": "100 mm3"},
        {"lesions: nodule": "1", "largest lesion: nodule": "50 mm3"},
        {"lesions: nodule": "0"},
        {"lesions: mass": "1", "largest lesion: mass": "9 px2"},
        {},
    ]
    rows = rows_of(facts)
    assert (rows["Lesions in a study's mask: nodule"].median, rows["Lesions in a study's mask: nodule"].stated) == (
        1,
        3,
    )
    assert rows["Largest lesion of a study: nodule"].high == 100
    assert rows["Largest lesion of a study: mass"].unit == "px2"
