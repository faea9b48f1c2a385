"""P(sum of lam_j E_j < 0) by another way: a race of two queues, exact in fractions, every term positive.

Put the positive coefficients in one queue and the negative ones in another. Each queue works off its coefficients one
after the other, each an exponential time with that coefficient as its mean; the sum is negative when the queue of the
positive ones is done first. Whatever has been worked off, the rest of an exponential time is again exponential: while
the queues are at a and c, the one at a is done first with probability (1/a) / (1/a + 1/c) = c / (a + c).
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import TypeVar

Number = TypeVar("Number", float, Fraction)


def race(lam: Sequence[Number]) -> Number:
    """Return the probability that the sum is negative; at least one coefficient is not 0."""
    positives = [value for value in lam if value > 0]
    negatives = [-value for value in lam if value < 0]
    zero, certain = type(lam[0])(0), type(lam[0])(1)
    # ahead[k]: the probability from here on, k negatives being left
    ahead = [zero] + [certain] * len(negatives)
    for positive in reversed(positives):
        here = [zero]
        for left, negative in enumerate(reversed(negatives), start=1):
            first = negative / (positive + negative)
            here.append(first * ahead[left] + (1 - first) * here[left - 1])
        ahead = here
    return ahead[-1]
