"""Studies' scores to patients': the unit that is independent, with what the missing ones could have been.

A patient's score is the mean over his studies. A study without a score counts as the worst against whatever is to be
shown: as the span's low end in ``low`` and as its high end in ``high``. So no reason for going missing, however it
depends on the score, can make a false claim look shown.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["PatientScores", "PatientUnit", "one_study_each", "patient_scores", "scores_by_patient"]

PatientUnit = Literal["patient", "study"]
"""What the estimate is a mean over: patients alike, or studies, where a patient weighs as many as he has."""

_ROUNDING = 1e-9
"""What a mean of scores at an end may lie beyond it, in shares of the span: it counts as the end."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PatientScores:
    """A cohort's scores by patient, in the order in which the patients first appear.

    Attributes:
        low: (patients,) the smallest that each patient's mean can be, his missing studies being what they may.
        high: (patients,) the largest.
        weights: (patients,) what each weighs in the estimate: 1, or his studies.
        heaviest: what the worst-case patient weighs: the largest weight, or the locked cap on it.
        span: the ends between which every score lies by definition.
        value: the mean over patients of their studies with a score; None without any.
        study_value: the mean over studies with a score; None without any.
        n_studies: all studies, with a score or not.
        n_missing: patients without any score.
    """

    low: Floats
    high: Floats
    weights: Floats
    heaviest: float
    span: tuple[float, float]
    value: float | None
    study_value: float | None
    n_studies: int
    n_missing: int

    @property
    def n_patients(self) -> int:
        """All patients, with a score or not."""
        return len(self.low)

    @property
    def missing_share(self) -> float:
        """The share of the estimate's weight that no score fills; 0 for an empty cohort."""
        total = float(self.weights.sum())
        width = self.span[1] - self.span[0]
        return float((self.weights * (self.high - self.low)).sum()) / width / total if total else 0.0

    def unit_low(self) -> Floats:
        """Return ``low`` on a span of 0 to 1."""
        return _to_unit(self.low, self.span)

    def unit_high(self) -> Floats:
        """Return ``high`` on a span of 0 to 1."""
        return _to_unit(self.high, self.span)


def patient_scores(
    values: Sequence[float | None],
    patients: Sequence[str],
    *,
    unit: PatientUnit = "patient",
    span: tuple[float, float] = (0.0, 1.0),
    size_cap: int | None = None,
) -> PatientScores:
    """Gather studies' scores by patient.

    Args:
        values: (studies,) each study's score within ``span``; None where it has none.
        patients: (studies,) whose study it is.
        unit: what the estimate is a mean over.
        span: the ends between which a score lies by definition; (-1, 1) for differences of scores in [0, 1].
        size_cap: with ``unit="study"``, the locked largest number of studies that a patient of the population may
            have. Without it the cohort's own largest stands in, which is valid only if the number of studies says
            nothing about the score.

    Raises:
        ValueError: lengths differ, a value lies outside the span, or a patient has more studies than the cap.
    """
    if len(values) != len(patients):
        raise ValueError(f"values and patients are as many as the studies, not {len(values)} and {len(patients)}")
    for number, value in enumerate(values):
        if value is not None and math.isnan(value):
            raise ValueError(f"values[{number}] is None where a score is undefined, not {value}")
    numbers: dict[str, int] = {}
    index = np.array([numbers.setdefault(patient, len(numbers)) for patient in patients], dtype=np.intp)
    known = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    return scores_by_patient(known, index, unit=unit, span=span, size_cap=size_cap)


def scores_by_patient(
    values: Floats,
    index: NDArray[np.intp],
    *,
    unit: PatientUnit = "patient",
    span: tuple[float, float] = (0.0, 1.0),
    size_cap: int | None = None,
) -> PatientScores:
    """Gather studies' scores by patient; as ``patient_scores``, from columns.

    Args:
        values: (studies,) each study's score within ``span``; NaN where it has none.
        index: (studies,) the number of its patient, from 0 on without a gap.
        unit: as above.
        span: as above.
        size_cap: as above.

    Raises:
        ValueError: as above.
    """
    if unit not in ("patient", "study"):
        raise ValueError(f"unit is patient or study, not {unit!r}")
    bottom, top = span
    _check_values(values, span)
    seen = ~np.isnan(values)
    filled = np.where(seen, np.clip(values, bottom, top), 0.0)
    sizes = np.bincount(index).astype(np.float64)
    scored = np.bincount(index, weights=seen)
    sums = np.bincount(index, weights=filled)
    weights = sizes if unit == "study" else np.ones(len(sizes))
    return PatientScores(
        low=np.clip((sums + bottom * (sizes - scored)) / sizes, bottom, top),
        high=np.clip((sums + top * (sizes - scored)) / sizes, bottom, top),
        weights=weights,
        heaviest=_heaviest(weights, size_cap if unit == "study" else None),
        span=span,
        value=float((sums[scored > 0] / scored[scored > 0]).mean()) if scored.any() else None,
        study_value=float(filled[seen].mean()) if seen.any() else None,
        n_studies=len(values),
        n_missing=int((scored == 0).sum()),
    )


def one_study_each(
    values: Sequence[float | None], *, missing: int = 0, span: tuple[float, float] = (0.0, 1.0)
) -> PatientScores:
    """Gather scores of which each is a patient's own; ``missing`` patients more have none."""
    every = [*values, *[None] * missing]
    return patient_scores(every, [str(number) for number in range(len(every))], span=span)


def _check_values(values: Floats, span: tuple[float, float]) -> None:
    if not -math.inf < span[0] < span[1] < math.inf:
        raise ValueError(f"span goes from its lower end to its higher, not {span}")
    slack = _ROUNDING * (span[1] - span[0])
    outside = np.flatnonzero((values < span[0] - slack) | (values > span[1] + slack))
    if len(outside):
        number = int(outside[0])
        raise ValueError(f"values[{number}] is within {span[0]:g} and {span[1]:g}, not {values[number]}")


def _heaviest(weights: Floats, size_cap: int | None) -> float:
    largest = float(weights.max(initial=1.0))
    if size_cap is not None and largest > size_cap:
        raise ValueError(f"size_cap is at least every patient's number of studies ({largest:g}), not {size_cap}")
    return largest if size_cap is None else float(size_cap)


def _to_unit(values: Floats, span: tuple[float, float]) -> Floats:
    return np.clip((values - span[0]) / (span[1] - span[0]), 0.0, 1.0)
