"""Rules and sentences by hand: the smallest effect, who counts, what is said of lesion and marks."""

import numpy as np
import pytest
from scipy.stats import t

from pipeline.evidence.shortcuts import name_causes
from pipeline.evidence.shortcuts.answers import area_under_curve, lesion_numbers, turned_answers
from pipeline.evidence.shortcuts.sentences import sentences_of
from pipeline.findings.experiments.shortcuts import (
    LesionNumbers,
    ShortcutFinding,
    ShortcutRow,
    ShortcutTest,
    TurnedAnswers,
)
from tests.pipeline.evidence.shortcuts.test_rule import SETTINGS


def row(study, *, test="border", positive=True, plain=3.0, changed=3.0, control=3.0, patient=None, reason=None):
    return ShortcutRow(
        study=study, patient=patient or f"p{study}", positive=positive, test=test, plain=plain, changed=changed,
        control=control, reason=reason,
    )  # fmt: skip


def by_cause(rows):
    return {test.test: test for test in name_causes(rows, SETTINGS).tests}


def with_effects(test, effects, gap=6.0):
    """Return a row for each patient, positives and negatives in turn; effects are shares of the gap."""
    return [
        row(
            number, test=test, positive=number % 2 == 0, plain=gap / 2 * (1 - 2 * (number % 2)), control=0.0,
            changed=-gap * effect if number % 2 == 0 else gap * effect,
        )
        for number, effect in enumerate(effects)
    ]  # fmt: skip


# The rule.


def test_the_smallest_effect_that_could_have_been_named_by_hand():
    """Two tests at 5 %: 1 - .05 / 2 of Student's t with 5 degrees of freedom, times the spread over the root of 6."""
    effects = [0.1, 0.5, -0.3, 0.4, 0.2, -0.1]
    tests = by_cause([*with_effects("border", effects), *with_effects("contrast", [0.0] * 6)])
    reach = t.ppf(1 - 0.05 / 2, 5) * np.std(effects, ddof=1) / np.sqrt(6)
    assert tests["border"].effect == pytest.approx(np.mean(effects))
    assert tests["border"].smallest == pytest.approx(reach)
    assert tests["contrast"].smallest == 0.15, "never below the locked share"
    finding = name_causes([*with_effects("border", effects), *with_effects("contrast", [0.0] * 6)], SETTINGS)
    assert finding.smallest == pytest.approx(reach), "the largest, which holds for every test"


def test_five_patients_are_enough_and_studies_of_one_patient_are_not():
    rows = with_effects("border", [0.5] * 5)
    assert by_cause(rows)["border"].effect == pytest.approx(0.5)
    one = [
        each.model_copy(update={"patient": "p0"}) if each.study in (0, 2) else each
        for each in with_effects("border", [0.5] * 5)
    ]
    test = by_cause(one)["border"]
    assert (test.effect, test.patients, test.studies) == (None, 4, 5)
    assert test.reason == "4 patients, at least 5 are needed"
    finding = name_causes(one, SETTINGS)
    assert (finding.patients, finding.positives, finding.negatives) == (4, 3, 2)


def test_where_nothing_may_be_named_five_patients_are_not_too_few():
    rows = [each.model_copy(update={"plain": 0.0}) for each in with_effects("border", [0.5] * 5)]
    assert by_cause(rows)["border"].reason == "nothing may be named"


def test_patients_weigh_alike_in_an_effect():
    """p0 has effects of 1 and 0, five others 0.5: half."""
    rows = with_effects("border", [1.0, 0.5, 0.0, 0.5, 0.5, 0.5, 0.5])
    one = [each.model_copy(update={"patient": "p0"}) if each.study == 2 else each for each in rows]
    assert by_cause(one)["border"].effect == pytest.approx(0.5)


def test_an_effect_is_measured_from_the_control_and_not_from_the_study_as_it_is():
    rows = [row(n, positive=n % 2 == 0, plain=3.0 - 6 * (n % 2), changed=0.0, control=0.0) for n in range(10)]
    assert by_cause(rows)["border"].effect == 0


def test_holm_decides_and_not_the_single_p():
    """Five patients: 1/32 is below 5 %, twice 1/32 is not."""
    alone, with_another = with_effects("border", [0.5] * 5), with_effects("contrast", [0.0, 0.1, -0.1, 0.1, -0.2])
    assert name_causes(alone, SETTINGS).named == ("border",)
    assert name_causes([*alone, *with_another], SETTINGS).named == ()


def test_classes_that_lie_the_wrong_way_apart_are_refused_whatever_their_auroc():
    """Nine of ten negatives lie below all positives, one so far above that the negatives' mean is higher."""
    rows = [row(n, positive=n % 2 == 0, plain=1.0 if n % 2 == 0 else (-1.0 if n > 1 else 90.0)) for n in range(20)]
    finding = name_causes(rows, SETTINGS)
    assert finding.auroc == pytest.approx(0.9)
    assert finding.refused == "the classes' mean scores do not lie apart in the label's direction"


def test_tests_come_in_the_order_of_the_causes():
    rows = [
        *with_effects("contrast", [0.0] * 5),
        *with_effects("avoid:tube", [0.0] * 5),
        *with_effects("border", [0.0] * 5),
    ]
    assert list(by_cause(rows)) == ["border", "contrast", "avoid:tube"]


def test_outside_alone_is_named_and_forwards_are_counted():
    rows = [*with_effects("outside", [0.5] * 6), row(0, test="pasted", changed=1.0, control=None)]
    finding = name_causes(rows, SETTINGS)
    assert finding.named == ("outside",)
    assert finding.forwards == 6 * 2 + 1 + 6


def test_what_has_no_control_is_left_out_with_that_reason():
    rows = [*with_effects("border", [0.5] * 5), row(8, changed=1.0, control=None), row(9, changed=None, reason="why")]
    assert by_cause(rows)["border"].left_out == {"no control": 1, "why": 1}


# Counts.


def test_an_area_needs_both_classes():
    assert area_under_curve(np.array([1.0, 2.0]), np.array([True, True])) is None
    assert area_under_curve(np.array([1.0, 2.0]), np.array([False, False])) is None
    assert area_under_curve(np.array([3.0, 1.0, 2.0]), np.array([True, False, False])) == 1


def test_only_right_answers_can_be_turned():
    rows = [
        row(0, changed=-1.0, control=-1.0),
        row(1, plain=-1.0, changed=-2.0),
        row(2, changed=1.0),
        row(3, changed=None, control=None, reason="why"),
        row(4, positive=False, plain=-1.0, changed=2.0, control=-3.0),
    ]
    assert turned_answers(rows).model_dump() == {"of": 2, "changed": 1, "control": 1}
    assert turned_answers(rows, positive=False).model_dump() == {"of": 1, "changed": 1, "control": 0}
    assert turned_answers([*rows, row(5, control=None)]).control is None, "one without a control: of all there is none"
    assert turned_answers([row(0, changed=None, reason="why")]) is None


def test_what_the_lesions_experiments_come_to():
    """p0 has two studies, of which painting over moves 6 and 0, p1 one that moves 1: (3 + 1) / 2 of a gap of 4."""
    rows = [
        row(0, test="lesion", changed=-3.0, patient="p0"),
        row(1, test="lesion", changed=3.0, patient="p0"),
        row(2, test="lesion", changed=2.0, patient="p1"),
        row(0, test="lesion_and_marks", changed=-5.0, control=None),
        *(row(n, test="lesion_and_marks", changed=None, reason="why") for n in (1, 2, 7)),
        *(row(n, test="body_marks", changed=-1.0) for n in (0, 1)),
        row(4, test="pasted", positive=False, plain=-1.0, changed=2.0, control=None),
        row(0, test="background", changed=4.0, control=None),
        row(4, test="background", positive=False, changed=1.0, control=None),
    ]
    numbers = lesion_numbers(rows, 4.0)
    assert numbers.effect == pytest.approx(0.5)
    assert numbers.filled.model_dump() == {"of": 3, "changed": 1, "control": 0}
    assert numbers.both_filled.model_dump() == {"of": 1, "changed": 1, "control": None}
    assert numbers.marks_filled.model_dump() == {"of": 1, "changed": 1, "control": 0}, "where both were painted over"
    assert numbers.pasted.model_dump() == {"of": 1, "changed": 1, "control": None}
    assert numbers.background_auroc == 1
    assert numbers.reasons == {}
    failed = [row(n, test="lesion", changed=None, reason=reason) for n, reason in enumerate(("why", "other", "other"))]
    assert lesion_numbers(failed, 4.0).reasons["lesion"] == "other"
    assert lesion_numbers(failed, 4.0).reasons["pasted"] == "no study of this kind"


# Sentences.


def of(turned, every):
    return TurnedAnswers(of=every, changed=turned)


def said(named=(), tests=(), **lesion):
    finding = ShortcutFinding(
        named=tuple(named), tests=tuple(tests), lesion=LesionNumbers(**lesion) if lesion else None
    )
    return " ".join(sentences_of(finding, 0.15))


MARKS = ShortcutTest(test="body_marks", effect=0.5)
NEEDLESS = "The lesion is not needed while the small bright marks are there."


@pytest.mark.parametrize(
    ("named", "filled", "both", "is_said"),
    [
        (["body_marks"], 5, 6, True),  # half is not most
        (["body_marks"], 6, 6, False),  # painting over the lesion turns most
        (["body_marks"], 2, 5, False),  # nor do both together
        (["border"], 2, 9, False),  # the marks are no cause
    ],
)
def test_when_the_lesion_is_not_needed_beside_marks(named, filled, both, is_said):
    tests = [MARKS, ShortcutTest(test="border", effect=0.5)]
    text = said(named, tests, filled=of(filled, 10), marks_filled=of(1, 10), both_filled=of(both, 10))
    assert (NEEDLESS in text) is is_said
    assert "no tested cause explains it" not in text


def test_answers_that_stay_without_the_lesion_are_said_where_nothing_is_named():
    assert "7 of 10 answers stayed without the lesion; no tested cause explains it." in said(filled=of(3, 10))
    assert "5 of 10 answers stayed without the lesion" in said(filled=of(5, 10))
    assert "stayed" not in said(filled=of(6, 10))
    assert "stayed" not in said(["border"], [ShortcutTest(test="border", effect=0.5)], filled=of(3, 10))


def test_what_lowers_the_score_is_said_from_the_locked_share_on():
    tests = [
        ShortcutTest(test=name, effect=effect)
        for name, effect in (("border", -0.15), ("contrast", -0.14), ("texture", 0.4))
    ]
    text = said(tests=tests)
    assert text.count("the other way") == 1
    assert "studies the border of studies of the opposite label moves the score by 15 % of the distance" in text


def test_what_was_not_tested_is_said_with_its_reason_and_nothing_else_is():
    tests = [ShortcutTest(test="border", reason="no band"), ShortcutTest(test="contrast", effect=0.0)]
    text = said(tests=tests)
    assert text.count("Not tested") == 1
    assert "Not tested: the border of the picture (no band)." in text
    assert text.startswith(
        "No reliance above 15 % of the distance between the classes was found for the 1 causes tested"
    )
    finding = ShortcutFinding(tests=tuple(tests), smallest=0.4)
    assert sentences_of(finding, 0.15)[0].startswith("No reliance above 40 %")


def test_a_cause_that_turned_nothing_moves_the_score():
    tests = [ShortcutTest(test="border", effect=0.2, positives=of(0, 10))]
    assert "turned" not in said(["border"], tests)
    tests = [ShortcutTest(test="border", effect=0.2, positives=TurnedAnswers(of=10, changed=4, control=1))]
    assert (
        "turned 4 of 10 positive answers; the border of another study of the same label turned 1; on average it moves "
        "the score by 20 %"
    ) in said(["border"], tests)
