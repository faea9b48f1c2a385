"""What a criterion measures of one unit, and on which scale: a score, a difference, or whether something holds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, Self

from pipeline.evidence.cohort.units import Unit
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


@dataclass(frozen=True)
class Measure:
    """``score`` gives a unit's value or the reason why there is none; values lie within ``span``.

    ``shows_nothing`` tells of which units the value is the worst one because a map shows nothing, and by which reason.
    """

    score: Callable[[Unit], float | str]
    span: tuple[float | None, float | None]
    shows_nothing: Callable[[Unit], str | None]


def _nothing(*names: str, metric: str) -> Callable[[Unit], str | None]:
    def reason(unit: Unit) -> str | None:
        scores = (unit.score(name, metric) for name in names)
        return next((score for score in scores if isinstance(score, str) and score in SHOWS_NOTHING), None)

    return reason


def _counted(unit: Unit, name: str, scale: MetricScale) -> float | str:
    """Return a map's score; the worst one where the map shows nothing and there is a worst."""
    score = unit.score(name, scale.name)
    return scale.worst if score in SHOWS_NOTHING and scale.worst is not None else score


def _ranked(unit: Unit, name: str, scale: MetricScale) -> float | str:
    """Return a map's score; where the map shows nothing one that is worse than any, however far that end is."""
    score = unit.score(name, scale.name)
    beyond_all = float("-inf") if scale.better == "higher" else float("inf")
    return beyond_all if score in SHOWS_NOTHING else score


def of_map(name: str, scale: MetricScale, cap: float | None = None) -> Measure:
    """Measure a map's metric itself, or where it has no upper end up to a cap."""
    nothing = _nothing(name, metric=scale.name)
    if cap is None:
        return Measure(lambda unit: _counted(unit, name, scale), scale.span, nothing)
    low = scale.span[0] or 0.0

    def score(unit: Unit) -> float | str:
        value = _ranked(unit, name, scale)
        return value if isinstance(value, str) else max(low, float(capped(value, cap)))

    return Measure(score, (low, cap), nothing)


def of_rank(name: str, scale: MetricScale) -> Measure:
    """Measure a map's metric for what goes by rank: a map that shows nothing is worse than any, without end."""
    return Measure(lambda unit: _ranked(unit, name, scale), (None, None), _nothing(name, metric=scale.name))


def of_pair(first: str, second: str, scale: MetricScale, cap: float | None = None) -> Measure:
    """Measure a map's metric minus another map's, in the metric's unit, with its sign; of either sign up to a cap."""
    scored = _counted if cap is None else _ranked

    def score(unit: Unit) -> float | str:
        return _difference(scored(unit, first, scale), scored(unit, second, scale), cap)

    return Measure(score, _differences(scale, cap), _nothing(first, second, metric=scale.name))


def against_readers(name: str, scale: MetricScale, cap: float | None = None) -> Measure:
    """Measure a map's metric minus the readers' agreement with each other by the same metric; up to a cap."""
    scored = _counted if cap is None else _ranked

    def score(unit: Unit) -> float | str:
        agreement = unit.readers.get(scale.name, "no_pair_of_readers")
        return _difference(scored(unit, name, scale), unit.absent or agreement, cap)

    return Measure(score, _differences(scale, cap), _nothing(name, metric=scale.name))


def win(first: str, second: str, scale: MetricScale) -> Measure:
    """Measure whether a map does better than another: 1, 0.5 for a tie, 0. A map that shows nothing loses to any.

    Study by study: a patient's score is the share of his studies that it wins.
    """
    sign = 1 if scale.better == "higher" else -1

    def score(unit: Unit) -> float | str:
        difference = _difference(_ranked(unit, first, scale), _ranked(unit, second, scale))
        return difference if isinstance(difference, str) else float(won(sign * difference))

    return Measure(score, (0.0, 1.0), _nothing(first, second, metric=scale.name))


def beyond(name: str, scale: MetricScale, bound: float, *, at_least: bool) -> Measure:
    """Measure whether a map's metric is at least, or at most, a bound: 1 or 0; 0 for a map that shows nothing."""
    sign = -1 if at_least else 1

    def score(unit: Unit) -> float | str:
        value = unit.score(name, scale.name)
        if isinstance(value, str):
            return 0.0 if value in SHOWS_NOTHING else value
        return float(within(sign * value, sign * bound))

    return Measure(score, (0.0, 1.0), _nothing(name, metric=scale.name))


def _difference(first: float | str, second: float | str, cap: float | None = None) -> float | str:
    if isinstance(first, str) or isinstance(second, str):
        return first if isinstance(first, str) else str(second)
    difference = 0.0 if first == second else first - second  # two that are worse than any are equal
    return difference if cap is None else float(capped(difference, cap))


def _differences(scale: MetricScale, cap: float | None) -> tuple[float | None, float | None]:
    """Return the smallest and the largest difference that counts."""
    width = scale.width if cap is None else cap
    return (None, None) if width is None else (-width, width)
