"""How numbers are written: here, and nowhere else."""

import math
from datetime import UTC, datetime

from pipeline.errors import OutputError
from pipeline.findings.estimates import Estimate
from reports.page.text import DASH

__all__ = [
    "MARK",
    "bounds",
    "count",
    "ends",
    "estimate",
    "limits",
    "moment",
    "number",
    "plural",
    "raw",
    "share",
    "when",
]


MARK = "\u2020"
"""Stands behind an interval that describes and decides nothing."""


def _digits(*values: float | None) -> int:
    """Return the decimals that show the largest of the values with two or three significant digits."""
    largest = max((abs(value) for value in values if value is not None), default=0.0)
    if largest >= 100:
        return 0
    if largest >= 10:
        return 1
    return 2 if largest >= 0.1 or largest == 0 else min(4, 1 - math.floor(math.log10(largest)))


_SMALLEST = 0.001
"""Of what is smaller, it is said that it is: its digits would claim a precision that no cohort gives."""


def number(value: float | None, *, like: tuple[float | None, ...] = (), more: int = 0) -> str:
    """Return a number, or a dash for None; ``like`` are numbers beside it, ``more`` is extra decimals.

    What would need more than four decimals is ``< 0.001``.
    """
    if value is None:
        return DASH
    digits = _digits(value, *like) + more
    if 0 < abs(value) < _SMALLEST and digits > 3:
        return f"< {_SMALLEST}" if value > 0 else f"> \u2212{_SMALLEST}"
    text = f"{abs(value):,.{digits}f}"
    return f"\u2212{text}" if value < 0 and any(digit in text for digit in "123456789") else text


def raw(value: float) -> str:
    """Return a value of a map or an image with three significant digits, whatever its size: ``3.71e-05``."""
    text = f"{abs(value):.0f}" if 100 <= abs(value) < 1e6 else f"{abs(value):.3g}"
    return f"\u2212{text}" if value < 0 and any(digit in text for digit in "123456789") else text


def limits(statistic: Estimate) -> tuple[float | None, ...]:
    """Return an estimate's numbers, for printing others ``like`` them."""
    return statistic.value, *ends(statistic)


def ends(statistic: Estimate) -> tuple[float | None, float | None]:
    """Return the ends of the interval that is shown: the one that decides, else the one that describes."""
    if statistic.low is None and statistic.described is not None:
        return statistic.described.low, statistic.described.high
    return statistic.low, statistic.high


def estimate(statistic: Estimate, *, more: int = 0) -> str:
    """Return ``0.62 [0.48, 0.75]``, ``0.62`` when there is no interval, or a dash."""
    value = number(statistic.value, like=limits(statistic), more=more)
    interval = bounds(statistic, more=more)
    return value if interval == DASH else f"{value} {interval}"


def bounds(statistic: Estimate, *, like: tuple[float | None, ...] = (), more: int = 0) -> str:
    """Return ``[0.48, 0.75]``, or a dash when there is no interval; marked where it only describes."""
    low, high = ends(statistic)
    if low is None or high is None:
        return DASH
    like = (*limits(statistic), *like)
    mark = MARK if statistic.low is None else ""
    return f"[{number(low, like=like, more=more)}, {number(high, like=like, more=more)}]{mark}"


def share(value: float) -> str:
    """Return 0.95 as ``95 %``."""
    return f"{100 * value:.4g} %"


def count(value: int) -> str:
    """Return a count with separators: ``12,345``."""
    return f"{value:,}"


def plural(value: int, noun: str, many: str | None = None) -> str:
    """Return ``1 study`` or ``2 studies``."""
    return f"{count(value)} {noun if value == 1 else (many or noun + 's')}"


def when(text: str) -> datetime:
    """Return the time that an ISO 8601 text names, in UTC; without a zone it is taken as UTC.

    Raises:
        OutputError: when it is no such text.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise OutputError(f"results.json: {text!r:.60} is not an ISO 8601 time; run the audit again") from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def moment(text: str | None) -> str:
    """Return a time as people read it, ``2026-11-21 14:05 UTC``, or a dash for None."""
    return DASH if text is None else f"{when(text):%Y-%m-%d %H:%M} UTC"
