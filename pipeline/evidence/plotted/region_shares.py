"""How a map's positive evidence divides into lesion, regions to avoid, body, its surface, outside and border.

The lesion's share is summed over all voxels. The rest is divided by every so many voxels along each axis: a region is
no finer than the band at the body's surface, and a map no finer than its layer's cells.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.cohort.units import decisive_scores
from pipeline.evidence.metrics.map_evidence import RegionOverlap
from pipeline.evidence.shown_body import ShownBody
from pipeline.evidence.whereabouts import border_band
from pipeline.findings.plotted.shares import CohortShares, RegionShares, ShareRegion
from pipeline.findings.study_audit import StudyAudit, methods_at_layers
from pipeline.studies.geometry import Geometry
from pipeline.vocabulary import BASELINES, STRATA, BodyRegion, Stratum

__all__ = ["RegionLabels", "body_labels", "cohort_shares", "region_shares", "with_avoided"]

_REGIONS: Final[tuple[BodyRegion, ...]] = get_args(BodyRegion)
_LONGEST: Final = {2: 512, 3: 96}
"""Voxels along an axis by which evidence outside of the lesion is divided."""

_AMONG: Final[tuple[Stratum, ...]] = tuple(among for among in STRATA if among != "all")


@dataclass(frozen=True, eq=False)
class RegionLabels:
    """Every ``steps``-th voxel along each axis with the number of its region, counted as ``names`` has them."""

    numbers: NDArray[np.uint8]
    steps: tuple[int, ...]
    names: tuple[ShareRegion, ...]

    @property
    def every(self) -> tuple[slice, ...]:
        """What cuts an array of all voxels down to those that are labelled."""
        return tuple(slice(None, None, step) for step in self.steps)

    @cached_property
    def _places(self) -> NDArray[np.intp]:
        """The numbers as sums over regions count them; made once for all masks."""
        return self.numbers.ravel().astype(np.intp)

    def beside(self, mask: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Return the numbers in one row, with one that no region has where a lesion is."""
        return np.where(mask.ravel(), len(self.names), self._places)

    def weighed(self, numbers: NDArray[np.intp], weights: NDArray[np.generic] | None) -> dict[ShareRegion, float]:
        """Return the weights of the labelled voxels summed up by region; None: each weighs 1."""
        weights = None if weights is None else weights.ravel()
        sums = np.bincount(numbers, weights, minlength=len(self.names))
        return dict(zip(self.names, map(float, sums[: len(self.names)]), strict=True))


def body_labels(body: ShownBody, geometry: Geometry) -> RegionLabels:
    """Return the regions of a study's own grid, as the place of a peak is told: the picture's border first."""
    longest = _LONGEST[len(geometry.shape)]
    steps = tuple(-(-size // longest) for size in geometry.shape)
    numbers = body.numbers_on(geometry, steps, _REGIONS)
    for axis, (band, size, step) in enumerate(zip(border_band(geometry.shape), geometry.shape, steps, strict=True)):
        ends = np.moveaxis(numbers, axis, 0)
        ends[: -(-band // step)] = ends[-(-(size - band) // step) :] = _REGIONS.index("border")
    return RegionLabels(numbers, steps, _REGIONS)


def with_avoided(labels: RegionLabels, avoided: NDArray[np.bool_]) -> RegionLabels:
    """Return regions in which what must not be leaned on is one of its own, wherever in the body it lies."""
    numbers = np.where(avoided[labels.every], np.uint8(len(labels.names)), labels.numbers)
    return RegionLabels(numbers, labels.steps, (*labels.names, "avoided"))


def region_shares(overlap: RegionOverlap, labels: RegionLabels) -> RegionShares | None:
    """Return how a map's evidence divides; None where it shows none, or where no labelled voxel holds the rest."""
    evidence = overlap.evidence
    if evidence.degenerate or not evidence.total or not evidence.seen_voxels:
        return None
    numbers = labels.beside(overlap.mask[labels.every])
    inside = float(overlap.visible_values.sum(dtype=np.float64)) / evidence.total
    parts = _divided(inside, labels.weighed(numbers, evidence.positive[labels.every]))
    marked = overlap.visible_voxels / evidence.seen_voxels
    every = None if evidence.seen_everywhere else evidence.heatmap.seen[labels.every]
    seen = _divided(marked, labels.weighed(numbers, every))
    return None if parts is None or seen is None else RegionShares(evidence=parts, voxels=seen)


def _divided(lesion: float, sums: Mapping[ShareRegion, float]) -> dict[ShareRegion, float] | None:
    """Return the lesion's share and how the rest divides by weight; None where there is a rest and no weight."""
    lesion = min(max(lesion, 0.0), 1.0)
    total = sum(sums.values())
    if not total:
        return {"lesion": 1.0} if lesion > 1 - 1e-6 else None
    shares: dict[ShareRegion, float] = {"lesion": lesion} if lesion else {}
    rest = [(name, (1 - lesion) * part / total) for name, part in sums.items()]
    return shares | {name: share for name, share in rest if share > 0}


def cohort_shares(audits: Sequence[StudyAudit], labels: Iterable[str]) -> tuple[CohortShares, ...]:
    """Return the mean shares of each map in each stratum of the studies in which a label is present."""
    analysed = [audit for audit in audits if audit.status == "analysed"]
    at_layers = methods_at_layers(analysed)
    members: dict[tuple[Stratum, str], list[tuple[StudyAudit, RegionShares]]] = defaultdict(list)
    for label in labels:
        for audit in analysed:
            if label in (audit.reference or ()):
                called: Stratum = "true_positive" if label in audit.predicted else "false_negative"
                for name, entries in decisive_scores(audit, label, at_layers).items():
                    known = [entry.shares for entry in entries if entry.shares is not None]
                    for among in ("reference_positive", called) if known and name not in BASELINES else ():
                        members[among, name] += [(audit, _mean(known))]
    return tuple(_of_cohort(among, name, members[among, name]) for among, name in _ordered(members))


def _ordered(keys: Iterable[tuple[Stratum, str]]) -> list[tuple[Stratum, str]]:
    return sorted(keys, key=lambda key: _AMONG.index(key[0]))


def _of_cohort(among: Stratum, method: str, members: Sequence[tuple[StudyAudit, RegionShares]]) -> CohortShares:
    patients: dict[str, list[RegionShares]] = defaultdict(list)
    for audit, shares in members:
        patients[audit.patient].append(shares)
    mean = _mean([_mean(own) for own in patients.values()])
    return CohortShares(
        method=method,
        among=among,
        studies=len({audit.study for audit, _ in members}),
        patients=len(patients),
        evidence=mean.evidence,
        voxels=mean.voxels,
    )


def _mean(shares: Sequence[RegionShares]) -> RegionShares:
    return RegionShares(
        evidence=_mean_of([part.evidence for part in shares]), voxels=_mean_of([part.voxels for part in shares])
    )


def _mean_of(shares: Sequence[Mapping[ShareRegion, float]]) -> dict[ShareRegion, float]:
    names: tuple[ShareRegion, ...] = ("lesion", "avoided", *_REGIONS)
    means = {name: float(np.mean([part.get(name, 0.0) for part in shares])) for name in names}
    return {name: mean for name, mean in means.items() if mean > 0}
