"""Lesions by size, number and form: one mask's, the strata that a cohort's masks make, and trends over them."""

from collections.abc import Mapping

from pipeline.findings.frozen_model import FrozenModel
from pipeline.vocabulary import LesionFeature, LesionStratum

__all__ = ["LesionStrata", "LesionTrend", "MaskShape"]


class MaskShape(FrozenModel):
    """The lesions of one reader's mask of one label.

    ``image_share`` is the mask's share of the image's voxels, ``size`` its volume in mm3, of a picture (``axes`` 2) its
    area in mm2; None where no physical size is known. ``lesions`` counts its parts. ``elongation`` (1: as wide as
    long) and ``irregularity`` (0: none) are the largest part's; None for an empty mask.
    """

    label: str
    reader: str
    axes: int
    lesions: int
    image_share: float
    size: float | None
    elongation: float | None = None
    irregularity: float | None = None


class LesionStrata(FrozenModel):
    """Where a cohort's masks part the studies of a label (None: the only one) by one feature of their lesions.

    A study with at most the first of ``cuts`` is of the first stratum, and so on; ``studies`` counts them by stratum.
    No score has a part in it.
    """

    label: str | None
    feature: LesionFeature
    unit: str
    cuts: tuple[float, ...]
    studies: Mapping[LesionStratum, int]


class LesionTrend(FrozenModel):
    """Spearman's rank correlation of a map's metric with a feature of the lesions, over patients' means.

    ``low`` and ``high`` describe and decide nothing, made as ``interval`` says; None for few patients. ``rho`` is None
    with a ``reason``.
    """

    metric: str
    method: str
    label: str | None
    feature: LesionFeature
    rho: float | None
    low: float | None = None
    high: float | None = None
    confidence: float
    interval: str
    patients: int
    reason: str | None = None
