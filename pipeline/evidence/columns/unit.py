"""A study and a target with its scores, and to which strata it belongs."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from pipeline.vocabulary import Stratum, TargetRole

__all__ = ["NOT_ANALYSED", "NOT_EXPLAINED", "NOT_READ", "TUNING_PATIENT", "Unit", "in_stratum"]

NOT_ANALYSED: Final = "not_analysed"
"""Why a unit of a study that was excluded or failed has no score."""

NOT_READ: Final = "not_read"
"""Why a unit has no score against a reader's mask who did not read the study."""

NOT_EXPLAINED: Final = "no_map"
"""Why a unit has no score whose target was not explained."""

TUNING_PATIENT: Final = "tuning_patient"
"""Why a metric of the region has no score in a patient on whom the threshold was tuned: he counts in none of them."""


@dataclass(frozen=True)
class Unit:
    """A study and a target with its scores.

    ``scores`` goes from (map, metric) to a value or a reason, ``chances`` to the level of chance where there is one,
    ``readers`` from a metric to the mean agreement of the readers with each other. ``predicted`` is None
    where the model was not asked; ``absent`` says why there is no score at all. ``by_reader`` goes from (map, metric)
    to each reader's own value or reason; a consensus is no reader.

    ``role`` says why the target was explained: one that was called wrongly belongs to no stratum. ``reference`` are the
    findings that the reference names, ``called`` the labels that the model calls (None: it was not asked). ``tuned``
    are the metrics that a threshold has a part in which was tuned on this patient.
    """

    study: str
    patient: str
    target: str
    positive: bool
    predicted: bool | None
    strata: Mapping[str, str]
    scores: Mapping[tuple[str, str], float | str]
    chances: Mapping[tuple[str, str], float]
    readers: Mapping[str, float] = field(default_factory=dict)
    absent: str | None = None
    by_reader: Mapping[tuple[str, str], Mapping[str, float | str]] = field(default_factory=dict)
    role: TargetRole = "reference"
    reference: tuple[str, ...] = ()
    called: tuple[str, ...] | None = ()
    tuned: Collection[str] = ()

    def score(self, name: str, metric: str) -> float | str:
        """Return the value of a map's metric, or the reason why there is none."""
        if metric in self.tuned:
            return TUNING_PATIENT
        return self.absent or self.scores.get((name, metric), NOT_EXPLAINED)


def in_stratum(unit: Unit, among: Stratum) -> bool:
    """Tell whether a unit belongs to a stratum; where the model was not asked it may belong to either, and counts.

    A target that was called wrongly belongs to none.
    """
    if unit.role != "reference":
        return False
    return {
        "all": True,
        "reference_positive": unit.positive,
        "true_positive": unit.positive and unit.predicted is not False,
        "false_negative": unit.positive and unit.predicted is not True,
    }[among]
