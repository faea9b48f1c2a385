"""Sums that every version of Python rounds alike, so that a run verifies on another than the one that made it."""

from collections.abc import Iterable
from functools import reduce
from operator import add

__all__ = ["sum_in_order"]


def sum_in_order(values: Iterable[float]) -> float:
    """Return the sum of numbers added one after the other; ``sum`` carries what rounding loses from 3.12 on."""
    return reduce(add, values, 0.0)
