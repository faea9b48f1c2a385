"""Groups' answers against the rest, held against Fisher's exact test and rates counted by hand."""

import pytest
from scipy.stats import fisher_exact

from pipeline.evidence.exact.families import holm
from pipeline.evidence.groups.answer_differences import answer_differences
from pipeline.findings.localisation.lesions import MaskShape
from pipeline.findings.study_audit import StudyAudit


def answered(number, *, ill=True, called=True, probability=None, size=None, **changes):
    shapes = [MaskShape(label="a", reader="r", axes=2, image_share=0.1, size=size, lesions=1)] if size else []
    content = {
        "study": f"s{number:03d}",
        "patient": f"p{number:03d}",
        "source_sha256": "0" * 64,
        "status": "analysed",
        "reference": ("a",) if ill else (),
        "predicted": ("a",) if called else (),
        "probabilities": {"a": probability if probability is not None else (0.9 if called else 0.1)},
        "mask_shapes": tuple(shapes),
    }
    return StudyAudit.model_validate(content | changes)


def by_name(differences):
    return {(part.metric, part.group): part for part in differences}


def of_sites():
    """Site A finds 9 of 10, site B 3 of 12; both are silent in 5 of 5 healthy."""
    found = [("A", number < 9) for number in range(10)] + [("B", number < 3) for number in range(12)]
    ill = [answered(number, called=called, strata={"site": site}) for number, (site, called) in enumerate(found)]
    healthy = [
        answered(50 + number, ill=False, called=False, strata={"site": "AB"[number % 2]}) for number in range(10)
    ]
    return [*ill, *healthy]


def test_sensitivity_of_a_site_is_compared_with_the_rest_as_fisher_does():
    part = by_name(answer_differences(of_sites(), ["a"], 0.95))[("sensitivity", "site=A")]
    assert part.value == pytest.approx(9 / 10 - 3 / 12)
    one_sided = min(fisher_exact([[9, 1], [3, 9]], side)[1] for side in ("less", "greater"))
    assert part.p == pytest.approx(2 * one_sided, abs=0.01)
    assert (part.patients, part.patients_rest, part.label, part.method) == (10, 12, "a", "classifier")
    assert part.low <= part.value <= part.high


def test_accuracy_counts_every_study_and_specificity_the_healthy():
    differences = by_name(answer_differences(of_sites(), ["a"], 0.95))
    assert differences[("accuracy", "site=A")].value == pytest.approx(14 / 15 - 8 / 17)
    assert differences[("specificity", "site=A")].value == 0
    assert ("accuracy", "site=B") not in differences, "of two groups only the first is compared"


def test_holm_counts_all_comparisons_of_answers():
    differences = answer_differences(of_sites(), ["a"], 0.95)
    p_values = [part.p for part in differences if part.p is not None]
    assert [part.p_adjusted for part in differences if part.p is not None] == pytest.approx(holm(p_values))
    assert {part.family for part in differences} == {len(p_values)}


def test_small_lesions_are_missed():
    audits = [answered(number, size=1.0 + number, called=number >= 10) for number in range(30)]
    differences = by_name(answer_differences(audits, ["a"], 0.95))
    assert differences[("sensitivity", "lesion size=lowest third")].value == -1
    assert differences[("sensitivity", "lesion size=highest third")].value == pytest.approx(0.5)
    assert differences[("sensitivity", "lesion size=lowest third")].patients == 10
    assert ("accuracy", "lesion size=lowest third") not in differences


def test_lesions_of_equal_size_are_not_told_apart():
    audits = [answered(number, size=4.0, called=number % 2 == 0) for number in range(12)]
    assert not [part for part in answer_differences(audits, ["a"], 0.95) if part.column == "lesion size"]


def test_confidence_counts_from_one_half_in_both_directions():
    audits = [
        answered(number, ill=number % 2 == 0, called=number % 2 == 0, probability=share)
        for number, share in enumerate([0.95, 0.05, 0.96, 0.04, 0.7, 0.3, 0.75, 0.25, 0.55, 0.45, 0.56, 0.44])
    ]
    wrong = [audit.model_copy(update={"predicted": ()}) if audit.study == "s008" else audit for audit in audits]
    part = by_name(answer_differences(wrong, ["a"], 0.95))[("accuracy", "confidence=lowest third")]
    assert (part.patients, part.value) == (4, pytest.approx(3 / 4 - 1))


def test_few_patients_whom_only_a_header_tells_apart_are_not_a_group():
    def of(sexes):
        audits = [answered(number, facts={"PatientSex": sex}) for number, sex in enumerate(sexes)]
        differences = answer_differences(audits, ["a"], 0.95)
        return [part for part in differences if part.column == "sex" and part.metric in ("accuracy", "sensitivity")]

    assert {part.group for part in of("F" * 8 + "M" * 7)} == {"sex=F"}
    assert of("F" * 8 + "M" * 4) == []
    assert {part.group for part in of("F" * 8 + "M" * 3 + "O" * 3)} == {"sex=F"}
    assert [part.patients_rest for part in of("F" * 8 + "M" * 3 + "O" * 3)] == [6, 6]


def test_a_study_that_failed_is_missing_on_its_side_and_widens_the_bounds():
    audits = of_sites()
    lost = [
        audit.model_copy(update={"status": "failed", "stage": "read", "reason": "unreadable", "predicted": ()})
        if audit.study == "s000"
        else audit
        for audit in audits
    ]
    before, after = (
        by_name(answer_differences(each, ["a"], 0.95))[("sensitivity", "site=A")] for each in (audits, lost)
    )
    assert after.patients == 9
    assert after.low < before.low


def test_patients_in_two_groups_leave_no_interval():
    audits = [audit.model_copy(update={"patient": "p000"}) if audit.study == "s011" else audit for audit in of_sites()]
    part = by_name(answer_differences(audits, ["a"], 0.95))[("sensitivity", "site=A")]
    assert (part.shared, part.p, part.low) == (1, None, None)
    assert "belongs to this group and to the rest" in part.reason


def test_nothing_is_compared_where_nothing_tells_studies_apart():
    assert answer_differences([answered(number) for number in range(6)], ["a"], 0.95) == ()


def rated(number, *, ill, probability, site):
    return answered(number, ill=ill, called=probability > 0.5, probability=probability, strata={"site": site})


def two_sites(n=24):
    """At site A every ill patient is rated above every healthy one; at B ratings go the wrong way. B's are too high."""
    for number in range(n):
        ill = number % 2 == 0
        yield rated(number, ill=ill, probability=0.6 + 0.3 * ill, site="A")
        yield rated(100 + number, ill=ill, probability=0.9 - 0.2 * ill, site="B")


def test_the_auroc_of_a_site_is_compared_with_that_of_the_rest():
    part = by_name(answer_differences([*two_sites()], ["a"], 0.95))[("auroc", "site=A")]
    assert (part.own, part.rest, part.value) == (1.0, 0.0, 1.0)
    assert 0.5 < part.low <= part.value <= part.high == 1.0
    assert part.p < 0.01
    assert (part.patients, part.patients_rest) == (24, 24)


def test_the_auroc_against_a_count_of_pairs():
    audits = [
        rated(number, ill=number % 3 == 0, probability=(7 * number % 11) / 11, site="AB"[number % 2])
        for number in range(60)
    ]
    part = by_name(answer_differences(audits, ["a"], 0.95))[("auroc", "site=A")]
    areas = []
    for site in "AB":
        of_site = [audit for audit in audits if audit.strata["site"] == site]
        ill = [audit.probabilities["a"] for audit in of_site if audit.reference]
        healthy = [audit.probabilities["a"] for audit in of_site if not audit.reference]
        won = sum((own > other) + (own == other) / 2 for own in ill for other in healthy)
        areas.append(won / len(ill) / len(healthy))
    assert (part.own, part.rest) == pytest.approx(areas)
    assert part.low < part.value < part.high


def test_probabilities_of_a_group_are_held_against_its_reference():
    part = by_name(answer_differences([*two_sites()], ["a"], 0.95))[("calibration", "site=A")]
    assert part.own == pytest.approx((0.9 + 0.6) / 2 - 0.5)
    assert part.rest == pytest.approx((0.7 + 0.9) / 2 - 0.5)
    assert part.value == pytest.approx(-0.05)
    assert -2 <= part.low <= part.value <= part.high <= 2


def test_no_auroc_is_compared_where_a_class_has_few_patients():
    audits = [audit for audit in two_sites() if not (audit.strata["site"] == "B" and audit.reference)]
    part = by_name(answer_differences([*audits, rated(500, ill=True, probability=0.9, site="B")], ["a"], 0.95))
    part = part[("auroc", "site=A")]
    assert (part.value, part.p) == (None, None)
    assert part.reason == "a side has fewer than 5 patients with, or without, the label"


def test_patients_of_both_groups_leave_no_interval_of_the_auroc():
    audits = [audit.model_copy(update={"patient": "p000"}) if audit.study == "s100" else audit for audit in two_sites()]
    part = by_name(answer_differences(audits, ["a"], 0.95))[("auroc", "site=A")]
    assert (part.shared, part.p, part.low) == (1, None, None)


def test_where_there_is_no_difference_none_is_claimed_however_the_groups_are_named():
    def site_b(audit):
        return audit.model_copy(update={"strata": {"site": "C" if audit.strata["site"] == "A" else "B"}})

    there = by_name(answer_differences([*two_sites()], ["a"], 0.95))[("auroc", "site=A")]
    back = by_name(answer_differences([site_b(audit) for audit in two_sites()], ["a"], 0.95))[("auroc", "site=B")]
    assert back.value == -there.value
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low), abs=0.03)
