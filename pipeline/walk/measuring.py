"""From a study's raw maps to scores on its masks' grid: maps just computed, and maps that an earlier run keeps."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.baselines import body_mask, edge_map, random_map
from pipeline.evidence.localisation.average_mask import TOO_FEW_OTHERS
from pipeline.evidence.localisation.region_counts import region_counts
from pipeline.evidence.metrics.map_evidence import MarkedVoxels, MaskedEvidence, RegionOverlap
from pipeline.evidence.metrics.registry import evidence_of, score_all, undefined_scores
from pipeline.findings.carried import Carried, MapPlace
from pipeline.findings.scores import MapScores
from pipeline.findings.shards import load_maps, map_key
from pipeline.models.prepared_studies import PreparedStudy
from pipeline.studies.geometry import Geometry, Resampling, cells
from pipeline.studies.study import faults_of
from pipeline.studies.volume import Heatmap
from pipeline.vocabulary import COHORT_BASELINES, IMAGE_BASELINES, Baseline
from pipeline.walk.alignment import map_resampling
from pipeline.walk.auditor import Auditor
from pipeline.walk.map_plan import places_of
from pipeline.walk.sources import StudySource

__all__ = ["StudyMap", "StudyMeasuring", "kept_maps"]


@dataclass(frozen=True)
class StudyMap:
    """A raw map with the grid of its layer's cells. ``reference`` is where it is, or will be, kept."""

    values: NDArray[np.float32]
    grid: Geometry
    reference: str
    sha256: str


StudyMaps = Mapping[MapPlace, StudyMap]


def kept_maps(source: StudySource, carried: Carried, geometry: Geometry, places: Iterable[MapPlace]) -> StudyMaps:
    """Return the maps of ``places`` that earlier runs keep, of a study on a grid of this geometry.

    Raises:
        OutputError: when one is missing or is not the map that was measured.
    """
    if source.kept_in is None:
        raise ValueError("kept_in must name the run that refers to the maps, where a study has stale scores")
    wanted = set(places)
    entries = {
        place: entry
        for entry in carried.audit.map_scores
        if entry.map is not None and (place := (entry.target, entry.method, entry.layer or "")) in wanted
    }
    arrays = load_maps(source.kept_in, entries.values())
    return {
        place: StudyMap(
            values := arrays[map_key(entry)],
            replace(geometry, shape=values.shape, affine=arrays[f"{map_key(entry)}/affine"]),
            str(entry.map),
            str(entry.map_sha256),
        )
        for place, entry in entries.items()
    }


@dataclass(frozen=True, eq=False)
class StudyMeasuring:
    """The measuring of one study's maps: what is computed of a mask, or of the way between two grids, is shared."""

    auditor: Auditor
    source: StudySource
    study: PreparedStudy
    _plans: dict[tuple[object, ...], Resampling] = field(default_factory=dict)
    _marked: dict[int, MarkedVoxels] = field(default_factory=dict)

    def maps(self, maps: StudyMaps) -> list[MapScores]:
        """Carry maps to the study's own grid and score each against every reader's mask."""
        return [entry for place, kept in maps.items() for entry in self._of_a_map(place, kept)]

    def _of_a_map(self, place: MapPlace, kept: StudyMap) -> list[MapScores]:
        """Score a map; where it is moved, with what it would score unmoved beside it."""
        layer = place[2]
        own = self._resampled(place, kept, self._plan(layer, kept.grid))
        if not any(self.auditor.shifts.get(layer, ())):
            return own
        unmoved = self._resampled(place, kept, self._plan("", kept.grid))
        return [entry.model_copy(update={"unaligned": other.scores}) for entry, other in zip(own, unmoved, strict=True)]

    def _resampled(self, place: MapPlace, kept: StudyMap, resampling: Resampling) -> list[MapScores]:
        target, method, layer = place
        heatmap = Heatmap(resampling.apply(kept.values), self.study.geometry, resampling.seen, method, layer, target)
        facts = {"map": kept.reference, "map_sha256": kept.sha256, "cell_mm": kept.grid.spacing}
        return self._scores(self._evidence(heatmap), target, facts)

    def baselines(self, maps: StudyMaps, targets: Collection[str]) -> list[MapScores]:
        """Score the baselines of some targets, on the grid of each target's first map, which ``maps`` must hold.

        The random map follows from the seed and from what the study is read from, not from its pseudonym. A baseline is
        the same for all targets whose first maps have one grid.
        """
        place = places_of(self.auditor.config, self.auditor.layers)[0]
        names = self.auditor.config.baselines
        groups: dict[tuple[object, ...], list[str]] = {}
        for target in targets:
            groups.setdefault(_key(maps[(target, *place)].grid), []).append(target)
        scored = {
            (target, name): self._scores(evidence, target, {})
            for group in groups.values()
            for name in names
            if name not in COHORT_BASELINES
            for evidence in [self._baseline(name, maps[(group[0], *place)].grid)]
            for target in group
        }
        scored |= {
            (target, name): self._average_mask(target, maps[(target, *place)].grid)
            for name in names
            if name in COHORT_BASELINES
            for target in targets
        }
        return [entry for target in targets for name in names for entry in scored[target, name]]

    def _baseline(self, name: Baseline, grid: Geometry) -> MaskedEvidence:
        if name in IMAGE_BASELINES:
            return self._of_the_image(name)
        resampling = self._plan("", grid)  # noise and prior come from no layer: nothing moves them
        if name == "centre_prior":
            return self.auditor.centre_priors.evidence(self.study.geometry, resampling.seen, self._evidence)
        values = resampling.apply(random_map(grid.shape, self.auditor.config.run.seed, self.source.sha256))
        return self._evidence(Heatmap(values, self.study.geometry, resampling.seen, name, "", ""))

    def _of_the_image(self, name: Baseline) -> MaskedEvidence:
        shown = self.study.shown
        resampling, x = self._plan("", shown.grid), shown.x.numpy()
        values = edge_map(x, shown.grid.spacing) if name == "edge_map" else body_mask(x)
        heatmap = Heatmap(resampling.apply(values), self.study.geometry, resampling.seen, name, "", "")
        return self._evidence(heatmap)

    def _average_mask(self, target: str, grid: Geometry) -> list[MapScores]:
        """Score the mean of other patients' masks of a target; ``grid`` is that of the first map, for what was seen."""
        if self.auditor.average_masks is None:
            raise RuntimeError("the average mask is to be scored, and the masks of the cohort were not surveyed")
        geometry, seen = self.study.geometry, self._plan("", grid).seen
        mean = self.auditor.average_masks.without(self.study.patient, target, geometry)
        if mean is None:
            return self._without_scores("average_mask", target, TOO_FEW_OTHERS)
        values = self._plan("", cells(geometry, mean.shape)).apply(mean)
        return self._scores(self._evidence(Heatmap(values, geometry, seen, "average_mask", "", target)), target, {})

    def _without_scores(self, name: Baseline, target: str, reason: str) -> list[MapScores]:
        """Return rows of a baseline that does not exist here, each score undefined for that reason."""
        readers = [(mask.reader, reason) for mask in self.study.masks if mask.label == target]
        faults = faults_of(target, self.study.masks, self.study.mask_faults)
        readers += [(fault.reader, fault.reason) for fault in faults]
        metrics = self.auditor.metrics.values()
        return [
            MapScores(target=target, method=name, layer=None, reader=reader, scores=undefined_scores(metrics, why))
            for reader, why in readers
        ] or [MapScores(target=target, method=name, layer=None, reader=None)]

    def _evidence(self, heatmap: Heatmap) -> MaskedEvidence:
        return evidence_of(heatmap, self.auditor.config.overlap)

    def _ruled(self, evidence: MaskedEvidence, target: str) -> MaskedEvidence:
        """Return a map as evidence by the target's own rule, where that is another than the one it was made by."""
        rule = self.auditor.rule_for(self.study.patient, evidence.heatmap, target)
        return evidence if rule == evidence.rule else replace(evidence, rule=rule)

    def _plan(self, layer: str, grid: Geometry) -> Resampling:
        shift = self.auditor.shifts.get(layer)
        key = (shift, *_key(grid))
        if key not in self._plans:
            self._plans[key] = map_resampling(self.auditor, layer, grid, self.study.geometry)
        return self._plans[key]

    def _scores(self, evidence: MaskedEvidence, target: str, facts: Mapping[str, object]) -> list[MapScores]:
        """Score a map for a target against every reader's mask; where there is none, say that."""
        evidence = self._ruled(evidence, target)
        heatmap, metrics = evidence.heatmap, self.auditor.metrics.values()
        common = {
            **facts,
            "target": target,
            "method": heatmap.method,
            "layer": heatmap.layer or None,
            "degenerate": evidence.degenerate,
        }
        rows: list[dict[str, object]] = []
        for number, mask in enumerate(self.study.masks):
            if mask.label == target:
                marked = self._marked.setdefault(number, MarkedVoxels(mask.array, mask.geometry))
                overlap = RegionOverlap(evidence, marked)
                scores = {"scores": score_all(overlap, metrics), "counts": region_counts(overlap)}
                rows.append({"reader": mask.reader, **scores, **_mask_shares(overlap)})
        rows += [
            {"reader": fault.reader, "scores": undefined_scores(metrics, fault.reason)}
            for fault in faults_of(target, self.study.masks, self.study.mask_faults)
        ]
        return [MapScores.model_validate({**common, **row}) for row in rows or [{"reader": None}]]


def _key(grid: Geometry) -> tuple[object, ...]:
    return grid.shape, grid.affine.tobytes()


def _mask_shares(overlap: RegionOverlap) -> dict[str, float | None]:
    marked, seen, both = overlap.mask_voxels, overlap.evidence.seen_voxels, overlap.visible_voxels
    return {"seen_share": both / marked if marked else None, "mask_share": both / seen if seen else None}
