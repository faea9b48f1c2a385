"""Where maps peak, in two runs: distances by hand, errors by simulation, and who is compared with whom."""

from itertools import product

import numpy as np
import pytest

from flows.commands.compare import _lines
from pipeline.evidence.comparison import shifts
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


def at(number, *places, patient=None, readers="a", role="reference", site="A"):
    """Return a study whose map peaks at a place; beside several readers' masks it is the same map."""
    maps = []
    for place, reader in [(place, reader) for place in places for reader in readers]:
        peak = MapPeak(region="body", body_region="body", place="left", position_mm=(0.0, 0.0, 0.0),
                       normalised=(place, 0.0), value=1.0)  # fmt: skip
        more = {"peak": peak, "target_role": role}
        maps.append(entry("gradcam", reader, 0.4).model_copy(update=more))
    return study(number, *maps, patient=patient, masks=1, strata={"site": site})


def moved(a, b, **more):
    """Return what is told of all studies together."""
    return [shift for shift in peak_shifts(a, b, more.get("paired", names(b))) if shift.group is None]


def test_each_patient_weighs_alike_and_each_map_counts_once():
    """Four patients at 0, P-4 with studies at 0 and 1; then all at 0: a tenth moved by 1: 2 x .1 x .1 = .02."""
    a = [*(at(n, 0.0) for n in range(4)), at(4, 0.0, patient="P-4"), at(5, 1.0, patient="P-4", readers="ab")]
    b = [*(at(n, 0.0) for n in range(4)), at(4, 0.0, patient="P-4"), at(5, 0.0, patient="P-4", readers="ab")]
    (shift,) = moved(a, b)
    assert (shift.patients, shift.distance) == (5, pytest.approx(0.02))
    assert shift.p == 1.0, "with the only patient who moved turned round the distance is the same"


def test_new_patients_weigh_alike_too():
    """New: four at 1 and one with studies at 1 and 0, so a tenth at 0; old: five at 0: 2 x .9 x .9 = 1.62."""
    old = [at(n, 0.0) for n in range(5)]
    new = [*(at(10 + n, 1.0) for n in range(4)), at(20, 1.0, patient="Q"), at(21, 0.0, patient="Q")]
    (shift,) = moved(old, [*old, *new], paired=())
    assert (shift.of, shift.patients_before, shift.patients) == ("new patients", 5, 5)
    assert shift.distance == pytest.approx(1.62)


def test_five_patients_are_enough_and_four_are_not():
    far = [at(n, 0.9) for n in range(5)]
    assert [shift.patients for shift in moved([at(n, 0.1) for n in range(5)], far)] == [5]
    assert moved([at(n, 0.1) for n in range(4)], far[:4]) == []
    old, new = [at(n, 0.1) for n in range(5)], [at(10 + n, 0.9) for n in range(9)]
    assert moved(old[:4], [*old[:4], *new], paired=()) == []
    assert [shift.patients for shift in moved(old, [*old, *new[:4]], paired=())] == []


def test_studies_that_are_not_the_same_in_both_runs_and_wrong_answers_maps_have_no_part():
    a, b = [at(n, 0.1) for n in range(8)], [at(n, 0.9) for n in range(8)]
    assert [shift.patients for shift in moved(a, b, paired=names(b)[:6])] == [6]
    answered = [at(n, 0.9, role="answered") for n in range(8)]
    assert moved(a, answered) == []


def test_a_column_that_says_nothing_of_a_study_is_no_group():
    a, b = ([at(n, place, site="" if n < 5 else "B") for n in range(10)] for place in (0.1, 0.9))
    assert [shift.group for shift in peak_shifts(a, b, names(b))] == [None, "site=B"]


def test_of_many_patients_the_first_by_name_are_taken(monkeypatch):
    monkeypatch.setattr(shifts, "_MOST_PATIENTS", 6)
    a, b = [at(n, 0.1) for n in range(8)], [at(n, 0.9 if n < 6 else 0.1) for n in range(8)]
    (shift,) = moved(a, b)
    assert (shift.patients, shift.distance) == (6, pytest.approx(1.6)), "the two who did not move are left out"
    new = [at(10 + n, 0.9) for n in range(9)]
    (of_new,) = moved(a, [*a, *new], paired=())
    assert (of_new.patients_before, of_new.patients) == (6, 6)


def test_the_permutations_are_compared_with_the_distance_that_was_seen():
    """Of six patients five moved to the right, one to the left: only all five swapped together are as far: 4 / 64."""
    a = [at(n, 0.5) for n in range(6)]
    b = [at(n, 0.9 if n < 5 else 0.1) for n in range(6)]
    (shift,) = moved(a, b)
    assert shift.distance == pytest.approx(by_sign([1] * 6))
    every = [by_sign(signs) for signs in product([1, -1], repeat=6)]
    exact = np.mean([each >= shift.distance - 1e-9 for each in every])
    assert exact == 4 / 64
    assert shift.p == pytest.approx(exact, abs=0.03)


def by_sign(signs):
    """Return the distance when some patients' peaks are swapped: before at .5; now the first five at .9, one at .1."""
    places = np.array([0.5, 0.9, 0.1])
    weights = np.zeros(3)
    for number, sign in enumerate(signs):
        weights[1 if number < 5 else 2] += sign / 6
        weights[0] -= sign / 6
    return -weights @ np.abs(places[:, None] - places) @ weights


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
    reported = peak_shifts(a, b, names(b))
    assert [(shift.group, shift.of, shift.patients) for shift in reported] == [
        (None, "same patients", 20), ("site=A", "same patients", 10), ("site=B", "same patients", 10),
    ]  # fmt: skip
    assert reported[0].p == 0.001
    x = before[:, None] - before[None]
    between = before[:, None] + ASIDE - before[None]
    by_hand = 2 * np.linalg.norm(between, axis=2).mean() - 2 * np.linalg.norm(x, axis=2).mean()
    assert reported[0].distance == pytest.approx(by_hand)


def test_maps_that_did_not_move_have_no_row_and_neither_have_few_patients():
    a = with_peaks(np.full((20, 2), 0.5))
    assert peak_shifts(a, a, names(a)) == ()
    b = with_peaks(np.full((4, 2), 0.9))
    assert peak_shifts(a, b, names(b)) == ()


def test_new_patients_are_held_against_those_who_were_there():
    generator = np.random.default_rng(4)
    x, y = generator.uniform(0.2, 0.4, (16, 3)), generator.uniform(0.5, 0.7, (12, 3))
    old, new = with_peaks(x), with_peaks(y, first=100)
    reported = peak_shifts(old, [*old, *new], names(old))
    assert [(shift.group, shift.of, shift.axes, shift.patients_before, shift.patients) for shift in reported] == [
        (None, "new patients", 3, 16, 12), ("site=A", "new patients", 3, 8, 6), ("site=B", "new patients", 3, 8, 6),
    ]  # fmt: skip
    assert all(shift.p <= 0.005 for shift in reported)
    between, *within = (np.linalg.norm(u[:, None] - v, axis=2).mean() for u, v in ((x, y), (x, x), (y, y)))
    assert reported[0].distance == pytest.approx(2 * between - sum(within))


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
