"""A map's region at a fixed grid of thresholds: its voxels in one study, and a metric's course over a cohort."""

from typing import Final

from pipeline.findings.frozen_model import FrozenModel
from pipeline.vocabulary import Stratum

__all__ = ["CURVE_SHARES", "RegionCounts", "ThresholdCurve"]

CURVE_SHARES: Final = tuple(twentieth / 20 for twentieth in range(1, 20))
"""The thresholds of every curve: shares of a map's maximum, 0.05 to 0.95."""


class RegionCounts(FrozenModel):
    """Voxels of a map's region, and those of them that are of the mask, at each of ``CURVE_SHARES``.

    ``mask`` counts the mask's voxels, ``visible`` those of them that the model saw, ``seen`` all that it saw.
    """

    region: tuple[int, ...]
    common: tuple[int, ...]
    mask: int
    visible: int
    seen: int


class ThresholdCurve(FrozenModel):
    """A metric of a map over thresholds, as shares of the map's maximum.

    ``values`` are means over patients of the studies in which the finding ``label`` (None: the only one) is present.
    ``group`` is the subgroup that it is of, None: all. ``low`` and ``high`` are pointwise ends that describe and decide
    nothing, made as ``interval`` says; empty where there are too few patients.
    """

    metric: str
    method: str
    label: str | None
    among: Stratum = "reference_positive"
    group: str | None = None
    shares: tuple[float, ...]
    values: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    confidence: float
    interval: str
    patients: int
    studies: int
