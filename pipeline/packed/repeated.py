"""Which of many numbers come more than once, without a set of all."""

from array import array
from collections.abc import Iterable
from itertools import pairwise

__all__ = ["repeated"]


def repeated(numbers: Iterable[int]) -> frozenset[int]:
    """Return the numbers (64 bits) that come more than once: of hashes, those whose items are to be looked at."""
    ordered = sorted(array("q", numbers))
    return frozenset(number for number, following in pairwise(ordered) if number == following)
