"""A claim about a population to an answer, and the answers about several labels or opponents to one.

The rule is that of ``exact``: a better score of any patient never makes an answer worse, nor does a patient more whose
score is at or beyond the bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pipeline.evidence.cohort.population import Population
from pipeline.evidence.exact.claims import Claim, ExactResult, alpha_of, decide, missing_reason, reaches
from pipeline.evidence.exact.families import EquivalenceResult, equivalence, judge_p_values
from pipeline.evidence.exact.looks import OpenResult, judge_open
from pipeline.evidence.exact.means import judge_mean, smallest_cohort
from pipeline.evidence.exact.scores import PatientScores
from pipeline.findings.estimates import Estimate, LabelVerdict
from pipeline.vocabulary import Answer, SamplingUnit

__all__ = [
    "MeanClaim",
    "Result",
    "WholeAnswer",
    "bounds_of",
    "fewest_patients",
    "judge",
    "judge_parts",
    "part_of",
    "refusal",
]


@dataclass(frozen=True)
class MeanClaim:
    """What is claimed of the mean of scores that lie within ``span``; ``within``: that it lies in -bound to bound.

    ``studies_at_most``: of a mean over studies, how many a patient of the population has at the most.
    """

    side: Literal["at_least", "at_most", "within"]
    bound: float
    span: tuple[float, float]
    unit: SamplingUnit
    confidence: float
    missing_at_most: float
    studies_at_most: int | None = None

    @property
    def exact(self) -> Claim:
        """The claim as the exact rule takes it: the lower one of the two where there are two."""
        if self.side == "within":
            return Claim("at_least", -self.bound, self.confidence, self.missing_at_most)
        return Claim(self.side, self.bound, self.confidence, self.missing_at_most)


Result = ExactResult | EquivalenceResult | OpenResult


@dataclass(frozen=True)
class WholeAnswer:
    """What several parts come to, of which all have to hold; ``decisive`` is the number of the part that decides."""

    answer: Answer
    reason: str
    decisive: int
    p_met: float | None
    p_not_met: float | None


def judge(
    claim: MeanClaim,
    population: Population,
    *,
    looks: Sequence[int] | None = None,
    stated: Sequence[tuple[float, float]] = (),
) -> Result:
    """Answer a claim about the mean over a population, of which one unit at least has a score.

    The patients of one that grows are in the order of arrival and weigh alike; ``looks`` are how many there were at the
    end of each run, None for a population that was locked whole. ``stated`` are intervals that a
    record says: one that holds is not searched for.
    """
    if looks is not None:
        return _judge_growing(claim, population.scores(claim.span), looks)
    cohort = population.scores(claim.span, claim.unit, claim.studies_at_most)
    if claim.side == "within":
        margin = Claim("at_most", claim.bound, claim.confidence, claim.missing_at_most)
        return equivalence(cohort, margin, stated)
    return judge_mean(cohort, claim.exact, stated)


def refusal(claim: MeanClaim, population: Population, *, growing: bool) -> str | None:
    """Return why a claim about a mean over studies cannot be judged on a population, or None."""
    if claim.unit == "patient":
        return None
    if growing:
        return "unit: study is judged once, and this cohort was locked as one that grows: a patient's weight would too"
    most, locked = population.most_studies, claim.studies_at_most
    if locked is None or most <= locked:
        return None
    return f"a patient has {most} studies that count, and studies_at_most locked {locked}: the claim is about others"


def _judge_growing(claim: MeanClaim, cohort: PatientScores, looks: Sequence[int]) -> OpenResult:
    """Answer at whatever look this is; of two claims that both have to hold the less certain one answers."""
    first = judge_open(cohort, claim.exact, looks)
    if claim.side != "within":
        return first
    upper = Claim("at_most", claim.bound, claim.confidence, claim.missing_at_most)
    second = judge_open(cohort, upper, looks)
    # both have to hold: the p-value of either is that of the whole, and a refutation of either is corrected for two
    p_not_met = min(1.0, 2 * min(first.p_high, second.p_low))
    p_met = max(first.p_low, second.p_high)
    decision, reason = decide(p_met, p_not_met, claim.exact.alpha)
    if missing := missing_reason(first.missing_share, claim.exact):
        decision, reason = "INCONCLUSIVE", missing
    return replace(first, decision=decision, reason=reason, p_low=p_met, p_high=p_not_met, decided_at=None)


def bounds_of(result: Result | None) -> tuple[float, float] | None:
    """Return the interval that a result holds already."""
    if result is None:
        return None
    exact = result.above if isinstance(result, EquivalenceResult) else result
    return exact.low, exact.high


def part_of(label: str | None, against: str | None, estimate: Estimate, result: Result | None) -> LabelVerdict:
    """Return what is said of one label against one map; ``result`` is None where there was nothing to judge."""
    common = {"label": label, "against": against, "estimate": estimate}
    if result is None:
        reason = estimate.reason or "nothing to estimate"
        return LabelVerdict.model_validate({**common, "answer": "NOT EVALUATED", "reason": reason})
    if isinstance(result, EquivalenceResult):
        both = {
            "answer": result.family.decision,
            "reason": result.family.reason,
            "p_met": max(result.family.p_met),
            "p_not_met": min(result.family.p_not_met),
            "best_reachable": None,
        }
        return LabelVerdict.model_validate({**common, **both})
    low, high = result.p_low, result.p_high
    exact = {
        "answer": result.decision,
        "reason": result.reason,
        "p_met": low if result.claim.side == "at_least" else high,
        "p_not_met": high if result.claim.side == "at_least" else low,
        "best_reachable": result.best_reachable if isinstance(result, ExactResult) else None,
    }
    return LabelVerdict.model_validate({**common, **exact})


def judge_parts(parts: Sequence[LabelVerdict], confidence: float) -> WholeAnswer:
    """Answer a criterion of which every part has to hold.

    MET needs every part's own p-value, NOT MET one that is corrected for the number of parts (Holm). A part that could
    not be evaluated, or of which too much is missing, is neither.
    """
    if len(parts) == 1 or all(part.answer == "NOT EVALUATED" for part in parts):
        first = parts[0]
        return WholeAnswer(first.answer, first.reason, 0, first.p_met, first.p_not_met)
    alpha = alpha_of(confidence)
    p_met = [1.0 if _barred(part, alpha) else float(part.p_met or 0.0) for part in parts]
    p_not = [1.0 if _barred(part, alpha) else float(part.p_not_met or 0.0) for part in parts]
    family = judge_p_values(p_met, p_not, "all", confidence)
    worst = _decisive(parts, family.p_not_met if family.decision == "NOT MET" else p_met, family.decision)
    part = parts[worst]
    named = " against ".join(name for name in (part.label, part.against) if name is not None)
    return WholeAnswer(
        family.decision,
        f"{named} decides among {len(parts)}: {part.reason}",
        worst,
        max(p_met),
        min(family.p_not_met),
    )


def _barred(part: LabelVerdict, alpha: float) -> bool:
    """Tell whether a part's probabilities must not count: it has none, or too much of its population is missing."""
    if part.p_met is None or part.p_not_met is None:
        return True
    return part.answer == "INCONCLUSIVE" and reaches(min(part.p_met, part.p_not_met), alpha)


def _decisive(parts: Sequence[LabelVerdict], p_values: Sequence[float], answer: Answer) -> int:
    """Return the part that decides: the least certain one, of NOT MET the surest."""
    order = sorted(range(len(parts)), key=lambda number: p_values[number], reverse=answer != "NOT MET")
    return order[0]


def fewest_patients(claim: MeanClaim) -> int | None:
    """Return with how few patients, all with perfect scores, a claim could be MET; None where none are enough."""
    bottom, top = claim.span
    if claim.side == "within":
        return None  # it depends on how far the differences spread
    share = (claim.bound - bottom) / (top - bottom)
    return smallest_cohort(share if claim.side == "at_least" else 1 - share, claim.confidence)
