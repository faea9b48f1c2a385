"""Scores by the lesions' size, number and form: strata that the masks alone make, and trends over patients."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from pipeline.evidence.cohort.bootstrap import MINIMUM_PATIENTS
from pipeline.evidence.cohort.estimating import Bootstrap
from pipeline.evidence.cohort.measures import MetricScale, of_map
from pipeline.evidence.cohort.summary import mean_estimate
from pipeline.evidence.cohort.units import Unit
from pipeline.findings.estimates import Estimate
from pipeline.findings.localisation.lesions import LesionStrata, LesionTrend, MaskShape
from pipeline.findings.study_audit import StudyAudit
from pipeline.studies.consensus import CONSENSUS
from pipeline.vocabulary import BASELINES, LESION_FEATURES, LESION_STRATA, LesionFeature, LesionStratum

__all__ = ["LesionCohort", "lesion_cohort", "lesion_estimates", "lesion_trends"]

INTERVAL: Final = "Fisher's z with the variance of Bonett and Wright (2000), over patients"
_UNITS: Final[Mapping[LesionFeature, str]] = {
    "image_share": "1",
    "lesions": "1",
    "elongation": "1",
    "irregularity": "1",
}
_DIGITS: Final = 6  # that equal masks on grids whose affines were stored in float32 share
_THIRDS: Final[tuple[LesionStratum, ...]] = ("lowest", "middle", "highest")

Features = Mapping[tuple[str, str], Mapping[LesionFeature, float]]
"""By (study, label), the features of the lesions as the mean over the readers who decide."""


@dataclass(frozen=True)
class LesionCohort:
    """A cohort's lesions: features of each study and label, and where its masks part them."""

    features: Features
    strata: tuple[LesionStrata, ...]


def lesion_cohort(audits: Iterable[StudyAudit], labels: Sequence[str]) -> LesionCohort:
    """Return the lesions of every analysed study in which a label is present and marked; no score is looked at.

    A label's size is in mm3 (2D: mm2) where each of its masks has a physical size and the same number of axes; else it
    has no size, only its share of the image.
    """
    shapes = {
        (audit.study, label): own
        for audit in audits
        for label in labels
        if label in (audit.reference or ()) and (own := _decisive(audit.mask_shapes, label))
    }
    axes = {label: {shape.axes for (_, of), own in shapes.items() if of == label for shape in own} for label in labels}
    sized = {
        label
        for label in labels
        if len(axes[label]) == 1
        and all(shape.size is not None for (_, of), own in shapes.items() if of == label for shape in own)
    }
    features = {key: _features(own, with_size=key[1] in sized) for key, own in shapes.items()}
    strata = (
        _strata(feature, label, features, unit=_UNITS.get(feature, "mm3" if axes[label] == {3} else "mm2"))
        for label in labels
        for feature in LESION_FEATURES
    )
    several = len(labels) > 1
    return LesionCohort(
        features,
        tuple(part if several else part.model_copy(update={"label": None}) for part in strata if part is not None),
    )


def _decisive(shapes: Iterable[MaskShape], label: str) -> list[MaskShape]:
    """Return the masks of a label that are not empty: of the readers' consensus where there is one."""
    marked = [shape for shape in shapes if shape.label == label and shape.lesions]
    return [shape for shape in marked if shape.reader.startswith(CONSENSUS)] or marked


def _features(shapes: Sequence[MaskShape], *, with_size: bool) -> dict[LesionFeature, float]:
    names = [name for name in get_args(LesionFeature) if with_size or name != "size"]
    means = {name: float(np.mean([getattr(shape, name) for shape in shapes])) for name in names}
    return {name: float(f"{value:.{_DIGITS}g}") for name, value in means.items()}


def _strata(feature: LesionFeature, label: str, features: Features, *, unit: str) -> LesionStrata | None:
    values = [own[feature] for (_, of), own in features.items() if of == label and feature in own]
    if not values:
        return None
    cuts = (1.0,) if feature == "lesions" else tuple(np.quantile(values, [1 / 3, 2 / 3]).tolist())
    counts = Counter(_stratum(feature, value, cuts) for value in values)
    names: tuple[LesionStratum, ...] = ("single", "several") if feature == "lesions" else _THIRDS
    return LesionStrata(
        label=label, feature=feature, unit=unit, cuts=cuts, studies={name: counts[name] for name in names}
    )


def _stratum(feature: LesionFeature, value: float, cuts: Sequence[float]) -> LesionStratum:
    if feature == "lesions":
        return "single" if value <= cuts[0] else "several"
    return _THIRDS[sum(value > cut for cut in cuts)]


def lesion_estimates(
    units: Sequence[Unit], scales: Sequence[MetricScale], cohort: LesionCohort, bootstrap: Bootstrap
) -> tuple[Estimate, ...]:
    """Return every real map's every metric in each stratum of the lesions, among the reference-positive units.

    Where there are several labels a study is of the stratum that its label's own masks make. A feature by which all
    studies are of one stratum has no estimates.
    """
    groups: dict[tuple[LesionFeature, LesionStratum], list[Unit]] = defaultdict(list)
    for part in cohort.strata:
        for unit in units:
            value = cohort.features.get((unit.study, unit.target), {}).get(part.feature)
            if value is not None and part.label in (None, unit.target):
                groups[part.feature, _stratum(part.feature, value, part.cuts)].append(unit)
    names = _map_names(units)
    parted = Counter(feature for feature, _ in groups)  # a feature that parts nothing would repeat the whole
    ordered = [(name, stratum) for name in LESION_FEATURES if parted[name] > 1 for stratum in LESION_STRATA]
    return tuple(
        mean_estimate(groups[key], scale, name, "reference_positive", bootstrap, group_name(*key))
        for key in ordered
        if groups.get(key)
        for name in names
        for scale in scales
    )


def group_name(feature: LesionFeature, stratum: LesionStratum) -> str:
    """Return what a stratum of lesions is called among the subgroups; no column of a manifest is called so."""
    return f"{LESION_FEATURES[feature]} (masks)={LESION_STRATA[stratum]}"


def _map_names(units: Iterable[Unit]) -> list[str]:
    return list(dict.fromkeys(name for unit in units for name, _ in unit.scores if name not in BASELINES))


def lesion_trends(
    units: Sequence[Unit], scales: Sequence[MetricScale], cohort: LesionCohort, bootstrap: Bootstrap
) -> tuple[LesionTrend, ...]:
    """Return how each real map's metrics go with each feature of the lesions, label by label."""
    scored = {(name, scale.name): _scores(units, name, scale) for name in _map_names(units) for scale in scales}
    return tuple(
        _trend(part, key, pairs, cohort.features, bootstrap.confidence)
        for part in cohort.strata
        for key, pairs in scored.items()
    )


_Scores = Sequence[tuple[Unit, float]]


def _scores(units: Iterable[Unit], name: str, scale: MetricScale) -> _Scores:
    """Return the positive units that have a value, the worst one where the map shows nothing."""
    measure = of_map(name, scale)
    values = [(unit, measure.score(unit)) for unit in units if unit.positive]
    return [(unit, value) for unit, value in values if not isinstance(value, str)]


def _trend(
    part: LesionStrata, of: tuple[str, str], scores: _Scores, features: Features, confidence: float
) -> LesionTrend:
    pairs: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for unit, score in scores:
        feature = features.get((unit.study, unit.target), {}).get(part.feature)
        if feature is not None and part.label in (None, unit.target):
            pairs[unit.patient].append((feature, score))
    means = np.array([np.mean(own, axis=0) for own in pairs.values()]).reshape(-1, 2)
    common = {"method": of[0], "metric": of[1], "label": part.label, "feature": part.feature}
    return LesionTrend.model_validate({**common, "patients": len(means), **_correlation(means, confidence)})


def _correlation(means: NDArray[np.float64], confidence: float) -> dict[str, object]:
    """Return Spearman's rank correlation of two columns (patients, 2) and its descriptive interval."""
    nothing = {"rho": None, "confidence": confidence, "interval": "none"}
    if len(means) < MINIMUM_PATIENTS:
        return {**nothing, "reason": f"fewer than {MINIMUM_PATIENTS} patients"}
    if (means == means[0]).all(axis=0).any():
        return {**nothing, "reason": "the feature or the score is the same in every patient"}
    ranks = rankdata(means, axis=0)
    rho = float(np.clip(np.corrcoef(ranks.T)[0, 1], -1, 1))
    if abs(rho) == 1:
        return {**nothing, "rho": rho}
    reach = float(norm.ppf((1 + confidence) / 2)) * np.sqrt((1 + rho**2 / 2) / (len(means) - 3))
    low, high = (float(np.tanh(np.arctanh(rho) + side * reach)) for side in (-1, 1))
    return {"rho": rho, "low": low, "high": high, "confidence": confidence, "interval": INTERVAL}
