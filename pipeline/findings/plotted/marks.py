"""What the free-response (FROC) curve is drawn from: lesions that marks find, and marks that find none."""

from pipeline.findings.frozen_model import FrozenModel

__all__ = ["FrocCurve", "MarkCounts"]


class MarkCounts(FrozenModel):
    """Of one map against one mask: what its marks find when only those are accepted that rise above a threshold.

    ``found`` lesions of ``lesions``, and ``false`` marks, at each share of the map's maximum in ``CURVE_SHARES``. Marks
    are matched with lesions as by the metric ``lesion_sensitivity``.
    """

    found: tuple[int, ...]
    false: tuple[int, ...]
    lesions: int


class FrocCurve(FrozenModel):
    """Of one map over a cohort, at each threshold: ``sensitivity`` is the share of all lesions that are found,
    ``false_marks`` the mean number of false marks in an image. Images without a lesion count for the second alone.

    ``low`` and ``high`` are pointwise ends of the sensitivity that describe and decide nothing, made as ``interval``
    says; empty where there are too few patients.
    """  # noqa: D205

    method: str
    label: str | None
    thresholds: tuple[float, ...]
    false_marks: tuple[float, ...]
    sensitivity: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    confidence: float
    interval: str
    lesions: int
    images: int
    patients: int
