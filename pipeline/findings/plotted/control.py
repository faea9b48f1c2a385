"""Whether a cohort that grows still scores as its criterion asks, run by run, and what such a chart can see."""

from typing import Literal

from pipeline.findings.frozen_model import FrozenModel

__all__ = ["Arrivals", "FallDelay", "RunControl"]


class Arrivals(FrozenModel):
    """The ``patients`` with a score whom ``run`` saw first, their mean, and the chart's ``total`` after them."""

    run: str
    patients: int
    value: float
    total: float


class FallDelay(FrozenModel):
    """After how many ``runs`` on average a change for the worse by ``fall`` is seen; None: no score is so bad."""

    fall: float
    runs: float | None


class RunControl(FrozenModel):
    """A cumulative sum over the runs that saw new patients, under one lock, held against its ``limit``.

    ``reference`` is the bound that was locked; scores lie within 0 and 1, and ``side`` tells which is better.
    ``accepted``: at most one false alarm in so many runs, on average, whatever the scores. ``in_control_runs`` and
    ``delays`` are averages for scores of 0 and 1 and ``per_run`` new patients a run, the median of those that came after
    the first run. A patient adds to the total what he falls short of a perfect score, less ``allowance``. ``alarm`` is
    the first run that reached the limit.
    """

    reference: float
    side: Literal["at_least", "at_most"]
    accepted: int
    allowance: float
    limit: float
    per_run: int
    in_control_runs: float
    delays: tuple[FallDelay, ...]
    arrivals: tuple[Arrivals, ...]
    alarm: str | None = None
