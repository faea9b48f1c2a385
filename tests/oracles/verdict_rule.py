"""The rule of verdicts written a second time, from its definition alone: plain numbers, one study after the other.

Where the product gathers columns, integrates along a contour and merges equal scores, this walks through lists and
races queues of exponential times in fractions; where it steps down with Holm, this looks at every group of members that
a member belongs to (closed testing); where it looks for a bound, this asks whether a bound is the last one that is
shown. Nothing of ``pipeline`` is imported.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from math import inf, pi, prod, sin

from tests.oracles.exponential_race import race

Score = Fraction | None
Study = tuple[str, Score]
"""A patient, and the score of one of his studies: None where it is missing."""


@dataclass(frozen=True)
class Claimed:
    """What is claimed of the mean of scores between ``bottom`` and ``top``."""

    at_least: bool
    bound: Fraction
    bottom: Fraction = Fraction(0)
    top: Fraction = Fraction(1)
    alpha: Fraction = Fraction(1, 40)
    by_study: bool = False
    most_studies: int | None = None
    may_miss: Fraction = Fraction(1, 10)


def patients_of(studies: Sequence[Study]) -> list[list[Score]]:
    by_patient: dict[str, list[Score]] = {}
    for patient, score in studies:
        by_patient.setdefault(patient, []).append(score)
    return list(by_patient.values())


def p_below(studies: Sequence[Study], claim: Claimed, bound: Fraction) -> Fraction:
    """Return the p-value against "the mean is at most the bound": what is missing has the worst score."""
    own = patients_of(studies)
    weights = [Fraction(len(scores) if claim.by_study else 1) for scores in own]
    means = [sum((claim.bottom if score is None else score) for score in scores) / len(scores) for scores in own]
    heaviest = max(weights, default=Fraction(1)) if claim.most_studies is None else Fraction(claim.most_studies)
    terms = [weight * (mean - bound) for weight, mean in zip(weights, means, strict=True)]
    terms.append(heaviest * (claim.bottom - bound))
    return race(terms) if any(terms) else Fraction(1)


def turned(studies: Sequence[Study], claim: Claimed) -> tuple[list[Study], Claimed]:
    """Return scores and ends with the other sign: "at most" becomes "at least"."""
    other = [(patient, None if score is None else -score) for patient, score in studies]
    ends = {"bound": -claim.bound, "bottom": -claim.top, "top": -claim.bottom, "at_least": not claim.at_least}
    return other, Claimed(**{**claim.__dict__, **ends})


def p_values(studies: Sequence[Study], claim: Claimed) -> tuple[Fraction, Fraction]:
    """Return the p-values whose smallness shows the claim, and refutes it."""
    other, mirror = turned(studies, claim)
    below, above = p_below(studies, claim, claim.bound), p_below(other, mirror, mirror.bound)
    return (below, above) if claim.at_least else (above, below)


def missing_share(studies: Sequence[Study], claim: Claimed) -> Fraction:
    """Return what share of the mean's weight has no score."""
    own = patients_of(studies)
    lost = [Fraction(sum(score is None for score in scores), len(scores)) for scores in own]
    weights = [len(scores) if claim.by_study else 1 for scores in own]
    return sum((share * weight for share, weight in zip(lost, weights, strict=True)), Fraction(0)) / sum(weights)


def closed(p_values: Sequence[float]) -> list[float]:
    """Return adjusted p-values by closed testing (Bonferroni): a member falls when each of its groups does."""
    members = range(len(p_values))
    groups = [group for size in range(1, len(p_values) + 1) for group in combinations(members, size)]
    fallen = {group: min(1, len(group) * min(p_values[member] for member in group)) for group in groups}
    return [max(p for group, p in fallen.items() if member in group) for member in members]


def all_of(parts: Sequence[tuple[float, float]], alpha: Fraction) -> str:
    """Answer for parts that all have to hold, from both p-values of each."""
    if all(p_met <= alpha for p_met, _ in parts):
        return "MET"
    refuted = any(p <= alpha for p in closed([p_not_met for _, p_not_met in parts]))
    return "NOT MET" if refuted else "INCONCLUSIVE"


def is_last_shown(studies: Sequence[Study], claim: Claimed, low: float, high: float, step: float) -> bool:
    """Tell whether an interval ends where p-values pass alpha: it is shown there, and no longer a step further in."""
    other, mirror = turned(studies, claim)
    held = [(studies, claim, Fraction(low)), (other, mirror, Fraction(-high))]
    return all(
        (end <= of.bottom or p_below(scores, of, end) <= of.alpha * Fraction(1.000001))
        and p_below(scores, of, end + Fraction(step)) > of.alpha * Fraction(0.999999)
        for scores, of, end in held
    )


STAKES = [sin((number + 0.5) * pi / 128) ** 2 for number in range(64)]


def money(scores: Sequence[float], bound: float) -> float:
    """Return what sixty-four gamblers have on average, who bet fixed shares that scores of 0 to 1 exceed the bound."""
    return sum(prod(1 + stake * (score - bound) / bound for score in scores) for stake in STAKES) / len(STAKES)


def most_money(studies: Sequence[Study], claim: Claimed, ends: Sequence[int]) -> float:
    """Return the most that they ever had at the end of a night, when so many patients had come; missing is worst."""
    width = claim.top - claim.bottom
    means = [
        sum((Fraction(0) if score is None else (score - claim.bottom) / width) for score in scores) / len(scores)
        for scores in patients_of(studies)
    ]
    bound = float((claim.bound - claim.bottom) / width)
    return max((money([float(mean) for mean in means[:seen]], bound) for seen in ends), default=0.0)


def open_p_values(studies: Sequence[Study], claim: Claimed, ends: Sequence[int]) -> tuple[float, float]:
    other, mirror = turned(studies, claim)
    below, above = (min(1.0, 1 / (most_money(*held, ends) or inf)) for held in ((studies, claim), (other, mirror)))
    return (below, above) if claim.at_least else (above, below)


def fewest(claim: Claimed) -> int:
    """Return with how many perfect patients the claim is first shown, tried one after the other."""
    best = claim.top if claim.at_least else claim.bottom
    for patients in range(1, 2000):
        if p_values([(str(number), best) for number in range(patients)], claim)[0] <= claim.alpha:
            return patients
    raise AssertionError("no cohort shows it")
