"""How much of the maps' evidence lies in regions that must not be leaned on, over the cohort: a description."""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.cohort.units import names_of_places
from pipeline.evidence.columns.grouped import Groups, group_means
from pipeline.evidence.metrics.avoided import NO_REGION, REGION_NOT_SEEN
from pipeline.findings.plotted.shares import AvoidedShares
from pipeline.findings.scores import AvoidedRegion, MapScores
from pipeline.findings.study_audit import MethodAtLayer, StudyAudit, map_name
from pipeline.vocabulary import BASELINES

__all__ = ["avoided_shares"]

_WITHOUT = frozenset({NO_REGION, REGION_NOT_SEEN})


def avoided_shares(audits: Iterable[StudyAudit]) -> tuple[AvoidedShares, ...]:
    """Return the shares by region and map, of every map of a study; baselines say nothing of the model.

    The records are gone through once, and none of them is kept.
    """
    regions, maps, patients = dict[str, None](), dict[MethodAtLayer, _Map](), dict[str, int]()
    places: dict[MethodAtLayer, None] = {}
    for number, audit in enumerate(audits):
        if audit.status != "analysed":
            continue
        places.update(dict.fromkeys(audit.places))
        patient = patients.setdefault(audit.patient, len(patients))
        for place, entry in _maps_of(audit):
            maps.setdefault(place, _Map()).add(number, patient, entry.avoided)
            regions.update(dict.fromkeys(region.name for region in entry.avoided))
    names = names_of_places(places)
    return tuple(
        own.shares(region, names[map_name(place, (place.method,))]) for region in regions for place, own in maps.items()
    )


def _maps_of(audit: StudyAudit) -> Iterator[tuple[MethodAtLayer, MapScores]]:
    """Yield each map once: beside every reader's mask, and in every role, its regions are the same."""
    seen = set()
    for entry in audit.map_scores:
        place = entry.target, entry.method, entry.layer
        if entry.method not in BASELINES and place not in seen:
            seen.add(place)
            yield MethodAtLayer(entry.method, entry.layer), entry


_Outcome = Literal["known", "without", "unknown"]


@dataclass
class _Region:
    """What is known of a region in one map's rows: by outcome the rows, and of the known ones evidence and area."""

    rows: "dict[_Outcome, array[int]]" = field(
        default_factory=lambda: {"known": array("q"), "without": array("q"), "unknown": array("q")}
    )
    shares: "array[float]" = field(default_factory=lambda: array("d"))

    def put(self, row: int, share: AvoidedRegion) -> None:
        """Add a row's share, or the reason why there is none."""
        if share.evidence is not None:
            self.rows["known"].append(row)
            self.shares.extend((share.evidence, share.area or 0.0))
        if share.reason is not None:
            self.rows["without" if share.reason in _WITHOUT else "unknown"].append(row)

    def named_in(self) -> NDArray[np.intp]:
        """Return the rows that speak of the region."""
        return np.unique(np.concatenate([np.array(rows, dtype=np.intp) for rows in self.rows.values()]))


@dataclass
class _Map:
    """One map's rows, a study and target each: by row its study and its patient, and by region what is known."""

    studies: "array[int]" = field(default_factory=lambda: array("q"))
    patients: "array[int]" = field(default_factory=lambda: array("q"))
    regions: dict[str, _Region] = field(default_factory=dict)

    def add(self, study: int, patient: int, avoided: Iterable[AvoidedRegion]) -> None:
        """Add a map of a study; of a region that is named twice the first counts."""
        row = len(self.studies)
        self.studies.append(study)
        self.patients.append(patient)
        for name, share in {share.name: share for share in reversed(tuple(avoided))}.items():
            self.regions.setdefault(name, _Region()).put(row, share)

    def shares(self, region: str, method: str) -> AvoidedShares:
        """Return a region's shares; rows that do not speak of it have none of it."""
        own, studies = self.regions.get(region, _Region()), np.array(self.studies, dtype=np.intp)
        known = np.array(own.rows["known"], dtype=np.intp)
        silent = np.setdiff1d(np.arange(len(studies)), own.named_in())
        without = np.unique(studies[np.concatenate([np.array(own.rows["without"], dtype=np.intp), silent])])
        unknown = np.setdiff1d(studies[np.array(own.rows["unknown"], dtype=np.intp)], without)
        groups = Groups.of(np.array(self.patients, dtype=np.intp)[known])
        means = group_means(groups.number, groups.count, np.array(own.shares).reshape(-1, 2))
        return AvoidedShares(
            region=region,
            method=method,
            evidence=float(means[:, 0].mean()) if len(known) else None,
            area=float(means[:, 1].mean()) if len(known) else None,
            studies=len(np.unique(studies[known])),
            patients=groups.count,
            above=int((means[:, 0] > means[:, 1]).sum()),
            without_region=len(without),
            unknown=len(unknown),
        )
