"""Criteria judged from studies' records, held to the rule as ``tests.oracles.verdict_rule`` writes it again."""

from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import product
from math import inf

import numpy as np
import pytest

from pipeline.config import Criterion
from pipeline.evidence.exact.families import holm
from pipeline.evidence.verdicts.criteria import judge_all
from pipeline.findings.scores import MapScores, PairAgreement, Score
from tests.oracles import verdict_rule as rule
from tests.oracles.verdict_rule import Claimed
from tests.pipeline.evidence.records import BOOTSTRAP, cohort_of, not_analysed, study

LABELS = ("nodule", "mass")
MAPS = ("gradcam", "centre_prior", "random_map")
NOTHING = ("constant_map", "empty_region")
HALF, ONE = Fraction(1, 2), Fraction(1)
DIFFERENCE = {"bottom": -ONE, "top": ONE}
LEVELS = {"iou": (0.0, 0.25, 0.5, 1.0), "hd95": (1.0, 4.0, 9.0, 30.0), "false_marks": (0.0, 1.0, 2.0, 5.0)}


def records(seed, size=26):
    """Return studies of a few patients: two labels, two readers, lost masks, constant maps, some that failed.

    The map is the better one of even seeds, and the worse of odd ones.
    """
    generator, better = np.random.default_rng(seed), 1 - 2 * (seed % 2)
    rows = []
    for number in range(size):
        patient = f"P-{generator.integers(size // 2)}"
        reference = LABELS[: generator.integers(1, 3)] if generator.random() < 0.8 else ("mass",)
        if generator.random() < 0.03:
            rows.append(not_analysed(number, reference=reference, patient=patient))
            continue
        called = tuple(label for label in reference if generator.random() < 0.8)
        entries = [
            made_entry(generator, better * (name == "gradcam"), (label, name, reader))
            for label in reference
            for name in MAPS
            for reader in "ab"
        ]
        pairs = tuple(agreement(generator, label) for label in reference)
        rows.append(study(number, *entries, patient=patient, reference=reference, predicted=called, agreement=pairs))
    return rows


def agreement(generator, label):
    score = Score(name="iou", value=float(generator.choice(LEVELS["iou"])))
    return PairAgreement(label=label, readers=("a", "b"), scores=(score,))


def made_entry(generator, better, of):
    (target, method, reader), scores = of, []
    for metric, levels in LEVELS.items():
        chosen = levels if metric == "iou" else levels[::-1]
        drawn = chosen[int(np.clip(generator.integers(4) + better, 0, 3))]
        fate = generator.random()
        reason = "constant_map" if fate < 0.04 else "missing_file" if fate < 0.1 else None
        scores.append(Score(name=metric, reason=reason) if reason else Score(name=metric, value=drawn))
    return MapScores(target=target, method=method, layer="l", reader=reader, mask_share=0.1, scores=tuple(scores))


def seen_by_readers(row, label, name, metric):
    """Return the mean over the readers who have a value; else the reason of the first, or None."""
    own = [
        score
        for entry in row.map_scores
        if (entry.target, entry.method) == (label, name)
        for score in entry.scores
        if score.name == metric
    ]
    values = [Fraction(score.value) for score in own if score.value is not None]
    return sum(values) / len(values) if values else next((score.reason for score in own), None)


def ranked(row, label, name, metric, sign):
    """Return a score of which more is better; a map that shows nothing is worse than any, a missing one None."""
    told = seen_by_readers(row, label, name, metric)
    if isinstance(told, Fraction):
        return sign * told
    return -inf if told in NOTHING else None


def plain(row, label, name):
    told = ranked(row, label, name, "iou", 1)
    return Fraction(0) if told == -inf else told


def own(row, label, _other):
    return plain(row, label, "gradcam")


def gain(row, label, other):
    first, second = plain(row, label, "gradcam"), plain(row, label, other)
    return None if first is None or second is None else first - second


def won(metric, sign):
    def measure(row, label, other):
        first, second = (ranked(row, label, name, metric, sign) for name in ("gradcam", other))
        if first is None or second is None:
            return None
        return HALF if first == second else ONE if first > second else Fraction(0)

    return measure


def holds(metric, limit):
    def measure(row, label, _other):
        told = ranked(row, label, "gradcam", metric, -1)
        return None if told is None else Fraction(told >= -limit)

    return measure


def capped_at_20(row, label, _other):
    told = ranked(row, label, "gradcam", "hd95", -1)
    return None if told is None else Fraction(min(-told, 20))


def beside_readers(row, label, _other):
    first = plain(row, label, "gradcam")
    if first is None:
        return None
    return first - next(Fraction(pair.scores[0].value) for pair in row.agreement if pair.label == label)


def above(bound, **rest):
    return Claimed(True, Fraction(bound), **rest)


IOU, HD95 = {"metric": "iou"}, {"metric": "hd95"}
BY_STUDY = {**IOU, "unit": "study"}
CRITERIA = {
    "mean": (IOU | {"at_least": 0.25}, own, above(0.25)),
    "at most": (IOU | {"at_most": 0.875, "reversed": True}, own, Claimed(False, Fraction(7, 8))),
    "by study": (BY_STUDY | {"at_least": 0.25}, own, above(0.25, by_study=True)),
    "by study, locked": (
        BY_STUDY | {"at_least": 0.125, "studies_at_most": 9},
        own,
        above(0.125, by_study=True, most_studies=9),
    ),
    "confidence": (IOU | {"at_least": 0.375, "confidence": 0.9}, own, above(0.375, alpha=Fraction(1, 20))),
    "missing": (IOU | {"at_least": 0.25, "missing_at_most": 1}, own, above(0.25, may_miss=ONE)),
    "better": (IOU | {"better_than": "baselines", "by": 0.125}, gain, above(0.125, **DIFFERENCE)),
    "wins": (IOU | {"better_than": ["centre_prior"], "wins": 0.5}, won("iou", 1), above(0.5)),
    "wins in mm": (HD95 | {"better_than": ["centre_prior"], "wins": 0.5}, won("hd95", -1), above(0.5)),
    "not worse": (IOU | {"not_worse_than": "centre_prior", "margin": 0.25}, gain, above(-0.25, **DIFFERENCE)),
    "equivalent": (
        IOU | {"equivalent_to": "centre_prior", "margin": 0.75},
        gain,
        above(-0.75, **DIFFERENCE),
        Claimed(False, Fraction(3, 4), **DIFFERENCE),
    ),
    "readers": (IOU | {"not_worse_than": "readers", "margin": 0.5}, beside_readers, above(-0.5, **DIFFERENCE)),
    "within": (HD95 | {"within": 9, "at_least": 0.5}, holds("hd95", 9), above(0.5)),
    "median": (HD95 | {"statistic": "median", "at_most": 9}, holds("hd95", 9), above(0.5)),
    "capped": (HD95 | {"at_most": 16, "cap": 20}, capped_at_20, Claimed(False, Fraction(16), top=Fraction(20))),
    "false marks": (
        {"metric": "false_marks", "within": 2, "at_least": 0.5},
        holds("false_marks", 2),
        above(0.5),
    ),
}
"""What is asked, what it measures of a study (its record, the label, the other map), and what it claims of the mean."""

UNDECIDED = ("better", "wins in mm")
"""Of so few patients."""


def opponents_of(criterion):
    other = criterion.get("not_worse_than") or criterion.get("equivalent_to")
    names = criterion.get("better_than") or ([other] if other else [None])
    return MAPS[:0:-1] if names == "baselines" else names


def parts_of(rows, criterion, measure, claims, ends=None):
    """Return both p-values of each part, of ``rows`` by label; 1 where they would decide and too much is missing.

    ``ends``: of a cohort that grows, how many patients with a label had come at the end of each night.
    """
    parts = []
    for label, other in product(LABELS, opponents_of(criterion)):
        studies = [(row.patient, None if row.status == "failed" else measure(row, label, other)) for row in rows[label]]
        at_looks = None if ends is None else partial(rule.open_p_values, ends=ends[label])
        of_each = [tuple(map(float, (at_looks or rule.p_values)(studies, claim))) for claim in claims]
        p_met = max(p for p, _ in of_each)
        p_not_met = min(rule.closed([p for _, p in of_each]))
        lost = rule.missing_share(studies, claims[0]) > claims[0].may_miss
        both_sides = len(claims) > 1 and ends is None  # a fixed equivalence is barred whatever it shows
        refuted = max(p_met, p_not_met) <= claims[0].alpha  # each side at another time, of a cohort that grows
        barred = refuted or (lost and (both_sides or min(p_met, p_not_met) <= claims[0].alpha))
        parts.append((1.0, 1.0) if barred else (p_met, p_not_met))
    return parts


def by_label(rows):
    return {label: [row for row in rows if label in row.reference] for label in LABELS}


def in_order_of_arrival(rows, night):
    """Return for each label whom it concerns, by the night on which each came, with the studies of that night.

    And how many of them had come at the end of each night that brought one.
    """
    arrived, ends = {}, {}
    for label, own in by_label(rows).items():
        came = {row.patient: min(night[other.study] for other in own if other.patient == row.patient) for row in own}
        first = [row for row in own if night[row.study] == came[row.patient]]
        arrived[label] = sorted(first, key=lambda row: night[row.study])  # among those of a night any order will do
        ends[label] = [sum(of <= run for of in came.values()) for run in sorted(set(came.values()))]
    return arrived, ends


@pytest.fixture(scope="module")
def cohorts():
    return [(rows, cohort_of(rows, LABELS)) for rows in map(records, range(4))]


def judged(cohort, *criteria, **changed):
    given = [Criterion.model_validate({"method": "gradcam", **criterion}) for criterion in criteria]
    return judge_all(given, replace(cohort, **changed), BOOTSTRAP)


@pytest.mark.parametrize("name", list(CRITERIA))
def test_a_criterion_is_answered_as_the_rule_says(name, cohorts):
    criterion, measure, *claims = CRITERIA[name]
    answers = set()
    for rows, cohort in cohorts:
        (verdict,) = judged(cohort, criterion)
        parts = parts_of(by_label(rows), criterion, measure, claims)
        assert verdict.answer == rule.all_of(parts, claims[0].alpha)
        assert verdict.p_met == pytest.approx(max(p for p, _ in parts), abs=1e-8)
        assert verdict.p_not_met == pytest.approx(min(rule.closed([p for _, p in parts])), abs=1e-8)
        answers.add(verdict.answer)
    assert len(answers) >= (1 if name in UNDECIDED else 2)


@pytest.mark.parametrize("name", [name for name, given in CRITERIA.items() if "unit" not in given[0]])
def test_a_criterion_of_a_growing_cohort_is_answered_as_the_rule_says(name, cohorts):
    """Each night brings three studies; a patient's later ones do not count."""
    criterion, measure, *claims = CRITERIA[name]
    for rows, cohort in cohorts:
        night = {row.study: f"run-{number // 3:03d}" for number, row in enumerate(rows)}
        (verdict,) = judged(cohort, criterion, first_seen=night)
        arrived, ends = in_order_of_arrival(rows, night)
        parts = parts_of(arrived, criterion, measure, claims, ends)
        assert verdict.answer == rule.all_of(parts, claims[0].alpha)
        assert verdict.p_met == pytest.approx(max(p for p, _ in parts), abs=1e-8)


def test_of_a_family_one_has_to_hold_as_closed_testing_says(cohorts):
    names = ("mean", "within", "wins", "capped")
    for rows, cohort in cohorts:
        verdicts = judged(cohort, *(CRITERIA[name][0] | {"any_of": "one"} for name in names))
        own = [max(p for p, _ in parts_of(by_label(rows), *CRITERIA[name][:2], CRITERIA[name][2:])) for name in names]
        assert [verdict.p_met for verdict in verdicts] == pytest.approx(rule.closed(own), abs=1e-8)
        assert [verdict.answer == "MET" for verdict in verdicts] == [p <= 0.025 for p in rule.closed(own)]


def test_holms_steps_are_closed_testing():
    generator = np.random.default_rng(0)
    for members in (1, 2, 3, 6) * 20:
        p_values = (generator.random(members) ** 3).round(2).tolist()
        assert holm(p_values) == pytest.approx(rule.closed(p_values))


@pytest.mark.parametrize("name", ["mean", "by study", "by study, locked", "confidence", "wins", "not worse", "capped"])
def test_an_interval_ends_where_the_rule_says(name, cohorts):
    criterion, measure, claim = CRITERIA[name]
    (other,) = opponents_of(criterion)
    for rows, cohort in cohorts:
        (verdict,) = judged(cohort, criterion | {"label": "nodule"})
        studies = [
            (row.patient, None if row.status == "failed" else measure(row, "nodule", other))
            for row in by_label(rows)["nodule"]
        ]
        step = 2e-8 * float(claim.top - claim.bottom)
        low, high = verdict.estimate.low, verdict.estimate.high
        assert rule.is_last_shown(studies, claim, low - step, high + step, 3 * step)


@pytest.mark.parametrize("name", [name for name, given in CRITERIA.items() if len(given) == 3])
def test_the_smallest_cohort_is_that_of_the_rule(name, cohorts):
    criterion, _, claim = CRITERIA[name]
    (verdict,) = judged(cohorts[0][1], criterion)
    assert verdict.smallest_cohort == rule.fewest(
        claim if claim.most_studies is None else replace(claim, most_studies=1)
    )
