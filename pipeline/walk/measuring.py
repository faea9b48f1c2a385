"""From a study's raw maps to scores on its masks' grid: maps just computed, and maps that an earlier run keeps."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.baselines import body_mask, edge_map, random_map
from pipeline.evidence.engine import Carrier, MapNames
from pipeline.evidence.metrics.map_evidence import MarkedVoxels, MaskedEvidence, RegionOverlap
from pipeline.evidence.metrics.registry import score_all, undefined_scores
from pipeline.findings.carried import Carried, MapPlace
from pipeline.findings.scores import MapScores
from pipeline.findings.shards import load_maps, map_key
from pipeline.models.prepared_studies import PreparedStudy
from pipeline.studies.geometry import Geometry
from pipeline.studies.study import faults_of
from pipeline.vocabulary import IMAGE_BASELINES, Baseline
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
    _carriers: dict[tuple[object, ...], Carrier] = field(default_factory=dict)
    _marked: dict[int, MarkedVoxels] = field(default_factory=dict)

    def maps(self, maps: StudyMaps) -> list[MapScores]:
        """Carry maps to the study's own grid and score each against every reader's mask."""
        entries: list[MapScores] = []
        for (target, method, layer), kept in maps.items():
            evidence = self._evidence(self._carrier(layer, kept.grid), kept.values, MapNames(method, layer, target))
            facts = {"map": kept.reference, "map_sha256": kept.sha256, "cell_mm": kept.grid.spacing}
            entries += self._scores(evidence, target, facts)
        return entries

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
            for evidence in [self._baseline(name, maps[(group[0], *place)].grid)]
            for target in group
        }
        return [entry for target in targets for name in names for entry in scored[target, name]]

    def _baseline(self, name: Baseline, grid: Geometry) -> MaskedEvidence:
        if name in IMAGE_BASELINES:
            return self._of_the_image(name)
        carrier = self._carrier("", grid)  # noise and prior come from no layer: nothing moves them
        if name == "centre_prior":
            made = partial(self.auditor.engine.evidence, overlap=self.auditor.config.overlap)
            return self.auditor.centre_priors.evidence(self.study.geometry, carrier.seen, made)
        values = random_map(grid.shape, self.auditor.config.run.seed, self.source.sha256)
        return self._evidence(carrier, values, MapNames(name))

    def _of_the_image(self, name: Baseline) -> MaskedEvidence:
        shown = self.study.shown
        x = shown.x.numpy()
        values = edge_map(x, shown.grid.spacing) if name == "edge_map" else body_mask(x)
        return self._evidence(self._carrier("", shown.grid), values, MapNames(name))

    def _evidence(self, carrier: Carrier, values: NDArray[np.float32], names: MapNames) -> MaskedEvidence:
        return carrier.evidence(values, self.study.geometry, names, self.auditor.config.overlap)

    def _carrier(self, layer: str, grid: Geometry) -> Carrier:
        key = (self.auditor.shifts.get(layer), *_key(grid))
        if key not in self._carriers:
            plan = map_resampling(self.auditor, layer, grid, self.study.geometry)
            self._carriers[key] = self.auditor.engine.carrier(plan)
        return self._carriers[key]

    def _scores(self, evidence: MaskedEvidence, target: str, facts: Mapping[str, object]) -> list[MapScores]:
        """Score a map for a target against every reader's mask; where there is none, say that."""
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
                if number not in self._marked:
                    self._marked[number] = self.auditor.engine.marked(mask)
                overlap = self.auditor.engine.overlap(evidence, self._marked[number])
                rows.append({"reader": mask.reader, "scores": score_all(overlap, metrics), **_mask_shares(overlap)})
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
