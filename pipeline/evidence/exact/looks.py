"""Cohorts that grow while they are watched: evidence that stays valid at every look.

A gambler who bets the share s of his money that each next score exceeds the bound multiplies it by
1 + s (x - b)/b, and if the mean is at most b he expects to keep what he has. So his money, averaged over 64 fixed
shares, ever reaches 1/alpha with probability at most alpha (Ville), however often and whenever it is looked at. The
shares are fixed beforehand: money then rises with every score, which it does not when the bets follow the scores.

What has no such bet (areas, fixed-sample tests that are wanted at a few looks) spends alpha/((k + 1) (k + 2)) at look
k, whose number follows from how many patients there are. That is half of alpha; the other half pays for the choice of
how many they are exactly, which is made by whoever starts the runs.

The money is counted when somebody looks, at the end of each run. Among the patients of one run there is an order only
by name, and who may choose the names could put the hits first; at a run's end the order is of no matter.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from pipeline.evidence.exact.claims import Claim, alpha_of, missing_reason
from pipeline.evidence.exact.scores import PatientScores
from pipeline.vocabulary import Decision

__all__ = ["OpenResult", "judge_open", "log_evidence", "look_alpha", "planned_looks"]

_STAKES = 64
_BISECTIONS = 34

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class OpenResult:
    """What an open cohort has shown of a claim up to now.

    Attributes:
        claim: what was asked.
        decision: MET or NOT MET, whichever was reached; INCONCLUSIVE where neither was, or both.
        reason: why, in a sentence.
        decided_at: the number of patients at which it was reached; None while INCONCLUSIVE.
        value: the mean over patients with a score; None without any.
        low, high: bounds that hold at all looks at once; low lies above high where patients of different times say
            what no one mean can.
        p_low, p_high: 1 over the largest evidence at any look, at most 1: valid at every look.
        n_patients, n_missing: patients counted, and those of them without any score.
        missing_share: share of the estimate's weight that no score fills.
    """

    claim: Claim
    decision: Decision
    reason: str
    decided_at: int | None
    value: float | None
    low: float
    high: float
    p_low: float
    p_high: float
    n_patients: int
    n_missing: int
    missing_share: float


def log_evidence(scores: NDArray[np.float64], bound: float) -> Floats:
    """Return the logarithm of the evidence against "the mean is at most ``bound``" after each patient.

    Args:
        scores: (patients,) within 0 and 1, in the order of arrival; a missing score is 0.
        bound: within 0 and 1.

    Returns:
        (patients,).
    """
    stakes = np.sin((np.arange(_STAKES) + 0.5) * math.pi / (2 * _STAKES)) ** 2
    if bound == 0:
        return np.where(np.maximum.accumulate(scores > 0), math.inf, 0.0)
    with np.errstate(over="ignore"):
        gains = np.minimum((scores - bound) / bound, 1e300)
    money = np.cumsum(np.log1p(stakes[:, None] * gains), axis=1)
    return np.asarray(logsumexp(money, axis=0) - math.log(_STAKES), dtype=np.float64)


def judge_open(cohort: PatientScores, claim: Claim, looks: Sequence[int] | None = None) -> OpenResult:
    """Answer a claim about the mean of a cohort that grows.

    The cohort's patients are in the order of arrival, each with the score that he had when he was counted. Patients
    weigh alike: a study's weight would change with the patient's later studies. ``looks`` are the numbers of patients
    that there were at the end of each run, rising up to all of them; None: a look at every patient.

    Raises:
        ValueError: the claim's bound lies outside the span of the scores, patients weigh by their studies, or the looks
            are no such numbers.
    """
    bottom, top = cohort.span
    if not bottom <= claim.bound <= top:
        raise ValueError(f"bound lies within {bottom:g} and {top:g}, as the scores do, not {claim.bound:g}")
    if (cohort.weights != 1).any():
        raise ValueError("an open cohort is judged by patient, not by study")
    sizes = np.arange(1, cohort.n_patients + 1) if looks is None else np.array(looks, dtype=np.intp)
    if (np.diff(sizes, prepend=0) < 1).any() or sizes.max(initial=0) != cohort.n_patients:
        raise ValueError(f"looks rise, and the last is at all {cohort.n_patients} patients")
    bound = (claim.bound - bottom) / (top - bottom)
    upward = log_evidence(cohort.unit_low(), bound)[sizes - 1]
    downward = log_evidence(1 - cohort.unit_high(), 1 - bound)[sizes - 1]
    p_low, p_high = (min(1.0, math.exp(-evidence.max(initial=0.0))) for evidence in (upward, downward))
    decision, reason, decided_at = _answer(upward, downward, claim, sizes)
    missing = missing_reason(cohort.missing_share, claim)
    low = _lowest_kept(cohort.unit_low(), claim.alpha, sizes)
    high = 1 - _lowest_kept(1 - cohort.unit_high(), claim.alpha, sizes)
    return OpenResult(
        claim=claim,
        decision="INCONCLUSIVE" if missing else decision,
        reason=missing or reason,
        decided_at=None if missing else decided_at,
        value=cohort.value,
        low=bottom + low * (top - bottom),
        high=bottom + high * (top - bottom),
        p_low=p_low,
        p_high=p_high,
        n_patients=cohort.n_patients,
        n_missing=cohort.n_missing,
        missing_share=cohort.missing_share,
    )


def look_alpha(confidence: float, look: int) -> float:
    """Return the error on one side that the ``look``-th planned look (from 1) may spend: all together spend alpha / 2.

    Raises:
        ValueError: the look is not a number from 1 on.
    """
    if look < 1:
        raise ValueError(f"look is a number from 1 on, not {look}")
    return alpha_of(confidence) / ((look + 1) * (look + 2))


def planned_looks(ends: Sequence[int], first: int, growth: float) -> tuple[tuple[int, int], ...]:
    """Return the looks that are planned: the number of each, from 1 on, and how many patients there are at it.

    Look 1 is for ``first`` patients up to ``growth`` times as many, look 2 for those up to ``growth`` times that, and
    so on: the first of ``ends``, how many there were at the end of each run, that lies there. The number follows from
    the patients and not from the looks before. Who waits for a run that suits him, or begins anew, could else have
    look 1, the cheapest, as late and as often as he likes.

    >>> planned_looks([12, 33, 40, 51, 160], 30, 1.5)
    ((1, 33), (2, 51), (5, 160))

    Raises:
        ValueError: the first is below 1 or the growth not above 1.
    """
    if first < 1 or not 1 < growth < math.inf:
        raise ValueError(f"looks start at 1 patient or more and grow by more than 1, not {first} and {growth}")
    looks = dict[int, int]()
    number, above = 0, first
    for end in ends:
        while end >= above:
            number, above = number + 1, math.ceil(above * growth)
        if number:
            looks.setdefault(number, end)
    return tuple(looks.items())


def _answer(
    upward: Floats, downward: Floats, claim: Claim, sizes: NDArray[np.intp]
) -> tuple[Decision, str, int | None]:
    """Return the answer, the reason, and with how many patients it was reached.

    What was reached stands until the contrary is reached as well. Who wants a MET could else collect the patients who
    give it first, and whatever came later would count for nothing.
    """
    shown, refuted = (upward, downward) if claim.side == "at_least" else (downward, upward)
    met_at, missed_at = (_reached_at(evidence, claim.alpha, sizes) for evidence in (shown, refuted))
    enough = f"{1 / claim.alpha:.3g}"
    if met_at is not None and missed_at is not None:
        times = f"for the claim with {met_at} patients and against it with {missed_at}"
        return "INCONCLUSIVE", f"the evidence reached {enough} {times}: what was shown was refuted", None
    if met_at is not None:
        return "MET", f"the evidence reached {enough} with {met_at} patients", met_at
    if missed_at is not None:
        return "NOT MET", f"the evidence reached {enough} with {missed_at} patients", missed_at
    return "INCONCLUSIVE", f"the evidence has not reached {enough} on either side", None


def _reached_at(evidence: Floats, alpha: float, sizes: NDArray[np.intp]) -> int | None:
    reached = sizes[evidence >= -math.log(alpha) - 1e-9]
    return int(reached[0]) if len(reached) else None


def _lowest_kept(scores: Floats, alpha: float, sizes: NDArray[np.intp]) -> float:
    """Return the largest bound that the evidence has reached 1/alpha against at some look; 0 if none."""
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        reached = _reached_at(log_evidence(scores, middle)[sizes - 1], alpha, sizes) is not None
        low, high = (middle, high) if reached else (low, middle)
    return low
