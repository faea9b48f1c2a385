"""How a map's positive evidence divides into lesion, regions to avoid, body, its surface, outside and border.

The lesion's share is summed over all voxels. The rest is divided by every so many voxels along each axis: a region is
no finer than the band at the body's surface, and a map no finer than its layer's cells.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.cohort.map_rows import MapRows, RowsOfMap, patients_of
from pipeline.evidence.columns.grouped import Groups, group_means
from pipeline.evidence.metrics.map_evidence import MarkedVoxels, RegionOverlap
from pipeline.evidence.shown_body import ShownBody
from pipeline.evidence.sums import sum_in_order
from pipeline.evidence.whereabouts import border_band
from pipeline.findings.brief_study import StudyFacts
from pipeline.findings.plotted.shares import CohortShares, RegionShares, ShareRegion
from pipeline.findings.scores import MapScores
from pipeline.findings.study_audit import StudyAudit
from pipeline.packed.items import Keep, in_memory
from pipeline.studies.geometry import Geometry
from pipeline.vocabulary import BASELINES, STRATA, BodyRegion, Stratum

__all__ = [
    "RegionLabels",
    "RegionsBeside",
    "body_labels",
    "cohort_shares",
    "region_shares",
    "share_rows",
    "shares_of",
    "with_avoided",
]

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
    def _starts(self) -> NDArray[np.intp]:
        """Where the runs begin: neighbours of one region in the order of the flat array."""
        flat = self.numbers.ravel()
        return np.append(0, np.flatnonzero(flat[1:] != flat[:-1]) + 1)

    def counted(self) -> dict[ShareRegion, float]:
        """Return how many labelled voxels each region has."""
        return self._by_region(np.diff(self._starts, append=self.numbers.size))

    def weighed(self, weights: NDArray[np.generic]) -> dict[ShareRegion, float]:
        """Return weights of all voxels, summed up by region over the labelled voxels, in double precision.

        Run by run, then the runs of a region in their order: fewer roundings than voxel by voxel, and no sum waits for
        the one before it.
        """
        return self._by_region(np.add.reduceat(weights[self.every].ravel(), self._starts, dtype=np.float64))

    def _by_region(self, of_runs: NDArray[np.generic]) -> dict[ShareRegion, float]:
        regions = self.numbers.ravel()[self._starts]
        sums = np.bincount(regions, of_runs, minlength=len(self.names))
        return dict(zip(self.names, map(float, sums), strict=True))


@dataclass(frozen=True, eq=False)
class RegionsBeside:
    """The regions beside one mask, with what is computed of them once for all the maps that are held against it."""

    labels: RegionLabels
    marked: MarkedVoxels

    @cached_property
    def _with_lesion(self) -> RegionLabels:
        every, names = self.labels.every, self.labels.names
        numbers = np.where(self.marked.mask[every], np.uint8(len(names)), self.labels.numbers)
        return RegionLabels(numbers, self.labels.steps, (*names, "lesion"))

    @cached_property
    def voxels(self) -> dict[ShareRegion, float]:
        """How many labelled voxels of each region lie beside the lesion."""
        return _without_lesion(self._with_lesion.counted())

    def weighed(self, weights: NDArray[np.generic]) -> dict[ShareRegion, float]:
        """Return weights of all voxels, summed up by region over those labelled voxels that lie beside the lesion."""
        return _without_lesion(self._with_lesion.weighed(weights))


def _without_lesion(sums: Mapping[ShareRegion, float]) -> dict[ShareRegion, float]:
    return {name: part for name, part in sums.items() if name != "lesion"}


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


def region_shares(overlap: RegionOverlap, beside: RegionsBeside) -> RegionShares | None:
    """Return how a map's evidence divides; None where it shows none, or where no labelled voxel holds the rest."""
    evidence = overlap.evidence
    if evidence.degenerate or not evidence.total or not evidence.seen_voxels:
        return None
    inside = float(overlap.visible_values.sum(dtype=np.float64)) / evidence.total
    parts = _divided(inside, beside.weighed(evidence.positive))
    marked = overlap.visible_voxels / evidence.seen_voxels
    seen = _divided(marked, beside.voxels if evidence.seen_everywhere else beside.weighed(evidence.heatmap.seen))
    return None if parts is None or seen is None else RegionShares(evidence=parts, voxels=seen)


def _divided(lesion: float, sums: Mapping[ShareRegion, float]) -> dict[ShareRegion, float] | None:
    """Return the lesion's share and how the rest divides by weight; None where there is a rest and no weight."""
    lesion = min(max(lesion, 0.0), 1.0)
    total = sum_in_order(sums.values())
    if not total:
        return {"lesion": 1.0} if lesion > 1 - 1e-6 else None
    shares: dict[ShareRegion, float] = {"lesion": lesion} if lesion else {}
    rest = [(name, (1 - lesion) * part / total) for name, part in sums.items()]
    return shares | {name: share for name, share in rest if share > 0}


def cohort_shares(audits: Sequence[StudyAudit], labels: Iterable[str]) -> tuple[CohortShares, ...]:
    """Return the mean shares of each map in each stratum of the studies in which a label is present."""
    rows = share_rows(tuple(labels))
    for number, audit in enumerate(audits):
        rows.add(number, audit)
    return shares_of(rows, audits)


def share_rows(labels: Sequence[str], keep: Keep = in_memory) -> MapRows:
    """Return what gathers the shares of a cohort's maps, of labels that are present."""
    return MapRows(labels, _row, keep=keep)


def shares_of(gathered: MapRows, studies: Sequence[StudyFacts]) -> tuple[CohortShares, ...]:
    """Return the mean shares of all that was gathered; ``studies`` are those that were numbered."""
    patients = patients_of(studies)
    members: dict[tuple[Stratum, str], list[_Members]] = defaultdict(list)
    starts: dict[tuple[Stratum, str], tuple[int, tuple[int, int]]] = {}
    for (label, name), rows in gathered.by_name().items():
        every, first = _members(rows)
        called = np.array([label in studies[number].predicted for number in every.studies.tolist()], dtype=bool)
        for among, inside in _strata(called):
            if inside.any():
                members[among, name].append(_Members(every.studies[inside], every.values[inside]))
                start = rows.starts_at(int(first[inside][0]))
                starts.setdefault((among, name), (gathered.labels.index(label), start))
    ordered = sorted(members, key=lambda key: (_AMONG.index(key[0]), starts[key]))
    return tuple(_of_cohort(*key, members[key], patients) for key in ordered)


@dataclass(frozen=True, eq=False)
class _Members:
    """Studies by number with the shares (studies, 2 x regions) of a map: of its evidence, then of the voxels."""

    studies: NDArray[np.intp]
    values: NDArray[np.float64]


_NAMES: Final[tuple[ShareRegion, ...]] = ("lesion", "avoided", *_REGIONS)


def _row(entry: MapScores) -> Sequence[float] | None:
    shares = entry.shares
    if shares is None or entry.method in BASELINES:
        return None
    return [float(part.get(name, 0.0)) for part in (shares.evidence, shares.voxels) for name in _NAMES]


def _strata(called: NDArray[np.bool_]) -> Iterator[tuple[Stratum, NDArray[np.bool_]]]:
    yield "reference_positive", np.ones(len(called), dtype=bool)
    yield "true_positive", called
    yield "false_negative", ~called


def _members(rows: RowsOfMap) -> tuple[_Members, NDArray[np.intp]]:
    """Return the studies of a map, each with the mean over its readers, and which is the first row of each."""
    numbers = rows.numbers()
    groups = Groups.of(numbers)
    studies, first = np.unique(numbers, return_index=True)  # studies are numbered in their order
    return _Members(studies, _column_means(groups, np.concatenate(list(rows.blocks())))), first


def _column_means(groups: Groups, values: NDArray[Any]) -> NDArray[np.float64]:
    columns = [group_means(groups.number, groups.count, np.ascontiguousarray(column)) for column in values.T]
    return np.stack(columns, axis=1)


def _of_cohort(among: Stratum, method: str, members: Sequence[_Members], patients: NDArray[np.intp]) -> CohortShares:
    studies = np.concatenate([part.studies for part in members])
    groups = Groups.of(patients[studies])
    of_patients = _column_means(groups, np.concatenate([part.values for part in members]))
    means = [float(np.mean(np.ascontiguousarray(column))) for column in of_patients.T]
    evidence, voxels = means[: len(_NAMES)], means[len(_NAMES) :]
    return CohortShares(
        method=method,
        among=among,
        studies=len(np.unique(studies)),
        patients=groups.count,
        evidence={name: mean for name, mean in zip(_NAMES, evidence, strict=True) if mean > 0},
        voxels={name: mean for name, mean in zip(_NAMES, voxels, strict=True) if mean > 0},
    )
