"""Scores by the lesions' size, number and form: strata that the masks alone make, and trends over patients."""

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from pipeline.evidence.cohort.bootstrap import MINIMUM_PATIENTS
from pipeline.evidence.cohort.estimating import Bootstrap
from pipeline.evidence.cohort.measures import MetricScale, of_map
from pipeline.evidence.cohort.summary import mean_estimate
from pipeline.evidence.columns.grouped import Groups, group_means
from pipeline.evidence.columns.unit_table import UnitTable
from pipeline.evidence.ranks import mean_ranks
from pipeline.findings.estimates import Estimate
from pipeline.findings.localisation.lesions import LesionStrata, LesionTrend, MaskShape
from pipeline.findings.study_audit import StudyAudit
from pipeline.vocabulary import BASELINES, CONSENSUS, LESION_FEATURES, LESION_STRATA, LesionFeature, LesionStratum

__all__ = ["LesionCohort", "LesionFeatures", "LesionRows", "lesion_cohort", "lesion_estimates", "lesion_trends"]

INTERVAL: Final = "Fisher's z with the variance of Bonett and Wright (2000), over patients"
_UNITS: Final[Mapping[LesionFeature, str]] = {
    "image_share": "1",
    "lesions": "1",
    "elongation": "1",
    "irregularity": "1",
}
_DIGITS: Final = 6  # that equal masks on grids whose affines were stored in float32 share
_THIRDS: Final[tuple[LesionStratum, ...]] = ("lowest", "middle", "highest")

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LesionFeatures:
    """Of one label, (studies,) numbers of studies, rising, and their lesions' features: the means over the readers."""

    studies: NDArray[np.intp]
    values: Mapping[LesionFeature, Floats]

    def of(self, feature: LesionFeature, studies: NDArray[np.integer]) -> Floats:
        """Return the feature of some studies; NaN where there is none."""
        values = np.full(len(studies), np.nan)
        if feature in self.values:
            places = np.minimum(np.searchsorted(self.studies, studies), len(self.studies) - 1)
            known = self.studies[places] == studies
            values[known] = self.values[feature][places[known]]
        return values


@dataclass(frozen=True)
class LesionCohort:
    """A cohort's lesions: features of each study and label, and where its masks part them."""

    features: Mapping[str, LesionFeatures]
    strata: tuple[LesionStrata, ...]

    def of(self, part: LesionStrata, units: UnitTable) -> Floats:
        """Return a feature of the lesions of units' own targets; NaN of a unit that a part of strata is not about."""
        values = np.full(len(units), np.nan)
        for label, features in self.features.items():
            own = units.is_of_target(label) if part.label in (None, label) else np.zeros(len(units), dtype=bool)
            values[own] = features.of(part.feature, units.study[own])
        return values

    def by_size(self, label: str) -> Mapping[str, NDArray[np.intp]]:
        """Return the numbers of a label's studies by the group that their lesions' size puts them in.

        Sizes are shares of the image where no physical size is known; nothing where all are of one group.
        """
        own = [part for part in self.strata if part.label in (None, label) and part.feature in ("size", "image_share")]
        features = self.features.get(label)
        if not own or features is None:
            return {}
        part = max(own, key=lambda part: part.feature == "size")
        numbers = _stratum(features.values[part.feature], part.cuts)
        groups = {group_name(part.feature, stratum): features.studies[numbers == number]
                  for number, stratum in enumerate(part.studies)}  # fmt: skip
        return groups if all(len(studies) for studies in groups.values()) else {}


def lesion_cohort(audits: Iterable[StudyAudit], labels: Sequence[str]) -> LesionCohort:
    """Return the lesions of every analysed study in which a label is present and marked; no score is looked at.

    A label's size is in mm3 (2D: mm2) where each of its masks has a physical size and the same number of axes; else it
    has no size, only its share of the image.
    """
    rows = LesionRows.about(labels)
    for number, audit in enumerate(audits):
        rows.add(number, audit)
    return rows.cohort()


_FEATURES: Final[tuple[LesionFeature, ...]] = get_args(LesionFeature)


@dataclass
class _LesionsOfLabel:
    """A label's studies by number and their features, NaN for a size that is not known; which axes its masks have."""

    studies: "array[int]" = field(default_factory=lambda: array("i"))
    values: "array[float]" = field(default_factory=lambda: array("d"))
    axes: set[int] = field(default_factory=set)
    is_sized: bool = True

    def put(self, study: int, shapes: Sequence[MaskShape]) -> None:
        """Add a study with the masks that decide."""
        sized = all(shape.size is not None for shape in shapes)
        self.studies.append(study)
        self.values.extend(nan if name == "size" and not sized else _mean(shapes, name) for name in _FEATURES)
        self.axes |= {shape.axes for shape in shapes}
        self.is_sized &= sized

    def features(self) -> LesionFeatures:
        """Return the columns; without a size unless each mask has one in the same unit."""
        table = np.array(self.values, dtype=np.float64).reshape(-1, len(_FEATURES))
        columns = {name: table[:, place] for place, name in enumerate(_FEATURES)}
        if len(self.axes) != 1 or not self.is_sized:
            columns.pop("size")
        return LesionFeatures(np.array(self.studies, dtype=np.intp), columns)


@dataclass(frozen=True)
class LesionRows:
    """A cohort's lesions by label, gathered study by study."""

    by_label: Mapping[str, _LesionsOfLabel]

    @classmethod
    def about(cls, labels: Iterable[str]) -> "LesionRows":
        """Return what gathers the lesions of some labels."""
        return cls({label: _LesionsOfLabel() for label in labels})

    def add(self, study: int, audit: StudyAudit) -> None:
        """Add a study by its number."""
        for label, own in self.by_label.items():
            if label in (audit.reference or ()) and (shapes := _decisive(audit.mask_shapes, label)):
                own.put(study, shapes)

    def cohort(self) -> LesionCohort:
        """Return the lesions of all that was added."""
        features = {label: own.features() for label, own in self.by_label.items() if own.studies}
        parts = (
            _strata(feature, label, own, unit=_UNITS.get(feature, "mm3" if self.by_label[label].axes == {3} else "mm2"))
            for label, own in features.items()
            for feature in LESION_FEATURES
        )
        several = len(self.by_label) > 1
        return LesionCohort(
            features,
            tuple(part if several else part.model_copy(update={"label": None}) for part in parts if part is not None),
        )


def _decisive(shapes: Iterable[MaskShape], label: str) -> list[MaskShape]:
    """Return the masks of a label that are not empty: of the readers' consensus where there is one."""
    marked = [shape for shape in shapes if shape.label == label and shape.lesions]
    return [shape for shape in marked if shape.reader.startswith(CONSENSUS)] or marked


def _mean(shapes: Sequence[MaskShape], name: LesionFeature) -> float:
    return float(f"{float(np.mean([getattr(shape, name) for shape in shapes])):.{_DIGITS}g}")


def _strata(feature: LesionFeature, label: str, features: LesionFeatures, *, unit: str) -> LesionStrata | None:
    values = features.values.get(feature)
    if values is None:
        return None
    cuts = (1.0,) if feature == "lesions" else tuple(np.quantile(values, [1 / 3, 2 / 3]).tolist())
    names: tuple[LesionStratum, ...] = ("single", "several") if feature == "lesions" else _THIRDS
    counts = np.bincount(_stratum(values, cuts), minlength=len(names)).tolist()
    return LesionStrata(
        label=label, feature=feature, unit=unit, cuts=cuts, studies=dict(zip(names, counts, strict=True))
    )


def _stratum(values: Floats, cuts: Sequence[float]) -> NDArray[np.intp]:
    """Return the number of each value's stratum: how many of the cuts it exceeds."""
    numbers = np.zeros(len(values), dtype=np.intp)
    for cut in cuts:
        numbers += values > cut
    return numbers


def lesion_estimates(
    units: UnitTable, scales: Sequence[MetricScale], cohort: LesionCohort, bootstrap: Bootstrap
) -> tuple[Estimate, ...]:
    """Return every real map's every metric in each stratum of the lesions, among the reference-positive units.

    Where there are several labels a study is of the stratum that its label's own masks make. A feature by which all
    studies are of one stratum has no estimates.
    """
    groups: dict[tuple[LesionFeature, LesionStratum], list[UnitTable]] = defaultdict(list)
    for part in cohort.strata:
        values = cohort.of(part, units)
        numbers = np.where(np.isnan(values), -1, _stratum(values, part.cuts))
        for number, stratum in enumerate(part.studies):
            if (numbers == number).any():
                groups[part.feature, stratum].append(units.where(numbers == number))
    names = _map_names(units)
    parted = Counter(feature for feature, _ in groups)  # a feature that parts nothing would repeat the whole
    ordered = [(name, stratum) for name in LESION_FEATURES if parted[name] > 1 for stratum in LESION_STRATA]
    return tuple(
        mean_estimate(units.joined(groups[key]), scale, name, "reference_positive", bootstrap, group_name(*key))
        for key in ordered
        if groups.get(key)
        for name in names
        for scale in scales
    )


def group_name(feature: LesionFeature, stratum: LesionStratum) -> str:
    """Return what a stratum of lesions is called among the subgroups; no column of a manifest is called so."""
    return f"{LESION_FEATURES[feature]} (masks)={LESION_STRATA[stratum]}"


def _map_names(units: UnitTable) -> list[str]:
    return [name for name in units.map_names if name not in BASELINES]


def lesion_trends(
    units: UnitTable, scales: Sequence[MetricScale], cohort: LesionCohort, bootstrap: Bootstrap
) -> tuple[LesionTrend, ...]:
    """Return how each real map's metrics go with each feature of the lesions, label by label."""
    positive = units.where(units.positive)
    return tuple(
        _trend(part, (name, scale), positive, cohort.of(part, positive), bootstrap.confidence)
        for part in cohort.strata
        for name in _map_names(units)
        for scale in scales
    )


def _trend(
    part: LesionStrata, of: tuple[str, MetricScale], units: UnitTable, features: Floats, confidence: float
) -> LesionTrend:
    """Return the trend over the units that have a value, the worst one where the map shows nothing."""
    name, scale = of
    scored = of_map(name, scale).score(units)
    both = (scored.codes == 0) & ~np.isnan(features)
    groups = Groups.of(units.patient[both])
    means = group_means(groups.number, groups.count, np.stack([features[both], scored.values[both]], axis=1))
    common = {"method": name, "metric": scale.name, "label": part.label, "feature": part.feature}
    return LesionTrend.model_validate({**common, "patients": len(means), **_correlation(means, confidence)})


def _correlation(means: NDArray[np.float64], confidence: float) -> dict[str, object]:
    """Return Spearman's rank correlation of two columns (patients, 2) and its descriptive interval."""
    nothing = {"rho": None, "confidence": confidence, "interval": "none"}
    if len(means) < MINIMUM_PATIENTS:
        return {**nothing, "reason": f"fewer than {MINIMUM_PATIENTS} patients"}
    if (means == means[0]).all(axis=0).any():
        return {**nothing, "reason": "the feature or the score is the same in every patient"}
    rho = float(np.clip(np.corrcoef(mean_ranks(means[:, 0]), mean_ranks(means[:, 1]))[0, 1], -1, 1))
    if abs(rho) == 1:
        return {**nothing, "rho": rho}
    reach = float(ndtri((1 + confidence) / 2)) * np.sqrt((1 + rho**2 / 2) / (len(means) - 3))
    low, high = (float(np.tanh(np.arctanh(rho) + side * reach)) for side in (-1, 1))
    return {"rho": rho, "low": low, "high": high, "confidence": confidence, "interval": INTERVAL}
