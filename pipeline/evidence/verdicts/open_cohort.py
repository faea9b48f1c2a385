"""Cohorts that grow while they are looked at: patients in the order in which a lock first saw them, each counted once.

A patient's score is that of the studies that were there when he was first seen; later ones of his are shown and not
counted. Studies without a score keep their place: what replaces them later can only be better than the worst.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Final

import numpy as np

from pipeline.evidence.cohort.classifier import AREA, area_cohort_of
from pipeline.evidence.cohort.population import Population
from pipeline.evidence.exact.areas import judge_area
from pipeline.evidence.exact.claims import Claim, ExactResult, decide, missing_reason, reaches
from pipeline.evidence.exact.looks import look_alpha, planned_looks
from pipeline.findings.brief_study import StudyFacts
from pipeline.findings.estimates import LabelVerdict

__all__ = [
    "FIRST_LOOK",
    "GROWTH",
    "OPEN_AREA",
    "OPEN_INTERVAL",
    "as_first_seen",
    "judge_growing_area",
    "looks_at",
    "patients_first_seen",
    "told_of_contradiction",
]

OPEN_INTERVAL: Final = "valid at every look at a growing cohort (mixture of fixed stakes), over patients"

OPEN_AREA: Final = (
    "valid at every planned look at a growing cohort (level alpha/((k + 1) (k + 2)) at look k, by its patients); "
    + AREA
)

FIRST_LOOK: Final = 20
"""Patients from whom on look 1 at an AUROC of a growing cohort is."""

GROWTH: Final = 2
"""Each next look is from so many times as many patients on."""


def as_first_seen(population: Population, studies: Sequence[StudyFacts], first_seen: Mapping[str, str]) -> Population:
    """Return the patients in the order of arrival, with the studies that were there when each was first seen.

    ``studies`` are those that the population numbers; ``first_seen`` goes from a study to the run that saw it first;
    names of runs sort by time.
    """
    rows = [studies[number] for number in population.study.tolist()]
    arrived: dict[str, str] = {}
    for row in rows:
        run = first_seen[row.study]
        arrived[row.patient] = min(arrived.get(row.patient, run), run)
    counted = [number for number, row in enumerate(rows) if first_seen[row.study] == arrived[row.patient]]
    counted.sort(key=lambda number: (arrived[rows[number].patient], rows[number].patient, rows[number].study))
    return population.where(np.array(counted, dtype=np.intp))


def looks_at(population: Population, studies: Sequence[StudyFacts], first_seen: Mapping[str, str]) -> list[int]:
    """Return how many patients of a population as ``as_first_seen`` returns it there were at the end of each run."""
    rows = [studies[number] for number in population.study.tolist()]
    return _ends([first_seen[row.study] for row in {row.patient: row for row in rows}.values()])


def _ends(runs: Sequence[str]) -> list[int]:
    """Return how many patients had come at the end of each run; ``runs`` are those that saw each patient first."""
    return list(accumulate(count for _, count in sorted(Counter(runs).items())))


def patients_first_seen(
    audits: Iterable[StudyFacts], first_seen: Mapping[str, str]
) -> tuple[list[list[StudyFacts]], list[int]]:
    """Return each patient's studies that were there when he was first seen, patients in the order of arrival.

    And how many there were at the end of each run.
    """
    by_patient: dict[str, list[StudyFacts]] = defaultdict(list)
    for audit in audits:
        by_patient[audit.patient].append(audit)
    rows = []
    for patient, own in by_patient.items():
        first = min(first_seen[audit.study] for audit in own)
        rows.append((first, patient, [audit for audit in own if first_seen[audit.study] == first]))
    return [own for _, _, own in sorted(rows, key=lambda row: row[:2])], _ends([first for first, _, _ in rows])


def judge_growing_area(
    audits: Iterable[StudyFacts], label: str, first_seen: Mapping[str, str], claim: Claim
) -> ExactResult:
    """Answer a claim about an AUROC at the looks that were planned, up to now: at ends of runs, one for each size.

    Look k may be wrong with a probability of alpha / ((k + 1) (k + 2)); probabilities are multiplied accordingly, and
    the smallest of each side counts. The interval is what the looks up to now leave together, all of it before the
    first: its ends lie the wrong way round where looks contradict each other.
    """
    arrived, ends = patients_first_seen([audit for audit in audits if audit.reference is not None], first_seen)
    planned = planned_looks(ends, FIRST_LOOK, GROWTH)
    if not planned:
        reason = f"the first look is planned at {FIRST_LOOK} patients, and there are {len(arrived)}"
        alone = replace(_at_look(arrived, label, claim, 1), low=0.0, high=1.0, p_low=1.0, p_high=1.0)
        return replace(alone, decision="INCONCLUSIVE", reason=reason)
    looks = [_at_look(arrived[:size], label, claim, number) for number, size in planned]
    whole = replace(
        looks[-1],
        low=max(look.low for look in looks),
        high=min(look.high for look in looks),
        p_low=min(look.p_low for look in looks),
        p_high=min(look.p_high for look in looks),
    )
    decision, reason = decide(whole.p_met, whole.p_not_met, claim.alpha)
    if missing := missing_reason(whole.missing_share, claim):
        return replace(whole, decision="INCONCLUSIVE", reason=missing)
    if decision != "INCONCLUSIVE":
        reached = [min(look.p_met, look.p_not_met) for look in looks]
        number, size = next(look for look, p in zip(planned, reached, strict=True) if reaches(p, claim.alpha))
        reason = f"{reason}; at look {number}, with {size} patients"
    return replace(whole, decision=decision, reason=reason)


def _at_look(arrived: Sequence[Sequence[StudyFacts]], label: str, claim: Claim, number: int) -> ExactResult:
    """Return what one look shows alone: bounds at its level, probabilities times what its level is smaller by."""
    counted = [audit for own in arrived for audit in own]
    at_level = replace(claim, confidence=1 - 2 * look_alpha(claim.confidence, number))
    look = judge_area(area_cohort_of(counted, label), at_level)
    spent = (number + 1) * (number + 2)
    return replace(look, claim=claim, p_low=min(1.0, spent * look.p_low), p_high=min(1.0, spent * look.p_high))


def told_of_contradiction(part: LabelVerdict) -> LabelVerdict:
    """Return an answer that says so where its bounds exclude each other, in place of an interval that is none."""
    low, high = part.estimate.low, part.estimate.high
    if low is None or high is None or low <= high:
        return part
    bounds = f"one look shows at least {low:.3g} and another at most {high:.3g}"
    reason = f"its bounds exclude each other, {bounds}: early and late patients differ, or chance has it"
    none = {"low": None, "high": None, "interval": "none", "reason": reason}
    return part.model_copy(
        update={"reason": f"{part.reason}; {reason}", "estimate": part.estimate.model_copy(update=none)}
    )
