"""From a study's raw maps to scores on its masks' grid: maps just computed, and maps that an earlier run keeps."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.baselines import body_mask, edge_map, random_map
from pipeline.evidence.metrics.map_evidence import MarkedVoxels, MaskedEvidence, RegionOverlap
from pipeline.evidence.metrics.registry import evidence_of, score_all, undefined_scores
from pipeline.evidence.whereabouts import RegionAt, ShownBody, peak_of
from pipeline.findings.carried import Carried, MapPlace
from pipeline.findings.scores import MapPeak, MapScores
from pipeline.findings.shards import load_maps, map_key
from pipeline.models.prepared_studies import PreparedStudy
from pipeline.studies.geometry import Geometry, Resampling
from pipeline.studies.study import faults_of
from pipeline.studies.volume import Heatmap
from pipeline.vocabulary import IMAGE_BASELINES, Baseline, BodyRegion
from pipeline.walk.alignment import map_resampling
from pipeline.walk.auditor import Auditor
from pipeline.walk.map_plan import places_of
from pipeline.walk.sources import StudySource

__all__ = ["StudyMap", "StudyMeasuring", "kept_maps"]


@dataclass(frozen=True)
class StudyMap:
    """A raw map with the grid of its layer's cells. ``reference`` is where it is, or will be, kept.

    ``peak`` is what an earlier run told of its peak.
    """

    values: NDArray[np.float32]
    grid: Geometry
    reference: str
    sha256: str
    peak: MapPeak | None = None


StudyMaps = Mapping[MapPlace, StudyMap]


def kept_maps(source: StudySource, carried: Carried, geometry: Geometry, places: Iterable[MapPlace]) -> StudyMaps:
    """Return the maps of ``places`` that earlier runs keep, of a study on a grid of this geometry.

    Raises:
        OutputError: when one is missing or is not the map that was measured.
    """
    if source.kept_in is None:
        raise ValueError("kept_in must name the run that refers to the maps, where a study has stale scores")
    wanted = set(places)
    by_peak = sorted(carried.audit.map_scores, key=lambda entry: entry.peak is not None)  # a row that tells it is taken
    entries = {
        place: entry
        for entry in by_peak
        if entry.map is not None and (place := (entry.target, entry.method, entry.layer or "")) in wanted
    }
    arrays = load_maps(source.kept_in, entries.values())
    return {
        place: StudyMap(
            values := arrays[map_key(entry)],
            replace(geometry, shape=values.shape, affine=arrays[f"{map_key(entry)}/affine"]),
            str(entry.map),
            str(entry.map_sha256),
            entry.peak,
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
        entries: list[MapScores] = []
        for (target, method, layer), kept in maps.items():
            resampling = self._plan(layer, kept.grid)
            heatmap = Heatmap(
                resampling.apply(kept.values), self.study.geometry, resampling.seen, method, layer, target
            )
            facts = {"map": kept.reference, "map_sha256": kept.sha256, "cell_mm": kept.grid.spacing}
            entries += self._scores(self._evidence(heatmap), target, facts, partial(self._region_at, kept.peak))
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

    def _evidence(self, heatmap: Heatmap) -> MaskedEvidence:
        return evidence_of(heatmap, self.auditor.config.overlap)

    @cached_property
    def _body(self) -> ShownBody:
        """The body in what the model was shown; a map's whereabouts are told from it."""
        return ShownBody(self.study.shown.x.numpy(), self.study.shown.grid)

    def _plan(self, layer: str, grid: Geometry) -> Resampling:
        shift = self.auditor.shifts.get(layer)
        key = (shift, *_key(grid))
        if key not in self._plans:
            self._plans[key] = map_resampling(self.auditor, layer, grid, self.study.geometry)
        return self._plans[key]

    def _region_at(self, earlier: MapPeak | None, position: NDArray[np.float64]) -> BodyRegion | None:
        """Return the region of a map's peak: as told before, of a study that is not prepared for the model again."""
        if earlier is not None and np.allclose(earlier.position_mm, position, atol=1e-3):
            return earlier.body_region
        return None if self.study.prepared is None else self._body.region(position)

    def _scores(
        self,
        evidence: MaskedEvidence,
        target: str,
        facts: Mapping[str, object],
        region_at: RegionAt | None = None,
    ) -> list[MapScores]:
        """Score a map for a target against every reader's mask; where there is none, say that.

        ``region_at`` tells where the map's peak lies; None for a baseline, whose peak says nothing of the model.
        """

        def peak(marked: MarkedVoxels | None) -> MapPeak | None:
            return None if region_at is None else peak_of(evidence, region_at, marked)

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
                shares = {**_mask_shares(overlap), "peak": peak(marked)}
                rows.append({"reader": mask.reader, "scores": score_all(overlap, metrics), **shares})
        rows += [
            {"reader": fault.reader, "scores": undefined_scores(metrics, fault.reason)}
            for fault in faults_of(target, self.study.masks, self.study.mask_faults)
        ]
        rows = rows or [{"reader": None, "peak": peak(None)}]
        return [MapScores.model_validate({**common, **row}) for row in rows]


def _key(grid: Geometry) -> tuple[object, ...]:
    return grid.shape, grid.affine.tobytes()


def _mask_shares(overlap: RegionOverlap) -> dict[str, float | None]:
    marked, seen, both = overlap.mask_voxels, overlap.evidence.seen_voxels, overlap.visible_voxels
    return {"seen_share": both / marked if marked else None, "mask_share": both / seen if seen else None}
