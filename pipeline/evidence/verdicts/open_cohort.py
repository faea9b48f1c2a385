"""Cohorts that grow while they are looked at: patients in the order in which a lock first saw them, each counted once.

A patient's score is that of the studies that were there when he was first seen; later ones of his are shown and not
counted. Studies without a score keep their place: what replaces them later can only be better than the worst.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from pipeline.evidence.cohort.classifier import AREA, area_cohort_of
from pipeline.evidence.cohort.population import Population
from pipeline.evidence.exact.areas import judge_area
from pipeline.evidence.exact.claims import Claim, ExactResult
from pipeline.evidence.exact.looks import look_alpha, planned_looks
from pipeline.findings.brief_study import StudyFacts

__all__ = ["FIRST_LOOK", "OPEN_AREA", "OPEN_INTERVAL", "as_first_seen", "judge_growing_area", "patients_first_seen"]

OPEN_INTERVAL: Final = "valid at every look at a growing cohort (mixture of fixed stakes), over patients"

OPEN_AREA: Final = "valid at every planned look at a growing cohort (level alpha/(k (k + 1)) at look k); " + AREA

FIRST_LOOK: Final = 20
"""Patients at the first look at an AUROC of a growing cohort; each next look has half as many again."""

_GROWTH: Final = 1.5


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


def patients_first_seen(audits: Iterable[StudyFacts], first_seen: Mapping[str, str]) -> list[list[StudyFacts]]:
    """Return each patient's studies that were there when he was first seen, patients in the order of arrival."""
    by_patient: dict[str, list[StudyFacts]] = defaultdict(list)
    for audit in audits:
        by_patient[audit.patient].append(audit)
    rows = []
    for patient, own in by_patient.items():
        first = min(first_seen[audit.study] for audit in own)
        rows.append((first, patient, [audit for audit in own if first_seen[audit.study] == first]))
    return [own for _, _, own in sorted(rows, key=lambda row: row[:2])]


def judge_growing_area(
    audits: Iterable[StudyFacts], label: str, first_seen: Mapping[str, str], claim: Claim
) -> ExactResult:
    """Answer a claim about an AUROC at the looks that were planned, up to now: the first answer stands.

    Look k may be wrong with a probability of alpha / (k (k + 1)), all of them together with alpha; probabilities are
    multiplied accordingly. The interval is what the looks up to now leave together, all of it before the first.
    """
    arrived = patients_first_seen([audit for audit in audits if audit.reference is not None], first_seen)
    looks = planned_looks(FIRST_LOOK, _GROWTH, len(arrived)) or (len(arrived),)
    result: ExactResult | None = None
    low, high = 0.0, 1.0
    for number, size in enumerate(looks, 1):
        counted = [audit for own in arrived[:size] for audit in own]
        at_look = judge_area(
            area_cohort_of(counted, label), replace(claim, confidence=1 - 2 * look_alpha(claim.confidence, number))
        )
        spent = number * (number + 1)
        p_low, p_high = (min(1.0, spent * p) for p in (at_look.p_low, at_look.p_high))
        if size == len(arrived) and size < FIRST_LOOK:
            reason = f"the first look is planned at {FIRST_LOOK} patients, and there are {size}"
            return replace(
                at_look,
                claim=claim,
                decision="INCONCLUSIVE",
                reason=reason,
                low=low,
                high=high,
                p_low=1.0,
                p_high=1.0,
            )
        low, high = max(low, at_look.low), min(high, at_look.high)
        result = replace(at_look, claim=claim, low=low, high=high, p_low=p_low, p_high=p_high)
        if result.decision != "INCONCLUSIVE":
            return replace(result, reason=f"{result.reason}; at look {number}, with {size} patients")
    assert result is not None
    return result
