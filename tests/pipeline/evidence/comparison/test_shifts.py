"""Where maps peak, in two runs: distances by hand, errors by simulation, and who is compared with whom."""

import numpy as np
import pytest

from flows.commands.compare import _lines
from pipeline.evidence.comparison.compare import compare_runs
from pipeline.evidence.comparison.shifts import energy_distance, peak_shifts
from pipeline.findings.scores import MapPeak
from tests.pipeline.evidence.comparison.pairs import run_of
from tests.pipeline.evidence.records import entry, study

ASIDE = np.array([0.3, 0.0])


def with_peaks(places, first=0, **more):
    """Return a study of a patient each, with a map that two readers' masks are held against."""
    rows = []
    for number, place in enumerate(places, first):
        peak = MapPeak(region="body", body_region="body", place="left", position_mm=(0.0, 0.0, 0.0),
                       normalised=tuple(float(x) for x in place), value=1.0)  # fmt: skip
        maps = [entry("gradcam", reader, 0.4).model_copy(update={"peak": peak}) for reader in "ab"]
        rows.append(study(number, *maps, masks=1, strata={"site": "AB"[number % 2]}, **more))
    return rows


def names(audits):
    return [audit.study for audit in audits]


def test_the_distance_by_hand():
    """X at 0, Y half at 1 and half at 3: 2 x 2 - 0 - 1/2 x 2 = 3."""
    places = np.array([[0.0], [1.0], [3.0]])
    assert energy_distance(places, np.array([[1, -0.5, -0.5], [0, 0, 0]])) == pytest.approx([3, 0])


def test_the_same_patients_whose_maps_moved():
    generator = np.random.default_rng(2)
    before = generator.uniform(0.2, 0.4, (20, 2))
    a, b = with_peaks(before), with_peaks(before + ASIDE)
    shifts = peak_shifts(a, b, names(b))
    assert [(shift.group, shift.of, shift.patients) for shift in shifts] == [
        (None, "same patients", 20), ("site=A", "same patients", 10), ("site=B", "same patients", 10),
    ]  # fmt: skip
    assert shifts[0].p == 0.001
    x = before[:, None] - before[None]
    between = before[:, None] + ASIDE - before[None]
    by_hand = 2 * np.linalg.norm(between, axis=2).mean() - 2 * np.linalg.norm(x, axis=2).mean()
    assert shifts[0].distance == pytest.approx(by_hand)


def test_maps_that_did_not_move_have_no_row_and_neither_have_few_patients():
    a = with_peaks(np.full((20, 2), 0.5))
    assert peak_shifts(a, a, names(a)) == ()
    b = with_peaks(np.full((4, 2), 0.9))
    assert peak_shifts(a, b, names(b)) == ()


def test_new_patients_are_held_against_those_who_were_there():
    generator = np.random.default_rng(4)
    x, y = generator.uniform(0.2, 0.4, (16, 3)), generator.uniform(0.5, 0.7, (12, 3))
    old, new = with_peaks(x), with_peaks(y, first=100)
    shifts = peak_shifts(old, [*old, *new], names(old))
    assert [(shift.group, shift.of, shift.axes, shift.patients_before, shift.patients) for shift in shifts] == [
        (None, "new patients", 3, 16, 12), ("site=A", "new patients", 3, 8, 6), ("site=B", "new patients", 3, 8, 6),
    ]  # fmt: skip
    assert all(shift.p <= 0.005 for shift in shifts)
    between, *within = (np.linalg.norm(u[:, None] - v, axis=2).mean() for u, v in ((x, y), (x, x), (y, y)))
    assert shifts[0].distance == pytest.approx(2 * between - sum(within))


@pytest.mark.parametrize("of", ["same patients", "new patients"])
def test_where_nothing_changed_small_p_values_are_as_rare_as_they_say(of):
    generator = np.random.default_rng(8)
    small = 0
    for _ in range(40):
        old = with_peaks(generator.random((10, 2)))
        if of == "same patients":
            a, b = old, with_peaks(generator.random((10, 2)))
        else:
            a, b = old, [*old, *with_peaks(generator.random((10, 2)), first=100)]
        (shift,) = [part for part in peak_shifts(a, b, names(a)) if part.group is None]
        assert shift.of == of
        small += shift.p <= 0.1
    assert small <= 10  # 4 are to be expected; more than 10 have a probability of 0.002


def test_a_comparison_holds_the_shifts_and_changes_no_answer_for_them():
    generator = np.random.default_rng(2)
    before = generator.uniform(0.2, 0.4, (12, 2))
    a, b = run_of(with_peaks(before)), run_of(with_peaks(before + ASIDE))
    change = compare_runs(a, b).change
    assert [shift.group for shift in change.shifts] == [None, "site=A", "site=B"]
    assert change.answer == compare_runs(a, a).change.answer
    assert change.is_unchanged
    assert change.shifts[0].p <= 0.004
    (line,) = [line for line in _lines(change) if "peaks" in line]
    first = change.shifts[0]
    assert f"energy distance {first.distance:.4f} (p {first.p:.3f}, 12 and 12 patients; descriptive)" in line
