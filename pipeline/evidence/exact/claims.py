"""A claim about a number, and what the exact rule answers to it."""

import math
from dataclasses import dataclass
from typing import Literal

from pipeline.vocabulary import Decision

__all__ = ["MAXIMUM_MISSING", "Claim", "ExactResult", "alpha_of", "decide", "missing_reason", "reaches"]

MAXIMUM_MISSING = 0.1
"""Above this share without a score no claim is decided: it would be about another population."""

_ROUNDING = 1e-9
"""p-values are exact to better than this: what lies so near alpha has reached it."""


@dataclass(frozen=True)
class Claim:
    """That a number is at least, or at most, ``bound``.

    Each of the two errors, MET where the claim is false and NOT MET where it holds, has at most the probability
    ``alpha``. ``maximum_missing`` is the share of the cohort that may lack a score before nothing is decided.
    """

    side: Literal["at_least", "at_most"]
    bound: float
    confidence: float = 0.95
    maximum_missing: float = MAXIMUM_MISSING

    def __post_init__(self) -> None:
        """Refuse what no cohort could answer.

        Raises:
            ValueError: the side, the bound, the confidence or the share missing is not one.
        """
        alpha_of(self.confidence)
        if self.side not in ("at_least", "at_most"):
            raise ValueError(f"side is at_least or at_most, not {self.side!r}")
        if not math.isfinite(self.bound):
            raise ValueError(f"bound is a finite number, not {self.bound}")
        if not 0 <= self.maximum_missing <= 1:
            raise ValueError(f"maximum_missing lies within 0 and 1, not {self.maximum_missing}")

    @property
    def alpha(self) -> float:
        """The largest probability of each of the two errors."""
        return alpha_of(self.confidence)


@dataclass(frozen=True)
class ExactResult:
    """What a cohort shows of a claim.

    Attributes:
        claim: what was asked.
        decision: from the p-values alone.
        reason: why, in a sentence.
        value: the mean over the patients with a score (for an area: the area); None without any.
        study_value: the mean over the studies with a score; None where it has no meaning.
        low, high: the exact interval at the claim's confidence; it holds whatever the missing scores are.
        p_low: evidence against "the number is at most the bound": small means it is larger.
        p_high: evidence against "the number is at least the bound": small means it is smaller.
        n_patients: patients of the population, with a score or not.
        n_studies: their studies.
        n_missing: patients without any score.
        missing_share: share of the estimate's weight that no score fills.
        best_reachable: the best bound that this cohort could have shown had every score been perfect: the largest for
            ``at_least``, the smallest for ``at_most``.
    """

    claim: Claim
    decision: Decision
    reason: str
    value: float | None
    study_value: float | None
    low: float
    high: float
    p_low: float
    p_high: float
    n_patients: int
    n_studies: int
    n_missing: int
    missing_share: float
    best_reachable: float

    @property
    def p_met(self) -> float:
        """The p-value whose smallness shows the claim."""
        return self.p_low if self.claim.side == "at_least" else self.p_high

    @property
    def p_not_met(self) -> float:
        """The p-value whose smallness refutes the claim."""
        return self.p_high if self.claim.side == "at_least" else self.p_low


def alpha_of(confidence: float) -> float:
    """Return the error on one side of a two-sided confidence.

    Raises:
        ValueError: the confidence is below 0.9 or not below 1.
    """
    if not 0.9 <= confidence < 1:
        raise ValueError(f"confidence is at least 0.9 and below 1, not {confidence}")
    return (1 - confidence) / 2


def reaches(p: float, alpha: float) -> bool:
    """Whether a p-value is at most alpha, up to the rounding of both."""
    return p <= alpha * (1 + _ROUNDING)


def decide(p_met: float, p_not_met: float, alpha: float) -> tuple[Decision, str]:
    """Return the answer and the reason.

    Both p-values are small only in a cohort that grows, whose early and late patients may say the contrary of each
    other: then neither is shown. Better scores still never make an answer worse, for they lower the first p-value and
    raise the second.
    """
    if reaches(max(p_met, p_not_met), alpha):
        both = f"p = {p_met:.2g} against the contrary and {p_not_met:.2g} against the claim"
        return "INCONCLUSIVE", f"{both}, both at most {alpha:.3g}: what was shown at one time was refuted at another"
    if reaches(p_met, alpha):
        return "MET", f"p = {p_met:.2g} against the contrary is at most {alpha:.3g}"
    if reaches(p_not_met, alpha):
        return "NOT MET", f"p = {p_not_met:.2g} against the claim is at most {alpha:.3g}"
    return "INCONCLUSIVE", f"p = {p_met:.2g} against the contrary and {p_not_met:.2g} against the claim"


def missing_reason(share: float, claim: Claim) -> str | None:
    """Return why nothing is decided when too much is missing, or None."""
    if share <= claim.maximum_missing + _ROUNDING:
        return None
    return f"{100 * share:.3g} % have no score, more than the {100 * claim.maximum_missing:.3g} % that may be missing"
