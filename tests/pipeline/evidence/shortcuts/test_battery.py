"""Planted causes are named, sound models are accused of none: also on sets whose positives all bear the shortcut."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.evidence.shortcuts import BatterySettings, BatteryStudy, battery_rows, name_causes
from pipeline.evidence.shortcuts.parts import UNKNOWN_LESION
from pipeline.evidence.shortcuts.transplants import TRANSPLANTS
from tests.pipeline.evidence.shortcuts.phantoms import KINDS, cohort, lesion_score, shortcut_score

SETTINGS = BatterySettings()
PLANE, VOLUME = (64, 64), (32, 32, 32)


def finding_of(score, studies, settings=SETTINGS):
    return name_causes(battery_rows(score, studies, settings), settings)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("shape", "n"), [(PLANE, 20), (VOLUME, 16)], ids=["2D", "3D"])
def test_a_planted_cause_is_named_and_no_other(kind, shape, n):
    studies = cohort(kind, n=n, shape=shape)
    finding = finding_of(shortcut_score(kind, studies), studies)
    also = "air_marks" if (kind, shape) == ("outside", VOLUME) else kind  # of so few voxels, a pad may be a mark
    assert finding.named in ((kind,), (also,))
    test = next(test for test in finding.tests if test.test == finding.named[0])
    assert test.positives is not None
    # a faint pad in a volume of few voxels passes for noise in part, and noise stays with the recipient
    fewest = n // 4 + 1 if (kind, shape) == ("outside", VOLUME) else n // 2
    assert test.positives.of == n // 2
    assert test.positives.changed >= fewest
    assert test.positives.control <= 1
    assert f"turned {test.positives.changed} of {n // 2} positive answers" in finding.sentences[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("shape", "n"), [(PLANE, 20), (VOLUME, 16)], ids=["2D", "3D"])
def test_a_model_that_reads_the_lesion_is_accused_of_nothing_where_all_positives_bear_a_shortcut(kind, shape, n):
    studies = cohort(kind, n=n, shape=shape)
    finding = finding_of(lesion_score(studies), studies)
    assert finding.refused is None
    assert finding.named == ()
    assert finding.sentences[0].startswith("No reliance above ")


def test_a_sound_model_is_accused_of_nothing_where_nothing_is_planted_and_the_lesion_is_what_it_needs():
    studies = cohort(None, n=20)
    settings = replace(SETTINGS, lesion_experiments=True)
    finding = finding_of(lesion_score(studies), studies, settings)
    assert finding.named == ()
    assert (finding.lesion.filled.of, finding.lesion.filled.changed, finding.lesion.filled.control) == (10, 10, 0)
    assert (finding.lesion.pasted.of, finding.lesion.pasted.changed) == (10, 10)
    assert finding.lesion.effect > 0.8
    assert finding.lesion.background_auroc < 0.8
    assert "Painting over the lesion turned 10 of 10 positive answers, over an equal region elsewhere 0" in " ".join(
        finding.sentences
    )


def test_a_model_that_needs_no_lesion_keeps_its_answers_without_it():
    studies = cohort("border", n=20)
    finding = finding_of(shortcut_score("border", studies), studies, replace(SETTINGS, lesion_experiments=True))
    assert finding.lesion.filled.changed == 0
    assert finding.lesion.pasted.changed == 0
    assert finding.lesion.background_auroc == 1.0


def test_a_line_that_stands_in_for_the_lesion_is_seen_only_when_both_are_painted_over():
    studies = cohort("body_marks", n=20)
    lesion, line = lesion_score(studies), shortcut_score("body_marks", studies)

    def either(x):
        return np.maximum(line(x), lesion(x) - 2)

    finding = finding_of(either, studies, replace(SETTINGS, lesion_experiments=True))
    numbers = finding.lesion
    assert numbers.filled.changed == 0
    assert numbers.both_filled.changed == numbers.both_filled.of == 10
    assert "not needed" not in " ".join(finding.sentences) or "body_marks" in finding.named


def test_the_same_label_control_is_what_keeps_a_sound_model_from_being_accused():
    """A model that is less sure of any changed study: both donors make it so, and their difference says nothing."""
    studies = cohort(None, n=20)
    lesion = lesion_score(studies)
    known = {study.x.tobytes() for study in studies}

    def unsure(x):
        return lesion(x) * np.array([1.0 if each.tobytes() in known else 0.5 for each in x])

    rows = battery_rows(unsure, studies, SETTINGS)
    assert name_causes(rows, SETTINGS).named == ()
    uncontrolled = [row if row.changed is None else row.model_copy(update={"control": row.plain}) for row in rows]
    assert set(name_causes(uncontrolled, SETTINGS).named) & TRANSPLANTS.keys()


def test_fourteen_changed_inputs_a_study_within_a_tenth_and_in_batches():
    studies = []
    for study in cohort("body_marks", n=20, confounded=False):
        x = study.x.copy()
        x[0, 6:11, 6:11] = 0.95
        studies.append(replace(study, x=x))
    score = lesion_score(studies)
    rows = battery_rows(score, studies, SETTINGS)
    asked = {number: sum((row.changed is not None) * 2 for row in rows if row.study == number) for number in range(20)}
    assert max(asked.values()) == 14
    assert sum(score.shown) == sum(asked.values()) + 20 <= 1.1 * 14 * 20
    assert max(score.shown) == SETTINGS.batch


def test_the_finding_counts_the_forwards_that_were_made():
    studies = cohort("air_marks", n=20)
    score = shortcut_score("air_marks", studies)
    finding = finding_of(score, studies, replace(SETTINGS, lesion_experiments=True))
    assert finding.forwards == sum(score.shown)


def test_a_model_that_hardly_tells_the_classes_apart_is_named_nothing_with_the_reason():
    studies = cohort("border", n=20)
    flipped = [
        replace(study, positive=study.positive if number % 5 else not study.positive)
        for number, study in enumerate(studies)
    ]
    finding = finding_of(shortcut_score("border", studies), flipped)
    assert finding.auroc < 0.85
    below = finding_of(
        shortcut_score("border", studies),
        [replace(study, positive=number < 10) for number, study in enumerate(studies)],
    )
    assert below.named == ()
    assert below.refused.startswith("AUROC 0.")
    assert below.sentences == (f"No cause may be named: {below.refused}.",)
    assert all(test.effect is None and test.p is None for test in below.tests)


def test_one_class_alone_is_refused():
    studies = [study for study in cohort("border", n=20) if study.positive]
    finding = finding_of(shortcut_score("border", cohort("border", n=20)), studies)
    assert finding.named == ()
    assert "both classes are needed" in finding.refused


def test_a_mark_that_lowers_the_score_is_reported_and_never_named():
    studies = cohort("air_marks", n=20)
    mark, lesion = shortcut_score("air_marks", studies), lesion_score(studies)

    def against(x):
        return 2 * lesion(x) - 0.6 * mark(x)

    finding = finding_of(against, studies)
    effect = next(test.effect for test in finding.tests if test.test == "air_marks")
    assert effect < -0.15
    assert finding.named == ()
    assert any("the other way" in sentence for sentence in finding.sentences)


def test_a_positive_whose_lesion_nobody_outlined_has_no_marks_in_the_body():
    """The lesion itself could be taken for a mark, and a sound model accused of needing it."""
    studies = [replace(study, lesion=None) if study.positive else study for study in cohort("body_marks", n=20)]
    rows = battery_rows(lesion_score(studies), studies, SETTINGS)
    reasons = {row.reason for row in rows if row.test == "body_marks" and row.positive}
    assert reasons == {"nobody outlined the lesion, which could be taken for a mark or for noise"}


def test_a_region_to_avoid_is_painted_over_against_an_equal_one():
    studies = []
    for study in cohort("air_marks", n=20):
        region = np.zeros(study.x.shape[1:], bool)
        if study.positive:
            region[5:12, 5:12] = True
        studies.append(replace(study, avoid={"marker": region}))
    finding = finding_of(shortcut_score("air_marks", studies), studies)
    assert set(finding.named) == {"avoid:marker", "air_marks"}
    assert any("regions marked 'marker'" in sentence for sentence in finding.sentences)


def test_a_region_to_avoid_that_covers_the_lesion_accuses_no_model_that_reads_the_lesion():
    studies = []
    for study in cohort(None, n=20):
        region = np.zeros(study.x.shape[1:], bool)
        region[24:40, 24:40] = True
        studies.append(replace(study, avoid={"tube": region}))
    finding = finding_of(lesion_score(studies), studies)
    assert finding.named == ()
    unknown = [replace(study, lesion=None) if study.positive else study for study in studies]
    rows = battery_rows(lesion_score(studies), unknown, SETTINGS)
    assert {row.reason for row in rows if row.test == "avoid:tube" and row.positive} == {UNKNOWN_LESION}


def test_a_study_whose_answer_is_no_number_is_left_out_with_the_reason():
    studies = cohort("border", n=20)
    score = shortcut_score("border", studies)
    broken = studies[3].x.tobytes()

    def failing(x):
        return np.where([each.tobytes() == broken for each in x], np.nan, score(x))

    finding = finding_of(failing, studies)
    assert finding.named == ("border",)
    assert finding.positives + finding.negatives == 19
    assert finding.tests[0].left_out == {"the model's answer is not a number": 1}


def test_the_same_seed_gives_the_same_rows_and_another_order_of_batches_too():
    studies = cohort("body_marks", n=12)
    score = shortcut_score("body_marks", studies)
    assert battery_rows(score, studies, SETTINGS) == battery_rows(score, studies, replace(SETTINGS, batch=3))


def test_masks_of_another_grid_are_refused():
    with pytest.raises(ValueError, match="mask 'lesion' must be bool of shape"):
        BatteryStudy(np.zeros((1, 8, 8), np.float32), np.zeros((8, 9), bool), True, "p")
    with pytest.raises(ValueError, match="spacing must give 2 lengths"):
        BatteryStudy(np.zeros((1, 8, 8), np.float32), None, True, "p", (1.0,))


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_pictures_that_are_the_same_everywhere_end_in_reasons(value):
    x = np.full((1, 32, 32), value, np.float32)
    studies = [BatteryStudy(x, np.zeros((32, 32), bool), number % 2 == 0, f"p{number}") for number in range(12)]
    finding = finding_of(lambda inputs: np.zeros(len(inputs)), studies)
    assert finding.refused is not None


@pytest.mark.parametrize("shape", [(1, 40, 40), (2, 3), (64, 8), (7, 7, 7)])
def test_odd_shapes_are_gone_through(shape):
    rng = np.random.default_rng(0)
    studies = [
        BatteryStudy(rng.random((2, *shape), dtype=np.float32), np.zeros(shape, bool), number % 2 == 0, f"p{number}")
        for number in range(6)
    ]
    settings = replace(SETTINGS, lesion_experiments=True)
    rows = battery_rows(lambda x: x.mean(axis=tuple(range(1, x.ndim))).astype(np.float64), studies, settings)
    assert {row.study for row in rows} == set(range(6))
    assert all((row.changed is None) == (row.reason is not None) for row in rows)
