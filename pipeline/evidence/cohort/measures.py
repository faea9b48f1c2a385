"""What a criterion measures of one unit, and on which scale: a score, a difference, or whether something holds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pipeline.evidence.cohort.units import Unit
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
    "win",
]

SHOWS_NOTHING: Final = frozenset({"constant_map", "empty_region", "mask_outside_field_of_view"})
"""Reasons for which a map exists and shows nothing of the finding: it counts with the worst score that there is."""

READERS: Final = "readers"
"""What stands for a map's name where the bar is the readers' agreement with each other."""


@dataclass(frozen=True)
class MetricScale:
    """A metric's name, its lowest and highest value (None: open), and which end is the good one."""

    name: str
    span: tuple[float | None, float | None]
    better: Better

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


def of_map(name: str, scale: MetricScale) -> Measure:
    """Measure a map's metric itself."""
    return Measure(lambda unit: _counted(unit, name, scale), scale.span, _nothing(name, metric=scale.name))


def of_pair(first: str, second: str, scale: MetricScale) -> Measure:
    """Measure a map's metric minus another map's, in the metric's unit, with its sign."""

    def score(unit: Unit) -> float | str:
        return _difference(_counted(unit, first, scale), _counted(unit, second, scale))

    return Measure(score, _differences(scale), _nothing(first, second, metric=scale.name))


def against_readers(name: str, scale: MetricScale) -> Measure:
    """Measure a map's metric minus the readers' agreement with each other by the same metric."""

    def score(unit: Unit) -> float | str:
        agreement = unit.readers.get(scale.name, "no_pair_of_readers")
        return _difference(_counted(unit, name, scale), unit.absent or agreement)

    return Measure(score, _differences(scale), _nothing(name, metric=scale.name))


def win(first: str, second: str, scale: MetricScale) -> Measure:
    """Measure whether a map does better than another: 1, 0.5 for a tie, 0. A map that shows nothing loses to any."""
    sign = 1 if scale.better == "higher" else -1

    def rank(score: float | str) -> float | str:
        return float("-inf") if score in SHOWS_NOTHING else score if isinstance(score, str) else sign * score

    def score(unit: Unit) -> float | str:
        mine, other = (rank(unit.score(name, scale.name)) for name in (first, second))
        if isinstance(mine, str) or isinstance(other, str):
            return mine if isinstance(mine, str) else str(other)
        return 0.5 if mine == other else float(mine > other)

    return Measure(score, (0.0, 1.0), _nothing(first, second, metric=scale.name))


def beyond(name: str, scale: MetricScale, bound: float, *, at_least: bool) -> Measure:
    """Measure whether a map's metric is at least, or at most, a bound: 1 or 0; 0 for a map that shows nothing."""

    def score(unit: Unit) -> float | str:
        value = unit.score(name, scale.name)
        if isinstance(value, str):
            return 0.0 if value in SHOWS_NOTHING else value
        return float(value >= bound if at_least else value <= bound)

    return Measure(score, (0.0, 1.0), _nothing(name, metric=scale.name))


def _difference(first: float | str, second: float | str) -> float | str:
    if isinstance(first, str) or isinstance(second, str):
        return first if isinstance(first, str) else str(second)
    return first - second


def _differences(scale: MetricScale) -> tuple[float | None, float | None]:
    return (None, None) if scale.width is None else (-scale.width, scale.width)
