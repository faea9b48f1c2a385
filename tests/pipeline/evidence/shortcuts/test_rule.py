"""The rule on rows that were written by hand: effects, p-values, thresholds, names and sentences."""

import re

import numpy as np
import pytest
from scipy.stats import beta, binom

from pipeline.evidence.shortcuts import BatterySettings, name_causes
from pipeline.evidence.shortcuts.answers import area_under_curve
from pipeline.evidence.shortcuts.sign_flips import patient_means, sign_flip_p
from pipeline.findings.experiments.shortcuts import CAUSES, ShortcutRow

SETTINGS = BatterySettings()


def rows_of(effects, *, n=20, spread=0.0, plain=3.0):
    """Write the rows of ``n`` studies, half of them positive, at +plain and -plain: the distance is 2 plain.

    ``effects`` gives each test's effect as a share of that distance; the control changes nothing.
    """
    rng = np.random.default_rng(1)
    rows = []
    for number in range(n):
        positive = number % 2 == 0
        score = plain if positive else -plain
        for test, effect in effects.items():
            moved = 2 * plain * (effect + spread * rng.standard_normal())
            towards = -moved if positive or "marks" in test or "avoid" in test else moved
            rows.append(
                ShortcutRow(
                    study=number, patient=f"p{number}", positive=positive, test=test,
                    plain=score, changed=score + towards, control=score,
                )
            )  # fmt: skip
    return rows


def test_an_effect_is_the_change_beyond_the_control_as_a_share_of_the_distance_between_the_classes():
    """By hand: the classes lie 6 apart; a swap takes 3 from positives and gives 3 to negatives: half of it."""
    rows = [
        ShortcutRow(study=n, patient=f"p{n}", positive=n < 5, test="border",
                    plain=3.0 if n < 5 else -3.0, changed=-1.0 if n < 5 else 1.0, control=2.0 if n < 5 else -2.0)
        for n in range(10)
    ]  # fmt: skip
    finding = name_causes(rows, SETTINGS)
    assert finding.gap == 6.0
    assert finding.tests[0].effect == pytest.approx(0.5)
    assert finding.tests[0].p == 2**-10
    assert finding.tests[0].positives.model_dump() == {"of": 5, "changed": 5, "control": 0}


def test_what_is_painted_over_counts_downwards_in_both_classes():
    """A mark in a negative raises its score too: without it the score falls."""
    rows = rows_of({"air_marks": 0.4})
    assert name_causes(rows, SETTINGS).tests[0].effect == pytest.approx(0.4)
    assert all(row.changed < row.control for row in rows)


@pytest.mark.parametrize(("effect", "named"), [(0.149, ()), (0.151, ("texture",)), (-0.9, ()), (0.0, ())])
def test_the_effect_decides_not_the_p_value(effect, named):
    finding = name_causes(rows_of({"texture": effect, "border": 0.0}), SETTINGS)
    assert finding.named == named


def test_a_large_effect_that_patients_do_not_share_is_not_named():
    finding = name_causes(rows_of({"texture": 0.2, "border": 0.0}, spread=1.5), SETTINGS)
    assert finding.tests[1].p_adjusted > 0.05
    assert finding.named == ()
    assert finding.smallest > 0.15


def test_holm_is_over_the_tests_that_were_done():
    effects = {"border": 0.3, "texture": 0.02, "contrast": 0.0}
    tests = {test.test: test for test in name_causes(rows_of(effects, n=10), SETTINGS).tests}
    assert tests["border"].p == 2**-10
    assert tests["border"].p_adjusted == pytest.approx(3 * 2**-10)


@pytest.mark.parametrize(
    ("effects", "named"),
    [
        ({"border": 0.9, "texture": 0.44}, ("border",)),
        ({"border": 0.9, "texture": 0.46}, ("border", "texture")),
        ({"border": 0.9, "texture": 0.8, "contrast": 0.7}, ("border", "texture")),
        ({"outside": 0.9, "texture": 0.2}, ("texture",)),
        ({"outside": 0.9, "texture": 0.1}, ("outside",)),
        ({"outside": 1.0, "air_marks": 1.0}, ("air_marks",)),
        ({"avoid:tube": 0.6, "border": 0.1}, ("avoid:tube",)),
    ],
)
def test_the_largest_is_named_a_second_if_half_as_large_and_outside_only_alone(effects, named):
    assert name_causes(rows_of(effects), SETTINGS).named == named


def test_too_few_patients_for_a_test_are_a_reason_and_no_p():
    rows = [row for row in rows_of({"border": 0.9, "air_marks": 0.9}) if row.test == "border" or row.study < 4]
    tests = {test.test: test for test in name_causes(rows, SETTINGS).tests}
    assert tests["air_marks"].effect is None
    assert tests["air_marks"].reason == "4 patients, at least 5 are needed"
    assert tests["border"].p_adjusted == tests["border"].p


def test_studies_of_one_patient_count_as_one():
    rows = [row.model_copy(update={"patient": f"p{row.study % 6}"}) for row in rows_of({"border": 0.9}, n=60)]
    assert name_causes(rows, SETTINGS).tests[0].p == 2**-6


def test_the_sentence_of_a_cause_counts_answers_and_its_control():
    rows = rows_of({"air_marks": 1.0})
    spared = [row.model_copy(update={"changed": 1.0}) if row.study == 0 else row for row in rows]
    sentence = name_causes(spared, SETTINGS).sentences[0]
    assert sentence.startswith(
        "Painting over the small bright marks outside the body turned 9 of 10 positive answers; "
        "painting over equal areas elsewhere turned 0"
    )


def test_an_effect_without_a_turned_answer_moves_the_score_and_decides_nothing():
    sentence = name_causes(rows_of({"border": 0.2}), SETTINGS).sentences[0]
    assert "moves the score by 20 % of the distance between the classes" in sentence
    assert "turned" not in sentence


@pytest.mark.parametrize("effects", [{"border": 0.0, "texture": 0.1}, {"texture": 0.9}, {"contrast": 0.9}])
def test_no_sentence_says_more_than_was_shown(effects):
    text = " ".join(name_causes(rows_of(effects), SETTINGS).sentences).lower()
    for word in ("no shortcut", "scanner", "site", "decides", "proves", "sound"):
        assert not re.search(rf"\b{word}\b", text)


def test_what_was_not_found_names_the_smallest_effect_that_could_have_been():
    finding = name_causes(rows_of(dict.fromkeys(CAUSES, 0.0)), SETTINGS)
    assert finding.smallest == 0.15
    assert finding.sentences[0].startswith(
        "No reliance above 15 % of the distance between the classes was found for the 7 causes tested"
    )


def test_no_row_is_refused_with_a_reason():
    assert "both classes" in name_causes([], SETTINGS).refused


@pytest.mark.parametrize("n", [1, 3, 7])
def test_few_patients_are_flipped_all_ways(n):
    """By hand: of all signs only the observed one reaches a sum of positive effects."""
    assert sign_flip_p(np.ones(n), 4000, 0) == 2.0**-n
    assert sign_flip_p(-np.ones(n), 4000, 0) == 1.0
    assert sign_flip_p(np.zeros(n), 4000, 0) == 1.0


def test_signs_by_hand():
    """3 + 1 - 2 = 2: of the eight sums 6, 4, 2, 0, 0, -2, -4, -6 three are at least 2."""
    assert sign_flip_p(np.array([3.0, 1.0, -2.0]), 4000, 0) == 3 / 8


def test_drawn_flips_agree_with_all_flips():
    effects = np.random.default_rng(3).normal(0.3, 1, 12)
    exact = sign_flip_p(effects, 4096, 0)
    assert exact != sign_flip_p(effects, 4000, 0)
    low, high = beta.interval(0.9999, 1 + 4000 * exact, 1 + 4000 * (1 - exact))
    assert low <= sign_flip_p(effects, 4000, 0) <= high
    assert sign_flip_p(effects, 4000, 7) == sign_flip_p(effects, 4000, 7)


def test_as_many_ways_as_flips_are_all_gone_through():
    """Of 2^3 ways one reaches the sum of three positive effects, however often ways would be drawn."""
    assert sign_flip_p(np.ones(3), 8, 0) == 1 / 8
    assert sign_flip_p(np.ones(3), 7, 0) != 1 / 8


def test_drawn_flips_of_several_thousand_are_all_counted():
    """A sum of 0 is reached by more than half of the ways: more than one chunk of a thousand."""
    assert sign_flip_p(np.tile([1.0, -1.0], 8), 4000, 0) > 0.5


def test_drawn_flips_of_effects_of_one_size_are_binomial():
    """60 of 100 patients above 0: as many or more of 100 coins, 0.0284."""
    effects = np.repeat([1.0, -1.0], [60, 40])
    assert sign_flip_p(effects, 4000, 0) == pytest.approx(binom.sf(59, 100, 0.5), abs=0.009)


def test_drawn_flips_show_no_more_than_their_number():
    assert sign_flip_p(np.ones(60), 4000, 0) == 1 / 4001


@pytest.mark.parametrize("n", [8, 30])
def test_under_no_effect_p_is_as_uniform_as_it_claims(n):
    """Of 600 cohorts without an effect, p <= a in a share a: within the interval of such a count."""
    rng = np.random.default_rng(11)
    p_values = np.array([sign_flip_p(rng.standard_t(3, n), 500, seed) for seed in range(600)])
    for level in (0.05, 0.2, 0.5, 0.8):
        count = int((p_values <= level).sum())
        low, high = beta.ppf([0.0005, 0.9995], [count, count + 1], [601 - count, 600 - count])
        assert low <= level <= high


def test_a_patients_effects_are_averaged():
    assert patient_means([1.0, 3.0, 5.0], ["a", "b", "a"]).tolist() == [3.0, 3.0]


def test_the_area_counts_ties_half():
    assert area_under_curve(np.array([1.0, 2.0, 2.0, 3.0]), np.array([False, False, True, True])) == 0.875
    assert area_under_curve(np.array([1.0]), np.array([True])) is None
