"""Claims about readers like those who marked the studies, asked for by ``readers: random``."""

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.config import Criterion
from pipeline.evidence.cohort.measures import of_map
from pipeline.evidence.cohort.readers import reader_scores
from pipeline.evidence.verdicts.criteria import judge_all
from tests.pipeline.evidence.records import BOOTSTRAP, SCALES, cohort_of, entry, not_analysed, study

SKILL = {"a": 0.9, "b": 0.8, "c": 0.7}


def judged(rows, first_seen=None, **criterion):
    given = Criterion.model_validate({"metric": "iou", "method": "gradcam", "readers": "random", **criterion})
    cohort = cohort_of(rows)
    if first_seen is not None:
        from dataclasses import replace

        cohort = replace(cohort, first_seen=first_seen)
    return judge_all([given], cohort, BOOTSTRAP)[0]


def read(number, skill=SKILL, other=0.2, **rest):
    wave = 0.1 * np.sin(number)
    own = [entry("gradcam", reader, float(value + wave)) for reader, value in skill.items()]
    return study(number, *own, *(entry("centre_prior", reader, other) for reader in skill), **rest)


def test_readers_who_differ_leave_less_than_these_readers_do():
    rows = [read(n) for n in range(60)]
    these, like_these = judged(rows, readers="these", at_least=0.7), judged(rows, at_least=0.7)
    assert (these.answer, like_these.answer) == ("MET", "INCONCLUSIVE")
    assert like_these.estimate.value == pytest.approx(these.estimate.value)
    assert like_these.estimate.low < these.estimate.low
    assert "approximate" in like_these.estimate.interval
    assert "approximate, 3 readers" in like_these.reason
    assert like_these.rule == "at least 0.7, with other readers too"
    assert "Hillis" in like_these.estimate.described.how
    alike = [read(n, {"a": 0.81, "b": 0.8, "c": 0.79}) for n in range(60)]
    assert judged(alike, at_least=0.7).answer == "MET"


@pytest.mark.parametrize(
    ("rule", "answer"),
    [
        ({"better_than": "centre_prior"}, "MET"),
        ({"better_than": "centre_prior", "by": 0.55}, "INCONCLUSIVE"),
        ({"better_than": "centre_prior", "wins": 0.5}, "MET"),
        ({"not_worse_than": "centre_prior", "margin": 0.1}, "MET"),
        ({"equivalent_to": "centre_prior", "margin": 0.1}, "NOT MET"),
        ({"within": 0.01, "at_least": 0.5}, "NOT MET"),
        ({"statistic": "median", "at_least": 0.4}, "MET"),
        ({"better_than": "centre_prior", "cap": 0.3}, "MET"),
    ],
)
def test_every_claim_about_a_map_can_be_made_of_other_readers(rule, answer):
    assert judged([read(n) for n in range(60)], **rule).answer == answer


def test_two_readers_are_refused_with_the_reason():
    verdict = judged([read(n, {"a": 0.9, "b": 0.8}) for n in range(60)], at_least=0.5)
    assert (verdict.answer, verdict.estimate.value) == ("NOT EVALUATED", None)
    assert verdict.reason == "a claim about readers like these needs 3 or more, and there are 2"


def test_a_consensus_is_no_reader():
    rows = [read(n, {"a": 0.9, "b": 0.8, "consensus:majority": 0.9}) for n in range(60)]
    assert "there are 2" in judged(rows, at_least=0.5).reason
    rows = [read(n, {**SKILL, "consensus:majority": 0.1}) for n in range(60)]
    assert judged(rows, at_least=0.5).estimate.value == pytest.approx(
        np.mean([0.8 + 0.1 * np.sin(n) for n in range(60)])
    )


def test_a_study_that_a_reader_did_not_read_counts_against_the_claim():
    rows = [read(n) for n in range(54)] + [read(n, {"a": 0.9, "b": 0.8}) for n in range(54, 60)]
    whole, holes = judged([read(n) for n in range(60)], at_least=0.3), judged(rows, at_least=0.3)
    assert (whole.answer, holes.answer) == ("MET", "MET")
    assert holes.p_met > whole.p_met
    assert holes.estimate.low < whole.estimate.low
    many = [read(n) for n in range(30)] + [read(n, {"a": 0.9, "b": 0.8}) for n in range(30, 60)]
    verdict = judged(many, at_least=0.3)
    assert (verdict.answer, "16.7 % have no score" in verdict.reason) == ("INCONCLUSIVE", True)
    lost = judged([read(n) for n in range(60)] + [not_analysed(n) for n in range(4)], at_least=0.3)
    assert (lost.answer, lost.estimate.missing_patients) == ("MET", 4)


def test_a_mask_that_a_reader_left_empty_is_no_score_of_his():
    rows = [read(n) for n in range(20)]
    rows += [study(50, *(entry("gradcam", r, "empty_mask" if r == "c" else 0.8) for r in SKILL))]
    nobody = [study(51, *(entry("gradcam", r, "no_mask") for r in SKILL), reference=())]
    assert judged(rows + nobody, at_least=0.3).estimate.patients == 21


def test_a_patient_whom_one_reader_says_nothing_of_has_any_score_with_him():
    """His mask covers everything: nothing can be held against it, but the others' masks are there."""
    rows = [read(n) for n in range(20)]
    odd = [
        study(50 + n, *(entry("gradcam", r, "mask_is_everything" if r == "c" else 0.8) for r in SKILL))
        for n in range(2)
    ]
    units = cohort_of(rows + odd).units
    scores = reader_scores(units, of_map("gradcam", SCALES["iou"]), units.readers_named, (0.0, 1.0))
    assert scores.low.shape == (3, 22)
    assert (scores.low[2, -2:].tolist(), scores.high[2, -2:].tolist()) == ([0, 0], [1, 1])
    assert scores.low[:2, -2:].tolist() == scores.high[:2, -2:].tolist() == [[0.8, 0.8], [0.8, 0.8]]
    assert scores.n_studies == 22


def test_a_reader_without_any_score_leaves_no_mean():
    rows = [study(n, *(entry("gradcam", r, "empty_mask" if r == "c" else 0.8) for r in SKILL)) for n in range(30)]
    verdict = judged(rows, at_least=0.2)
    assert (verdict.answer, verdict.estimate.value) == ("INCONCLUSIVE", None)
    assert "33.3 % have no score" in verdict.reason


def test_a_cohort_that_grows_is_not_judged_so():
    rows = [read(n) for n in range(30)]
    verdict = judged(rows, {row.study: "run-1" for row in rows}, at_least=0.3)
    assert (verdict.answer, "judged once" in verdict.reason) == ("NOT EVALUATED", True)


@pytest.mark.parametrize(
    "criterion",
    [
        {"method": None, "metric": "sensitivity", "at_least": 0.5},
        {"unit": "study", "at_least": 0.5},
        {"not_worse_than": "readers", "margin": 0.1},
    ],
)
def test_what_has_no_population_of_readers_is_refused(criterion):
    with pytest.raises(ValidationError, match="readers: random goes with a map"):
        Criterion.model_validate({"metric": "iou", "method": "gradcam", "readers": "random", **criterion})
