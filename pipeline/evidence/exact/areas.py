"""The area under the ROC curve: the exact test's idea, carried over to pairs of a positive and a negative study.

Patients get independent exponential weights, which all their studies of both classes share, and one worst-case patient
joins the smaller class: as a positive that scores below every negative, or as a negative above every positive. p_low is
the share of draws whose weighted area lies at or below the bound, with one draw more counted as such a one: so many
draws can show no probability below 1 in as many and one. Each draw's area rises with a positive's score and falls with
a negative's. Where one class is constant this is the exact test of a rate, or more cautious; otherwise its error rates
are measured and not proved.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.exact.claims import Claim, ExactResult, alpha_of, decide, missing_reason

__all__ = [
    "DRAWS",
    "AreaCohort",
    "AreaDraws",
    "area_cohort",
    "area_cohort_from",
    "area_difference",
    "area_draws",
    "judge_area",
]

DRAWS = 10_000
_SEED = 20_261_129
_CHUNK = 2_000_000  # weights of patients and studies that are drawn together
_AT_ONCE = 250_000  # weights of studies that are worked together

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class AreaCohort:
    """Studies with a classifier's score and a reference.

    Attributes:
        scores: (studies,) the classifier's; where ``seen`` is False it says nothing.
        seen: (studies,) whether the study has a score.
        positive: (studies,) the reference.
        patient: (studies,) the number of its patient, in the order of their names.
        share: (studies,) 1 over its patient's number of studies.
        n_patients: all patients.
        class_patients: patients with a positive study, and with a negative.
        n_missing: patients without any score.
    """

    scores: Floats
    seen: Bools
    positive: Bools
    patient: NDArray[np.intp]
    share: Floats
    n_patients: int
    class_patients: tuple[int, int]
    n_missing: int

    @cached_property
    def rising(self) -> NDArray[np.intp]:
        """The studies with a score, from the lowest to the highest."""
        return np.flatnonzero(self.seen)[np.argsort(self.scores[self.seen], kind="stable")]

    @property
    def missing_share(self) -> float:
        """The share of patients' weight that no score fills; 0 for an empty cohort."""
        return float(self.share[~self.seen].sum()) / self.n_patients if self.n_patients else 0.0

    def area(self, weights: Floats) -> float | None:
        """Return the area over the studies with a score, ``weights`` (studies,) each; None without both classes."""
        wins, positives, negatives = _pairs(self, weights[None])
        total = float(positives[0] * negatives[0])
        return float(wins[0]) / total if total else None


@dataclass(frozen=True, eq=False)
class AreaDraws:
    """(classes, draws) areas, sorted: with the worst-case patient in ``low`` and the best-case patient in ``high``.

    There are two rows where both classes are the smaller: the added patient is then tried in each.
    """

    low: Floats
    high: Floats

    def p_low(self, bound: float) -> float:
        """Return the p-value against "the area is at most ``bound``"."""
        return self._share(self.low <= bound)

    def p_high(self, bound: float) -> float:
        """Return the p-value against "the area is at least ``bound``"."""
        return self._share(self.high >= bound)

    def interval(self, alpha: float) -> tuple[float, float]:
        """Return the bounds at which the p-values pass ``alpha``: 0 and 1 where so few draws can show nothing."""
        spared = math.floor(alpha * (self.low.shape[1] + 1) + 1e-6) - 1
        if spared < 0:
            return 0.0, 1.0
        return float(self.low[:, spared].min()), float(self.high[:, -1 - spared].max())

    def _share(self, refuting: Bools) -> float:
        """Return the share of (classes, draws) that refute, one draw more among them, in the worse of the classes."""
        most = int(refuting.sum(axis=1).max())
        return (most + 1) / (int(refuting.shape[1]) + 1)


def area_cohort(scores: Sequence[float | None], positive: Sequence[bool], patients: Sequence[str]) -> AreaCohort:
    """Gather studies by patient, patients in the order of their names.

    Args:
        scores: (studies,) the classifier's, of any scale; None where a study has none.
        positive: (studies,) the reference.
        patients: (studies,) whose study it is.

    Raises:
        ValueError: lengths differ, or a score is not a number.
    """
    if not len(scores) == len(positive) == len(patients):
        lengths = f"{len(scores)}, {len(positive)} and {len(patients)}"
        raise ValueError(f"scores, positive and patients are as many as the studies, not {lengths}")
    values = np.array([0.0 if score is None else score for score in scores], dtype=np.float64)
    if np.isnan(values).any():
        raise ValueError("scores are numbers, or None where a study has none; one is not a number")
    values[[score is None for score in scores]] = np.nan
    _, patient = np.unique(np.array(patients, dtype=str), return_inverse=True)
    return area_cohort_from(values, np.array(positive, dtype=bool), patient)


def area_cohort_from(scores: Floats, positive: Bools, patient: NDArray[np.intp]) -> AreaCohort:
    """Gather studies by patient, as ``area_cohort``, from columns (studies,).

    Args:
        scores: the classifier's, NaN where a study has none.
        positive: the reference.
        patient: the number of each study's patient, from 0 on without a gap.
    """
    sizes, seen = np.bincount(patient), ~np.isnan(scores)
    return AreaCohort(
        scores=np.where(seen, scores, 0.0),
        seen=seen,
        positive=positive,
        patient=patient,
        share=1 / sizes[patient],
        n_patients=len(sizes),
        class_patients=(len(np.unique(patient[positive])), len(np.unique(patient[~positive]))),
        n_missing=len(sizes) - len(np.unique(patient[seen])),
    )


def area_draws(cohort: AreaCohort, *, draws: int = DRAWS, seed: int = _SEED) -> AreaDraws:
    """Draw patients' weights and return the areas; the same seed and cohort give the same.

    Where both classes have as many patients the worst-case patient is tried in each, and the larger p-value counts:
    which class is called positive decides nothing.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    low, high = [], []
    rows = max(1, _CHUNK // max(1, len(cohort.scores) + cohort.n_patients))
    for start in range(0, draws, rows):
        weights = generator.standard_exponential((min(rows, draws - start), cohort.n_patients + 1))
        for some in np.array_split(weights, _parts(len(weights), len(cohort.scores))):
            below, above = _extreme_areas(cohort, some[:, 1:][:, cohort.patient] * cohort.share, some[:, 0])
            low.append(below)
            high.append(above)
    return AreaDraws(np.sort(np.concatenate(low, axis=1), axis=1), np.sort(np.concatenate(high, axis=1), axis=1))


def _parts(rows: int, studies: int) -> int:
    """Return in how many parts (rows, studies) weights are worked: a row alone would be summed in another order."""
    return max(1, min(rows // 2, rows * studies // _AT_ONCE))


def area_difference(
    first: AreaCohort, second: AreaCohort, *, confidence: float = 0.95, draws: int = DRAWS
) -> tuple[float, float, float]:
    """Return the bounds of the first group's area minus the second's, and p against "there is no difference".

    The rule is melded as for means: the lower bound is what the first area with its worst-case patient exceeds the
    second with its best-case patient by, in all but alpha of the draws. The groups share no patient.
    """
    own = area_draws(first, draws=draws)
    rest = area_draws(second, draws=draws, seed=_SEED + 1)
    order = np.random.Generator(np.random.PCG64(_SEED + 2)).permutation(draws)  # the draws are sorted
    low = _melded(own.low, rest.high[:, order])
    high = _melded(own.high, rest.low[:, order])
    spared = int(alpha_of(confidence) * draws + 1e-6)
    above, below = (int(most) for most in ((low <= 0).sum(axis=1).max(), (high >= 0).sum(axis=1).max()))
    p = min(1.0, 2 * (min(above, below) + 1) / (draws + 1))
    return float(low[:, spared].min()), float(high[:, -1 - spared].max()), p


def _melded(own: Floats, rest: Floats) -> Floats:
    """Return (pairs, draws) sorted differences, a row for each class that either added patient joins."""
    return np.sort((own[:, None] - rest[None]).reshape(-1, own.shape[1]), axis=1)


def judge_area(cohort: AreaCohort, claim: Claim, *, draws: int = DRAWS, seed: int = _SEED) -> ExactResult:
    """Answer a claim about the area under the ROC curve.

    Raises:
        ValueError: the claim's bound lies outside 0 and 1.
    """
    if not 0 <= claim.bound <= 1:
        raise ValueError(f"bound lies within 0 and 1, not {claim.bound:g}")
    drawn = area_draws(cohort, draws=draws, seed=seed)
    p_low, p_high = drawn.p_low(claim.bound), drawn.p_high(claim.bound)
    decision, reason = decide(*((p_low, p_high) if claim.side == "at_least" else (p_high, p_low)), claim.alpha)
    missing = missing_reason(cohort.missing_share, claim)
    low, high = drawn.interval(claim.alpha)
    best = claim.alpha ** (1 / min(cohort.class_patients)) if min(cohort.class_patients) else 0.0
    return ExactResult(
        claim=claim,
        decision="INCONCLUSIVE" if missing else decision,
        reason=missing or reason,
        value=cohort.area(cohort.share),
        study_value=cohort.area(np.ones(len(cohort.share))),
        low=low,
        high=high,
        p_low=p_low,
        p_high=p_high,
        n_patients=cohort.n_patients,
        n_studies=len(cohort.scores),
        n_missing=cohort.n_missing,
        missing_share=cohort.missing_share,
        best_reachable=best if claim.side == "at_least" else 1 - best,
    )


def _extreme_areas(cohort: AreaCohort, weights: Floats, extra: Floats) -> tuple[Floats, Floats]:
    """Return (classes, draws) the areas with all missing scores and a patient of weight ``extra`` at worst, and best.

    A row for each class that the patient is added to.
    """
    wins, _, _ = _pairs(cohort, weights)
    positives = (weights * cohort.positive).sum(axis=1)
    negatives = (weights * ~cohort.positive).sum(axis=1)
    seen_positives = (weights * (cohort.positive & cohort.seen)).sum(axis=1)
    best = wins + (positives - seen_positives) * negatives
    best = best + seen_positives * (weights * ~(cohort.positive | cohort.seen)).sum(axis=1)
    in_positives, in_negatives = (positives + extra) * negatives, positives * (negatives + extra)
    of_positives, of_negatives = cohort.class_patients
    # the pairs of the added patient are all lost at the worst and all won at the best
    lows, highs = [], []
    if of_positives <= of_negatives:
        lows.append(_ratio(wins, in_positives, 0.0))
        highs.append(_ratio(best + extra * negatives, in_positives, 1.0))
    if of_negatives <= of_positives:
        lows.append(_ratio(wins, in_negatives, 0.0))
        highs.append(_ratio(best + extra * positives, in_negatives, 1.0))
    return np.stack(lows), np.stack(highs)


def _pairs(cohort: AreaCohort, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Return (draws,) the weight of the pairs won, of the positives and of the negatives, among studies with a score.

    A tie is half a win.
    """
    order = cohort.rising  # sorted once, not for each of some thousand parts of the draws
    positive, values = cohort.positive[order], cohort.scores[order]
    weights = weights[:, order]
    if not len(order):
        nothing = np.zeros(len(weights))
        return nothing, nothing, nothing
    starts = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
    of_positives = np.add.reduceat(weights * positive, starts, axis=1)
    of_negatives = np.add.reduceat(weights * ~positive, starts, axis=1)
    beaten = np.cumsum(of_negatives, axis=1) - of_negatives / 2
    return (of_positives * beaten).sum(axis=1), of_positives.sum(axis=1), of_negatives.sum(axis=1)


def _ratio(part: Floats, whole: Floats, empty: float) -> Floats:
    """Return part / whole, and ``empty`` where a class has no patient."""
    areas: Floats = np.divide(part, whole, out=np.full(len(whole), empty), where=whole > 0)
    return np.clip(areas, 0.0, 1.0)
