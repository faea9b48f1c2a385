"""What is said of a cohort: a number with its interval, and a criterion's verdict on it."""

from collections.abc import Mapping

from pipeline.findings.frozen_model import FrozenModel
from pipeline.vocabulary import Answer, Stratum

__all__ = ["Agreement", "Estimate", "Verdict"]


class Estimate(FrozenModel):
    """A number about the cohort with its interval.

    ``method`` is a map's name, a baseline's (``random_map``, ``centre_prior``) or ``classifier``. ``group``
    is a subgroup such as ``site=A``. ``value`` is None with a ``reason`` when nothing could be estimated;
    ``low`` and ``high`` are None when there are too few patients for an interval. ``undefined`` counts
    missing scores by reason.
    """

    metric: str
    method: str
    among: Stratum
    group: str | None = None
    value: float | None
    low: float | None = None
    high: float | None = None
    confidence: float
    interval: str
    patients: int
    studies: int
    undefined: Mapping[str, int] = {}
    chance: float | None = None
    reason: str | None = None


class Agreement(FrozenModel):
    """How well two experts agree with each other by the same metric: the ceiling for a map."""

    metric: str
    readers: tuple[str, str]
    estimate: Estimate


class Verdict(FrozenModel):
    """One criterion and its answer, decided on the interval's bound.

    ``rule`` is ``at least 0.7``, ``at most 0.2`` or ``better than centre_prior``; for the last the estimate is the
    difference to that map.
    """

    criterion: str
    metric: str
    method: str
    among: Stratum
    rule: str
    estimate: Estimate
    answer: Answer
    reason: str

    @property
    def better_than(self) -> str | None:
        """The map that the method is held against; the estimate is then a difference, and no value of the metric."""
        said, rule, name = self.rule.partition("better than ")
        return name if rule and not said else None
