"""How much of the maps' evidence lies in regions that must not be leaned on, over the cohort: a description."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.evidence.metrics.avoided import NO_REGION, REGION_NOT_SEEN
from pipeline.findings.plotted.shares import AvoidedShares
from pipeline.findings.scores import AvoidedRegion, MapScores
from pipeline.findings.study_audit import StudyAudit, map_name, methods_at_layers
from pipeline.vocabulary import BASELINES

__all__ = ["avoided_shares"]

_WITHOUT = frozenset({NO_REGION, REGION_NOT_SEEN})


def avoided_shares(audits: Sequence[StudyAudit]) -> tuple[AvoidedShares, ...]:
    """Return the shares by region and map, of every map of a study; baselines say nothing of the model."""
    analysed = [audit for audit in audits if audit.status == "analysed"]
    at_layers = methods_at_layers(analysed)
    names: dict[str, None] = {}
    maps: list[tuple[StudyAudit, str, MapScores]] = []
    for audit in analysed:
        for name, entry in _maps_of(audit, at_layers):
            maps.append((audit, name, entry))
            names |= dict.fromkeys(region.name for region in entry.avoided)
    methods = dict.fromkeys(name for _, name, _ in maps)
    return tuple(_of(region, method, maps) for region in names for method in methods)


def _maps_of(audit: StudyAudit, at_layers: frozenset[str]) -> Iterator[tuple[str, MapScores]]:
    """Yield each map once: beside every reader's mask, and in every role, its regions are the same."""
    seen = set()
    for entry in audit.map_scores:
        place = entry.target, entry.method, entry.layer
        if entry.method not in BASELINES and place not in seen:
            seen.add(place)
            yield map_name(entry, at_layers), entry


def _of(region: str, method: str, maps: Sequence[tuple[StudyAudit, str, MapScores]]) -> AvoidedShares:
    own = [(audit, _named(region, entry)) for audit, name, entry in maps if name == method]
    known = [(audit, share.evidence, share.area or 0.0) for audit, share in own if share.evidence is not None]
    lacking = {audit.study for audit, share in own if share.reason in _WITHOUT}
    unknown = {audit.study for audit, share in own if share.reason is not None} - lacking
    by_patient: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for audit, evidence, area in known:
        by_patient[audit.patient].append((evidence, area))
    means = np.array([np.mean(shares, axis=0) for shares in by_patient.values()]).reshape(-1, 2)
    return AvoidedShares(
        region=region,
        method=method,
        evidence=float(means[:, 0].mean()) if known else None,
        area=float(means[:, 1].mean()) if known else None,
        studies=len({audit.study for audit, _, _ in known}),
        patients=len(by_patient),
        above=int((means[:, 0] > means[:, 1]).sum()),
        without_region=len(lacking),
        unknown=len(unknown),
    )


def _named(region: str, entry: MapScores) -> AvoidedRegion:
    none = AvoidedRegion(name=region, reason=NO_REGION)
    return next((share for share in entry.avoided if share.name == region), none)
