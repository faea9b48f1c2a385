"""What a criterion measures of units, and on which scale: a score, a difference, or whether something holds.

Every measure takes a table of units and returns columns: a value for each unit, or the reason why there is none.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.columns.unit_table import Scored, UnitTable
from pipeline.evidence.exact.measures import capped, within, won
from pipeline.vocabulary import Better

__all__ = [
    "READERS",
    "SHOWS_NOTHING",
    "Measure",
    "MetricScale",
    "against_readers",
    "beyond",
    "of_map",
    "of_pair",
    "of_rank",
    "win",
]

SHOWS_NOTHING: Final = frozenset({"constant_map", "empty_region", "mask_outside_field_of_view"})
"""Reasons for which a map exists and shows nothing of the finding: it counts with the worst score that there is."""

READERS: Final = "readers"
"""What stands for a map's name where the bar is the readers' agreement with each other."""


class DescribedMetric(Protocol):
    """What tells of a metric: its declaration, or a run's record of it."""

    @property
    def name(self) -> str: ...
    @property
    def range(self) -> tuple[float | None, float | None]: ...
    @property
    def better(self) -> Better: ...


@dataclass(frozen=True)
class MetricScale:
    """A metric's name, its lowest and highest value (None: open), and which end is the good one."""

    name: str
    span: tuple[float | None, float | None]
    better: Better

    @classmethod
    def of(cls, metric: DescribedMetric) -> Self:
        """Return a metric's scale."""
        return cls(metric.name, metric.range, metric.better)

    @property
    def worst(self) -> float | None:
        """The worst value; None where that end is open."""
        return self.span[0] if self.better == "higher" else self.span[1]

    @property
    def width(self) -> float | None:
        """How far apart the two ends are; None where one is open."""
        low, high = self.span
        return None if low is None or high is None else high - low


Codes = NDArray[np.uint16]


@dataclass(frozen=True)
class Measure:
    """``score`` gives units' values or the reasons why there are none; values lie within ``span``.

    ``shows_nothing`` gives the reasons, by code, why values are the worst one because a map shows nothing; 0 elsewhere.
    """

    score: Callable[[UnitTable], Scored]
    span: tuple[float | None, float | None]
    shows_nothing: Callable[[UnitTable], Codes]


def _nothing(*names: str, metric: str) -> Callable[[UnitTable], Codes]:
    def reasons(units: UnitTable) -> Codes:
        first = np.zeros(len(units), dtype=np.uint16)
        for name in names:
            scored = units.score(name, metric)
            first = np.where(first == 0, np.where(_shows_nothing(units, scored), scored.codes, np.uint16(0)), first)
        return first

    return reasons


def _shows_nothing(units: UnitTable, scored: Scored) -> NDArray[np.bool_]:
    return np.isin(scored.codes, [code for code, reason in enumerate(units.reasons) if reason in SHOWS_NOTHING])


def _counted(units: UnitTable, name: str, scale: MetricScale) -> Scored:
    """Return a map's scores; the worst one where the map shows nothing and there is a worst."""
    scored = units.score(name, scale.name)
    return scored if scale.worst is None else scored.replaced(_shows_nothing(units, scored), scale.worst)


def _ranked(units: UnitTable, name: str, scale: MetricScale) -> Scored:
    """Return a map's scores; where the map shows nothing one that is worse than any, however far that end is."""
    scored = units.score(name, scale.name)
    beyond_all = float("-inf") if scale.better == "higher" else float("inf")
    return scored.replaced(_shows_nothing(units, scored), beyond_all)


def of_map(name: str, scale: MetricScale, cap: float | None = None) -> Measure:
    """Measure a map's metric itself, or where it has no upper end up to a cap."""
    nothing = _nothing(name, metric=scale.name)
    if cap is None:
        return Measure(lambda units: _counted(units, name, scale), scale.span, nothing)
    low = scale.span[0] or 0.0

    def score(units: UnitTable) -> Scored:
        ranked = _ranked(units, name, scale)
        return Scored(np.maximum(low, capped(ranked.values, cap)), ranked.codes)

    return Measure(score, (low, cap), nothing)


def of_rank(name: str, scale: MetricScale) -> Measure:
    """Measure a map's metric for what goes by rank: a map that shows nothing is worse than any, without end."""
    return Measure(lambda units: _ranked(units, name, scale), (None, None), _nothing(name, metric=scale.name))


def of_pair(first: str, second: str, scale: MetricScale, cap: float | None = None) -> Measure:
    """Measure a map's metric minus another map's, in the metric's unit, with its sign; of either sign up to a cap."""
    scored = _counted if cap is None else _ranked

    def score(units: UnitTable) -> Scored:
        return _difference(scored(units, first, scale), scored(units, second, scale), cap)

    return Measure(score, _differences(scale, cap), _nothing(first, second, metric=scale.name))


def against_readers(name: str, scale: MetricScale, cap: float | None = None) -> Measure:
    """Measure a map's metric minus the readers' agreement with each other by the same metric; up to a cap."""
    scored = _counted if cap is None else _ranked

    def score(units: UnitTable) -> Scored:
        return _difference(scored(units, name, scale), units.agreement(scale.name), cap)

    return Measure(score, _differences(scale, cap), _nothing(name, metric=scale.name))


def win(first: str, second: str, scale: MetricScale) -> Measure:
    """Measure whether a map does better than another: 1, 0.5 for a tie, 0. A map that shows nothing loses to any.

    Study by study: a patient's score is the share of his studies that it wins.
    """
    sign = 1 if scale.better == "higher" else -1

    def score(units: UnitTable) -> Scored:
        difference = _difference(_ranked(units, first, scale), _ranked(units, second, scale))
        return Scored(won(sign * difference.values), difference.codes)

    return Measure(score, (0.0, 1.0), _nothing(first, second, metric=scale.name))


def beyond(name: str, scale: MetricScale, bound: float, *, at_least: bool) -> Measure:
    """Measure whether a map's metric is at least, or at most, a bound: 1 or 0; 0 for a map that shows nothing."""
    sign = -1 if at_least else 1

    def score(units: UnitTable) -> Scored:
        scored = units.score(name, scale.name)
        nothing = _shows_nothing(units, scored)
        holds = np.where(scored.codes == 0, within(sign * scored.values, sign * bound), np.nan)
        return Scored(holds, scored.codes).replaced(nothing, 0.0)

    return Measure(score, (0.0, 1.0), _nothing(name, metric=scale.name))


def _difference(first: Scored, second: Scored, cap: float | None = None) -> Scored:
    """Return differences; where either has no value the reason of the first that has none."""
    with np.errstate(invalid="ignore"):  # two that are worse than any are equal, and infinite
        difference = np.where(first.values == second.values, 0.0, first.values - second.values)
    codes = np.where(first.codes, first.codes, second.codes)
    difference = np.where(codes == 0, difference, np.nan)
    return Scored(difference if cap is None else capped(difference, cap), codes)


def _differences(scale: MetricScale, cap: float | None) -> tuple[float | None, float | None]:
    """Return the smallest and the largest difference that counts."""
    width = scale.width if cap is None else cap
    return (None, None) if width is None else (-width, width)
