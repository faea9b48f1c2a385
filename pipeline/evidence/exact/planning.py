"""How many patients a claim needs, and what a cohort could show, before anyone collects data.

Rates are the hardest scores of a given mean, since none spread more; their power is exact. For graded scores with a
known spread the power is simulated from beta laws, with a fixed seed.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, binom, norm

from pipeline.evidence.exact.areas import area_cohort, area_draws
from pipeline.evidence.exact.claims import Claim, reaches
from pipeline.evidence.exact.means import best_reachable, p_low_of_cohorts, smallest_cohort

__all__ = [
    "POWER",
    "ClaimPlan",
    "area_power",
    "patients_needed",
    "plan_area",
    "plan_mean",
    "rate_power",
    "shown_with_power",
    "spread_power",
]

POWER = 0.8
"""The power that a cohort is planned for."""
LARGEST = 20_000
"""No plan looks for more patients than this."""

_BEYOND = (0.05, 0.10)
_LASTING = 10
"""A rate's power is a saw: a number of patients suffices when as many more than it all do."""
_REPLICATES = 1000
_GROWTH = 1.1
_AREA_REPLICATES = 100
_AREA_DRAWS = 400
_LARGEST_CLASS = 2000
_SEED = 20_261_129

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ClaimPlan:
    """What a claim asks of a cohort, and what the cohort at hand could show.

    Of an area, all numbers of patients are those of the smaller class.

    Attributes:
        claim: what is to be shown.
        spread: the standard deviation of patients' scores that was assumed; None: scores of 0 and 1, the worst case, or
            an area.
        n_patients: the cohort at hand; None where it is not known.
        smallest_cohort: patients below whom nothing can make the claim MET; None when no number suffices.
        best_reachable: the best bound that the cohort at hand can show, with perfect scores; None where unknown.
        needed: for each distance beyond the bound, how many patients are MET with a power of 0.8 if the true mean lies
            so far beyond; None where no mean lies there, or more than ``LARGEST`` are needed.
        power: for the same distances, the power of the cohort at hand; None where either is unknown.
    """

    claim: Claim
    spread: float | None
    n_patients: int | None
    smallest_cohort: int | None
    best_reachable: float | None
    needed: tuple[tuple[float, int | None], ...]
    power: tuple[tuple[float, float | None], ...]


def plan_mean(
    claim: Claim,
    *,
    n_patients: int | None = None,
    span: tuple[float, float] = (0.0, 1.0),
    spread: float | None = None,
    beyond: tuple[float, ...] = _BEYOND,
) -> ClaimPlan:
    """Plan a claim about a mean, for true means ``beyond`` the bound on the claim's side.

    Args:
        claim: what is to be shown, in the metric's unit.
        n_patients: the cohort at hand.
        span: the ends between which a score lies; (-1, 1) for differences.
        spread: the standard deviation of patients' scores, of a pilot say; without it they are taken for 0 and 1.
        beyond: how far beyond the bound the truth may lie, in the metric's unit.

    Raises:
        ValueError: the bound lies outside the span, or the spread is not a positive number.
    """
    bottom, top = span
    width = top - bottom
    if not bottom <= claim.bound <= top:
        raise ValueError(f"bound lies within {bottom:g} and {top:g}, as the scores do, not {claim.bound:g}")
    upward = _upward(replace(claim, bound=(claim.bound - bottom) / width))
    unit_spread = None if spread is None else spread / width
    truths = [(distance, upward.bound + distance / width) for distance in beyond]
    best = None if n_patients is None else best_reachable(n_patients, claim.confidence)
    at_best = None if best is None else bottom + width * (best if claim.side == "at_least" else 1 - best)
    return ClaimPlan(
        claim=claim,
        spread=spread,
        n_patients=n_patients,
        smallest_cohort=smallest_cohort(upward.bound, claim.confidence),
        best_reachable=at_best,
        needed=tuple((distance, patients_needed(upward, truth, unit_spread)) for distance, truth in truths),
        power=tuple((distance, _power(n_patients, upward, truth, unit_spread)) for distance, truth in truths),
    )


def plan_area(
    claim: Claim,
    *,
    class_patients: tuple[int, int] | None = None,
    beyond: tuple[float, ...] = _BEYOND,
) -> ClaimPlan:
    """Plan a claim about an area under the ROC curve, for true areas ``beyond`` the bound on the claim's side.

    ``class_patients`` are the patients at hand with a positive study and with a negative: a larger cohort is taken to
    have them in the same proportion; equal classes unless given.

    Raises:
        ValueError: the bound lies outside 0 and 1.
    """
    if not 0 <= claim.bound <= 1:
        raise ValueError(f"bound lies within 0 and 1, not {claim.bound:g}")
    sign = 1 if claim.side == "at_least" else -1
    truths = [(distance, claim.bound + sign * distance) for distance in beyond]
    smaller = None if class_patients is None else min(class_patients)
    ratio = max(class_patients) / smaller if class_patients and smaller else 1.0
    best = None if smaller is None else best_reachable(smaller, claim.confidence)
    return ClaimPlan(
        claim=claim,
        spread=None,
        n_patients=smaller,
        smallest_cohort=smallest_cohort(_upward(claim).bound, claim.confidence),
        best_reachable=best if best is None or sign > 0 else 1 - best,
        needed=tuple((distance, _class_needed(claim, truth, ratio)) for distance, truth in truths),
        power=tuple(
            (distance, area_power(smaller, round(ratio * smaller), claim, truth) if smaller and 0 < truth < 1 else None)
            for distance, truth in truths
        ),
    )


def patients_needed(claim: Claim, truth: float, spread: float | None = None) -> int | None:
    """Return the number of patients from which on the claim is MET with a power of 0.8 at the true mean ``truth``.

    Scores lie within 0 and 1. Without a ``spread`` they are 0 and 1 and the number is exact; with one it is simulated,
    to about a tenth.
    """
    if not _possible(truth, spread):
        return None
    if spread is None:
        return _first_lasting(claim, truth)
    sizes = np.unique(np.ceil(_GROWTH ** np.arange(1, math.log(LARGEST) / math.log(_GROWTH)))).astype(int)
    return _first_enough(sizes, lambda size: spread_power(size, claim, truth, spread) >= POWER)


def rate_power(patients: int | NDArray[np.int64], claim: Claim, truth: float) -> Floats:
    """Return the probability that scores of 0 and 1 with the mean ``truth`` show the claim: exact.

    ``patients`` is a number or (sizes,); so is what is returned.
    """
    claim, truth = _turned(claim, truth)
    alpha = claim.alpha * (1 + 1e-9)
    most_that_fails = binom.isf(alpha, patients, claim.bound)
    return np.asarray(binom.sf(most_that_fails, patients, truth), dtype=np.float64)


def spread_power(
    patients: int, claim: Claim, truth: float, spread: float, *, replicates: int = _REPLICATES, seed: int = _SEED
) -> float:
    """Return the probability that scores of a beta law of mean ``truth`` and a ``spread`` show the claim: simulated.

    Raises:
        ValueError: no law on [0, 1] has that mean and spread.
    """
    if not _possible(truth, spread):
        raise ValueError(f"no scores within 0 and 1 have the mean {truth:g} and the standard deviation {spread:g}")
    claim, truth = _turned(claim, truth)
    size = truth * (1 - truth) / spread**2 - 1
    generator = np.random.Generator(np.random.PCG64(seed))
    scores = beta(truth * size, (1 - truth) * size).rvs((replicates, patients), random_state=generator)
    return float(np.mean([reaches(p, claim.alpha) for p in p_low_of_cohorts(scores, claim.bound)]))


def area_power(
    smaller: int, larger: int, claim: Claim, truth: float, *, replicates: int = _AREA_REPLICATES, seed: int = _SEED
) -> float:
    """Return the probability that two normal classes of equal spread with the area ``truth`` show the claim: simulated.

    Classes of ``smaller`` and ``larger`` patients, one study each. 100 replicates: within about 0.08.
    """
    claim, truth = _turned(claim, truth)
    generator = np.random.Generator(np.random.PCG64(seed))
    positive = np.arange(smaller + larger) < smaller
    names = [f"{number:06d}" for number in range(smaller + larger)]
    shown = 0
    for _ in range(replicates):
        scores = generator.normal(size=smaller + larger) + positive * math.sqrt(2) * norm.ppf(truth)
        drawn = area_draws(area_cohort(scores.tolist(), positive.tolist(), names), draws=_AREA_DRAWS)
        shown += reaches(drawn.p_low(claim.bound), claim.alpha)
    return shown / replicates


def shown_with_power(patients: int, truth: float, confidence: float, *, power: float = POWER) -> float:
    """Return the largest bound of ``at_least`` that scores of 0 and 1 with the mean ``truth`` show with this power."""
    hits = int(binom.isf(power, patients, truth))
    hits += int(binom.sf(hits, patients, truth) >= power)
    hits = max(hits, 0)
    alpha = Claim("at_least", 0.5, confidence).alpha
    return float(beta.ppf(alpha, hits, patients - hits + 1)) if hits else 0.0


def _power(patients: int | None, claim: Claim, truth: float, spread: float | None) -> float | None:
    if patients is None or not _possible(truth, spread):
        return None
    return float(rate_power(patients, claim, truth)) if spread is None else spread_power(patients, claim, truth, spread)


def _class_needed(claim: Claim, truth: float, ratio: float) -> int | None:
    """Return the patients of the smaller class, to about a fifth; None when more than ``_LARGEST_CLASS``."""
    if not 0 < truth < 1:
        return None
    fewest = smallest_cohort(_upward(claim).bound, claim.confidence) or _LARGEST_CLASS
    near = 0.7 * max(fewest, _class_by_variance(claim, truth, ratio))
    if near > _LARGEST_CLASS:
        return None
    sizes = np.unique(np.ceil(near * _GROWTH ** np.arange(21))).astype(int)
    size = _first_enough(sizes, lambda size: area_power(size, round(ratio * size), claim, truth) >= POWER)
    return size if size is None or size <= _LARGEST_CLASS else None


def _class_by_variance(claim: Claim, truth: float, ratio: float) -> float:
    """Return the patients of the smaller class by the usual approximation, from which the search starts."""
    spread = math.sqrt(_area_variance(claim.bound, ratio)) * float(norm.isf(claim.alpha))
    spread += math.sqrt(_area_variance(truth, ratio)) * float(norm.ppf(POWER))
    return float((spread / (truth - claim.bound)) ** 2)


def _area_variance(area: float, ratio: float) -> float:
    """Return an area's variance times the patients of the smaller class (Hanley and McNeil 1982, large classes)."""
    of_positive, of_negative = area / (2 - area) - area**2, 2 * area**2 / (1 + area) - area**2
    return of_positive + of_negative / ratio


def _first_lasting(claim: Claim, truth: float) -> int | None:
    """Return the first size that has the power, and the next ten with it."""
    start = 1
    while start <= LARGEST:
        sizes = np.arange(start, 2 * start + 4 * _LASTING)
        enough = rate_power(sizes, claim, truth) >= POWER
        lasting = np.lib.stride_tricks.sliding_window_view(enough, _LASTING + 1).all(axis=1)
        if lasting.any():
            size = int(sizes[np.argmax(lasting)])
            return size if size <= LARGEST else None
        start = int(sizes[-_LASTING])
    return None


def _first_enough(sizes: NDArray[np.int64], enough: Callable[[int], bool]) -> int | None:
    low, high = 0, len(sizes)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(int(sizes[middle])) else (middle + 1, high)
    return int(sizes[low]) if low < len(sizes) else None


def _possible(truth: float, spread: float | None) -> bool:
    """Whether scores within 0 and 1 can have this mean and standard deviation."""
    if spread is None:
        return 0 <= truth <= 1
    if not spread > 0:
        raise ValueError(f"spread is a positive standard deviation, not {spread}")
    return 0 < truth < 1 and spread**2 < truth * (1 - truth)


def _upward(claim: Claim) -> Claim:
    """Return the claim about 1 - score when it says ``at_most``."""
    return claim if claim.side == "at_least" else replace(claim, side="at_least", bound=1 - claim.bound)


def _turned(claim: Claim, truth: float) -> tuple[Claim, float]:
    return (claim, truth) if claim.side == "at_least" else (_upward(claim), 1 - truth)
