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


def test_a_site_that_is_not_stated_is_a_group_and_groups_come_by_name():
    audits = [answered(number, strata={"site": site}) for number, site in enumerate(["B"] * 6 + ["A"] * 6 + [""] * 6)]
    groups = [part.group for part in answer_differences(audits, ["a"], 0.95) if part.metric == "accuracy"]
    assert groups == ["site=A", "site=B", "site=not stated"]


def test_a_column_may_be_named_by_later_studies_alone():
    audits = [answered(number, strata={"site": "A"} if number > 5 else {}) for number in range(12)]
    groups = [part.group for part in answer_differences(audits, ["a"], 0.95) if part.metric == "accuracy"]
    assert groups == ["site=A"]


def test_five_patients_are_a_group_of_a_header_and_five_studies_of_fewer_are_not():
    def of(*sexes):
        facts = [{"PatientSex": sex} if sex else {} for sex, _ in sexes]
        audits = [answered(n, facts=facts[n], patient=patient) for n, (_, patient) in enumerate(sexes)]
        return [part.group for part in answer_differences(audits, ["a"], 0.95) if part.metric == "accuracy"]

    women = [("F", f"f{number}") for number in range(8)]
    assert of(*women, *(("M", f"m{number}") for number in range(5))) == ["sex=F"]
    assert of(*women, *(("M", f"m{number % 4}") for number in range(6))) == []
    few = [("M", f"m{number}") for number in range(3)]
    assert of(*women, *few, *(("O", f"o{number}") for number in range(2))) == ["sex=F"], "five together"
    assert of(*women, *few, ("O", "o0")) == [], "four together"
    assert of(*women, *((None, f"n{number}") for number in range(5))) == ["sex=F"], "a header that does not say"


def test_what_lies_on_a_cut_belongs_below_it_and_three_values_are_enough():
    """Of 0 to 6 the cuts are 2 and 4; of three values in two thirds of which are alike each has its own."""
    audits = [answered(number, size=1.0 + number, called=number >= 3) for number in range(7)]
    differences = by_name(answer_differences(audits, ["a"], 0.95))
    counts = {
        name: differences[("sensitivity", f"lesion size={name} third")].patients
        for name in ("lowest", "middle", "highest")
    }
    assert counts == {"lowest": 3, "middle": 2, "highest": 2}
    three = [answered(number, size=1.0 + number // 2) for number in range(6)]
    assert ("sensitivity", "lesion size=middle third") in by_name(answer_differences(three, ["a"], 0.95))
    two = [answered(number, size=1.0 + number // 3) for number in range(6)]
    assert not [part for part in answer_differences(two, ["a"], 0.95) if part.column == "lesion size"]


def test_only_sensitivity_is_told_by_lesion_size_and_a_study_without_a_size_is_left_out():
    audits = [
        answered(number, size=1.0 + number if number < 9 else None, called=number % 2 == 0) for number in range(12)
    ]
    by_size = [part for part in answer_differences(audits, ["a"], 0.95) if part.column == "lesion size"]
    assert {part.metric for part in by_size} == {"sensitivity"}
    assert {part.patients + part.patients_rest for part in by_size} == {9}


def test_confidence_is_that_of_the_label_of_which_the_model_is_least_sure():
    """b is as sure in all; of a the first four are least sure, and they alone are wrong."""
    shares = [0.5, 0.52, 0.48, 0.53, 0.7, 0.72, 0.3, 0.29, 0.8, 0.2, 0.82, 0.18]
    audits = [
        answered(number, called=number >= 4).model_copy(update={"probabilities": {"a": share, "b": 0.99}})
        for number, share in enumerate(shares)
    ]
    part = by_name(answer_differences(audits, ["a"], 0.95))[("accuracy", "confidence=lowest third")]
    assert (part.own, part.rest) == (0, 1)


def test_studies_without_a_reference_are_no_part_of_an_auroc():
    unknown = [
        answered(500 + number, strata={"site": "A"}).model_copy(update={"reference": None}) for number in range(6)
    ]
    plain, more = (
        by_name(answer_differences(rows, ["a"], 0.95)) for rows in ([*two_sites()], [*two_sites(), *unknown])
    )
    assert more[("auroc", "site=A")] == plain[("auroc", "site=A")]
    elsewhere = [audit.model_copy(update={"strata": {"site": "C"}}) for audit in unknown]
    groups = [
        part.group for part in answer_differences([*two_sites(), *elsewhere], ["a"], 0.95) if part.metric == "auroc"
    ]
    assert groups == ["site=A"], "a site of which nobody knows the truth is no group"


def test_patients_weigh_alike_in_an_auroc_and_five_of_a_class_are_enough():
    """At A five ill, five healthy: one healthy patient has three studies, of which two outdo an ill one of weight 1."""

    def site(name, more):
        ill = [rated(more + n, ill=True, probability=0.6 + 0.05 * n, site=name) for n in range(5)]
        return [*ill, *(rated(more + 10 + n, ill=False, probability=0.1 * n, site=name) for n in range(4))]

    def last(name, more, values):
        return [
            rated(more + n, ill=False, probability=value, site=name).model_copy(update={"patient": f"last-{name}"})
            for n, value in enumerate(values)
        ]

    audits = [*site("A", 0), *last("A", 20, [0.1, 0.62, 0.62]), *site("B", 100), *last("B", 120, [0.1])]
    part = by_name(answer_differences(audits, ["a"], 0.95))[("auroc", "site=A")]
    assert part.own == pytest.approx(1 - (2 / 3) / 5 / 5)
    assert (part.rest, part.patients, part.patients_rest, part.shared) == (1.0, 10, 10, 0)
    assert part.value == pytest.approx(-(2 / 3) / 5 / 5)
    few = by_name(answer_differences([audit for audit in audits if audit.study != "s104"], ["a"], 0.95))
    assert few[("auroc", "site=A")].value is None
    turned = [
        audit.model_copy(update={"strata": {"site": {"A": "B", "B": "A"}[audit.strata["site"]]}}) for audit in audits
    ]
    few = by_name(answer_differences([audit for audit in turned if audit.study != "s104"], ["a"], 0.95))
    assert few[("auroc", "site=A")].value is None, "whichever side it is"


def test_failed_studies_are_no_patients_of_an_auroc_and_its_bounds_have_the_stated_confidence():
    failed = answered(900, strata={"site": "A"}).model_copy(
        update={"status": "failed", "stage": "read", "reason": "unreadable", "predicted": ()}
    )
    rows = [*two_sites(), failed]
    usual, strict = (by_name(answer_differences(rows, ["a"], level))[("auroc", "site=A")] for level in (0.95, 0.99))
    assert usual.patients == 24
    assert strict.low < usual.low
    assert strict.confidence == 0.99
