"""A cumulative sum that notices when new patients score worse than a reference that was fixed before any of them.

After each run the sum grows by what its new patients fall short of 1, less an allowance for each of them, and never
lies below 0. It alarms at a limit. Let theta be the positive root of E exp(theta (shortfall - allowance)) = 1 where
scores are 0 or 1 with the reference as their mean. The exponential is convex and rises, so the expectation is at most 1
for any scores within 0 and 1 with at least that mean; so with the limit at log(N)/theta an alarm comes after N runs or
more on average while nothing is wrong (Lorden 1971), whatever the scores' law and however many patients a run has.

Of scores of 0 and 1 the sum lives on a lattice, and how long it takes on average is exact: a Markov chain.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from pipeline.findings.plotted.control import MOST_RUNS_TOLD

__all__ = ["DESIGNED_FALL", "Cusum", "average_run_length", "cusum_of"]

DESIGNED_FALL = 0.10
"""The fall for which the allowance is the best one."""
_STEPS = 50
"""The lattice of the allowance, and so of the sum, in parts of a patient."""
_NEGLIGIBLE = 1e-16


@dataclass(frozen=True)
class Cusum:
    """A chart's rule: ``reference`` is the mean that is fine, ``allowance`` what each patient may fall short.

    ``limit`` is where the sum alarms; both are in patients.
    """

    reference: float
    allowance: float
    limit: float

    def after(self, before: float, patients: int, mean: float) -> float:
        """Return the sum after a run with so many new patients of that mean score, from what it was before."""
        return max(0.0, before + patients * (1 - mean - self.allowance))

    def alarms(self, value: float) -> bool:
        """Tell whether the sum has reached its limit."""
        return value >= self.limit - 1e-9


def cusum_of(reference: float, accepted: float) -> Cusum | None:
    """Return the rule that gives one false alarm in ``accepted`` runs at the most, on average.

    None where there is none: any miss contradicts a reference of 1, and nothing falls below one near 0.

    Raises:
        ValueError: the reference is no mean of scores within 0 and 1, or fewer than two runs are accepted.
    """
    if not 0 <= reference <= 1 or not accepted >= 2:
        raise ValueError(f"reference lies within 0 and 1, accepted is 2 or more, not {reference} and {accepted}")
    if reference in (0, 1):
        return None
    short = 1 - reference
    worse = short + min(DESIGNED_FALL, reference / 2)
    fewer, more = math.log(reference / (1 - worse)), math.log(worse / short)
    allowance = math.ceil(_STEPS * fewer / (fewer + more)) / _STEPS
    if not short < allowance < 1:
        return None

    def excess(theta: float) -> float:
        return short * math.expm1(theta * (1 - allowance)) + reference * math.expm1(-theta * allowance)

    theta = float(brentq(excess, 1e-6, -math.log(short) / (1 - allowance)))
    limit = math.ceil(_STEPS * math.log(accepted) / theta) / _STEPS
    return Cusum(reference, allowance, limit)


def average_run_length(rule: Cusum, mean: float, patients: int) -> float:
    """Return after how many runs the sum alarms on average, from 0, where scores are 0 or 1 with that mean.

    Each run has so many new patients. At most ``MOST_RUNS_TOLD``.

    Raises:
        ValueError: the mean lies outside 0 and 1, or a run has no patients.
    """
    if not 0 <= mean <= 1 or patients < 1:
        raise ValueError(f"mean lies within 0 and 1, patients is 1 or more, not {mean} and {patients}")
    from scipy.stats import binom  # takes a third of a second, which only open cohorts are to wait

    states = round(_STEPS * rule.limit)
    start = np.arange(states)
    step = np.zeros((states, states))
    misses = np.arange(patients + 1)
    chances = binom.pmf(misses, patients, 1 - mean)
    for missed in misses[chances > _NEGLIGIBLE]:
        end = np.maximum(start + _STEPS * missed - round(_STEPS * rule.allowance) * patients, 0)
        stays = end < states
        step[start[stays], end[stays]] += chances[missed]
    try:
        length = float(np.linalg.solve(np.eye(states) - step, np.ones(states))[0])
    except np.linalg.LinAlgError:
        return MOST_RUNS_TOLD  # it never alarms
    return length if 1 - 1e-6 <= length <= MOST_RUNS_TOLD else MOST_RUNS_TOLD
