"""What is said of a cohort: a number with its interval, and a criterion's verdict on it."""

from collections.abc import Mapping
from typing import Literal

from pipeline.findings.frozen_model import FrozenModel
from pipeline.findings.plotted.control import RunControl
from pipeline.vocabulary import Answer, Check, ConfusionCell, SamplingUnit, Stratum, TargetRole

__all__ = ["Agreement", "DescriptiveInterval", "Estimate", "LabelVerdict", "Verdict"]


class DescriptiveInterval(FrozenModel):
    """An interval that describes and decides nothing: its coverage holds in large cohorts only. ``how`` names it."""

    low: float
    high: float
    how: str


class Estimate(FrozenModel):
    """A number about the cohort with its interval.

    ``method`` is a map's name, a baseline's (``random_map``, ``centre_prior``) or ``classifier``. ``group`` is a
    subgroup such as ``site=A`` or ``label=nodule``; ``among`` a stratum or a cell of the confusion matrix, and
    ``target_role`` whose map it is about, the reference's label's or the answered one's.

    ``value`` is the mean over the ``unit``, ``per_study`` and
    ``per_patient`` are both means; it is None with a ``reason`` when nothing could be estimated.

    ``low`` and ``high`` are the bounds that verdicts follow from, with ``interval`` as their name. They hold whatever
    the scores of the ``missing`` patients and studies would have been; they are None where a metric has no end on
    either side. A map that shows nothing counts with the worst score: ``complete_case`` is the mean without such maps.
    ``undefined`` counts scores that are missing, or that were counted so, by reason.
    """

    metric: str
    method: str
    among: Stratum | ConfusionCell
    target_role: TargetRole = "reference"
    group: str | None = None
    unit: SamplingUnit = "patient"
    value: float | None
    per_study: float | None = None
    per_patient: float | None = None
    complete_case: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float
    interval: str
    described: DescriptiveInterval | None = None
    patients: int
    studies: int
    missing_patients: int = 0
    missing_studies: int = 0
    undefined: Mapping[str, int] = {}
    chance: float | None = None
    reason: str | None = None


class Agreement(FrozenModel):
    """How well two experts agree with each other by the same metric: the ceiling for a map."""

    metric: str
    readers: tuple[str, str]
    estimate: Estimate


class LabelVerdict(FrozenModel):
    """A criterion's answer for one label (None: all of them together) against one map (None: against a number).

    ``p_met`` is the probability of data at least as good if the claim were just wrong, ``p_not_met`` that of data at
    least as bad if it were just right. The claim is MET where ``p_met`` is at most the verdict's ``alpha``. ``control``
    is the chart of a growing cohort's runs, None where there is none.
    """

    label: str | None
    against: str | None = None
    estimate: Estimate
    answer: Answer
    reason: str
    p_met: float | None = None
    p_not_met: float | None = None
    best_reachable: float | None = None
    control: RunControl | None = None


class Verdict(FrozenModel):
    """One criterion and its answer: that of the worst of its parts, whose estimate stands here.

    ``bound`` is the number that the estimate is held against, on the estimate's scale, and ``side`` how: a ``within``
    of 0.1 asks for -0.1 to 0.1.

    ``rule`` is ``at least 0.7``, ``at most 0.2``, ``better than centre_prior`` or the like; where the rule names
    another map (``against``) the estimate is the difference to it. ``best_reachable`` is the bound that a cohort of
    this size could show with perfect scores, ``smallest_cohort`` the fewest patients with which the criterion can be
    MET at all.

    ``check`` names the check of an experiment where the criterion asks for one: its bound is fixed, ``estimate`` is its
    figure and has no interval, and there are no p-values. ``struck``: the map that it is about fails such a check, so
    what holds of it is not MET. ``control`` is the chart over the runs of a growing cohort, of a criterion without parts.
    """

    criterion: str
    metric: str
    method: str
    among: Stratum | ConfusionCell
    target_role: TargetRole = "reference"
    rule: str
    side: Literal["at_least", "at_most", "within"] | None = None
    bound: float | None = None
    unit: SamplingUnit = "patient"
    label: str | None = None
    against: str | None = None
    estimate: Estimate
    answer: Answer
    reason: str
    alpha: float
    p_met: float | None = None
    p_not_met: float | None = None
    best_reachable: float | None = None
    smallest_cohort: int | None = None
    any_of: str | None = None
    parts: tuple[LabelVerdict, ...] = ()
    check: Check | None = None
    struck: bool = False
    control: RunControl | None = None
