"""Several claims at once: all of them, or any of them.

``all``: MET when every p-value is at most alpha, with no correction, since the whole is claimed falsely only if a false
one among them is (intersection-union). ``any``: Holm's step-down, so that a false member is called MET with probability
at most alpha however many there are. NOT MET is the other of the two: some member refuted with correction for ``all``,
every member refuted for ``any``. Both only rise when a member's p-value falls.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.exact.claims import Claim, ExactResult, alpha_of, decide, missing_reason
from pipeline.evidence.exact.means import judge_mean
from pipeline.evidence.exact.scores import PatientScores
from pipeline.vocabulary import SURE, Decision

__all__ = [
    "EquivalenceResult",
    "FamilyResult",
    "equivalence",
    "equivalence_of",
    "holm",
    "judge_family",
    "judge_p_values",
]

FamilyKind = Literal["all", "any"]


@dataclass(frozen=True)
class FamilyResult:
    """What a family of claims comes to.

    Attributes:
        kind: whether all must hold or any.
        decision: of the family.
        reason: why, in a sentence.
        members: each member's own decision, in their order; for ``any`` after Holm's correction.
        p_met: (members) the p-values that the members' MET is decided by: their own, or Holm's.
        p_not_met: the same for NOT MET.
        worst: the number of the member that is farthest from MET, by p-value and not by estimate.
    """

    kind: FamilyKind
    decision: Decision
    reason: str
    members: tuple[Decision, ...]
    p_met: tuple[float, ...]
    p_not_met: tuple[float, ...]
    worst: int


@dataclass(frozen=True)
class EquivalenceResult:
    """Whether a mean difference lies within a margin on both sides: an ``all`` family of two claims.

    ``above`` is the claim that it is at least -margin, ``below`` that it is at most +margin.
    """

    margin: float
    above: ExactResult
    below: ExactResult
    family: FamilyResult


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return Holm's adjusted p-values, in the order of the given; those at most alpha are rejected at alpha.

    >>> holm([0.01, 0.04, 0.03])
    (0.03, 0.06, 0.06)
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    factors = np.arange(len(values), 0, -1)
    adjusted: NDArray[np.float64] = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return tuple(float(value) for value in adjusted)


def judge_family(results: Sequence[ExactResult], kind: FamilyKind) -> FamilyResult:
    """Answer a family from its members' results. A member that too much is missing for stays INCONCLUSIVE.

    Raises:
        ValueError: no member, or members of different confidence.
    """
    levels = {result.claim.confidence for result in results}
    if len(levels) != 1:
        raise ValueError(f"a family has members, all of one confidence, not {sorted(levels)}")
    barred = [missing_reason(result.missing_share, result.claim) is not None for result in results]
    p_met = [1.0 if bar else result.p_met for bar, result in zip(barred, results, strict=True)]
    p_not_met = [1.0 if bar else result.p_not_met for bar, result in zip(barred, results, strict=True)]
    return judge_p_values(p_met, p_not_met, kind, levels.pop())


def equivalence(cohort: PatientScores, claim: Claim, stated: Sequence[tuple[float, float]] = ()) -> EquivalenceResult:
    """Answer whether the mean difference lies within the claim's bound on both sides of 0; ``stated`` as for means.

    Raises:
        ValueError: the bound is not positive.
    """
    if not claim.bound > 0:
        raise ValueError(f"margin is a positive number, not {claim.bound}")
    above = judge_mean(cohort, replace(claim, side="at_least", bound=-claim.bound), stated)
    below = judge_mean(cohort, replace(claim, side="at_most"), [(above.low, above.high)])
    return equivalence_of(above, below)


def equivalence_of(above: ExactResult, below: ExactResult) -> EquivalenceResult:
    """Join the answers to the two claims that an equivalence is: at least -margin, and at most +margin."""
    return EquivalenceResult(below.claim.bound, above, below, judge_family([above, below], "all"))


def judge_p_values(
    p_met: Sequence[float], p_not_met: Sequence[float], kind: FamilyKind, confidence: float
) -> FamilyResult:
    """Answer a family from its members' p-values, (members) each; one that cannot be decided counts as 1."""
    alpha = alpha_of(confidence)
    if not p_met or len(p_met) != len(p_not_met):
        raise ValueError(f"a family has two p-values for each member, not {len(p_met)} and {len(p_not_met)}")
    met, missed = (tuple(p_met), holm(p_not_met)) if kind == "all" else (holm(p_met), tuple(p_not_met))
    members = tuple(decide(good, bad, alpha)[0] for good, bad in zip(met, missed, strict=True))
    worst = int(np.argmax(p_met))
    whole, part = SURE if kind == "all" else SURE[::-1]
    for answer in SURE:
        agreeing = members.count(answer)
        if agreeing == len(members) if answer == whole else agreeing > 0:
            return FamilyResult(kind, answer, _reason(answer, agreeing, members), members, met, missed, worst)
    reason = f"{members.count(part)} of {len(members)} members are {part}, {members.count(whole)} {whole}"
    return FamilyResult(kind, "INCONCLUSIVE", reason, members, met, missed, worst)


def _reason(answer: str, agreeing: int, members: tuple[Decision, ...]) -> str:
    return f"{agreeing} of {len(members)} members are {answer}"
