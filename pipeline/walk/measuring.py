"""From a study's raw maps to scores on its masks' grid: maps just computed, and maps that an earlier run keeps."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.answers import Roles
from pipeline.evidence.baselines import body_mask, edge_map, random_map
from pipeline.evidence.engine import Carrier, MapNames
from pipeline.evidence.localisation.average_mask import TOO_FEW_OTHERS
from pipeline.evidence.localisation.region_counts import region_counts
from pipeline.evidence.metrics.avoided import avoided_region
from pipeline.evidence.metrics.lesions import LESION_METRICS, mark_counts
from pipeline.evidence.metrics.map_evidence import MarkedVoxels, MaskedEvidence, RegionOverlap
from pipeline.evidence.metrics.registry import score_all, undefined_scores
from pipeline.evidence.placement import VoxelsInBody, placement_of, voxels_in_body
from pipeline.evidence.plotted.region_shares import (
    RegionLabels,
    RegionsBeside,
    body_labels,
    region_shares,
    with_avoided,
)
from pipeline.evidence.shown_body import ShownBody
from pipeline.evidence.whereabouts import RegionAt, peak_of
from pipeline.findings.carried import Carried, MapPlace
from pipeline.findings.plotted.marks import MarkCounts
from pipeline.findings.plotted.shares import RegionShares
from pipeline.findings.scores import AvoidedRegion, MapPeak, MapScores, Score
from pipeline.findings.shards import load_maps, map_key
from pipeline.models.prepared_studies import PreparedStudy
from pipeline.studies.geometry import Geometry, cells
from pipeline.studies.study import MaskFault, faults_of
from pipeline.studies.volume import Heatmap, Mask
from pipeline.vocabulary import (
    BASELINES,
    COHORT_BASELINES,
    IMAGE_BASELINES,
    NO_FINDING,
    Baseline,
    BodyRegion,
    TargetRole,
)
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

Row = dict[str, object]
"""What a reader's mask adds to what is recorded of a map."""


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
    """The measuring of one study's maps: what is computed of a mask, or of the way between two grids, is shared.

    ``roles`` says in which roles a label's map is scored: as the reference's, unless it says otherwise.
    """

    auditor: Auditor
    source: StudySource
    study: PreparedStudy
    roles: Roles = field(default_factory=dict)
    _carriers: dict[tuple[object, ...], Carrier] = field(default_factory=dict)
    _marked: dict[tuple[int, ...], MarkedVoxels] = field(default_factory=dict)
    _beside: dict[MarkedVoxels, RegionsBeside] = field(default_factory=dict)
    _of_image: dict[Baseline, MaskedEvidence] = field(default_factory=dict)

    def maps(self, maps: StudyMaps) -> list[MapScores]:
        """Carry maps to the study's own grid and score each against every reader's mask."""
        return [entry for place, kept in maps.items() for entry in self._of_a_map(place, kept)]

    def _of_a_map(self, place: MapPlace, kept: StudyMap) -> list[MapScores]:
        """Score a map; where it is moved, with what it would score unmoved beside it."""
        layer = place[2]
        own = self._carried(place, kept, self._carrier(layer, kept.grid))
        if not any(self.auditor.shifts.get(layer, ())):
            return own
        unmoved = self._carried(place, kept, self._carrier("", kept.grid))
        return [entry.model_copy(update={"unaligned": other.scores}) for entry, other in zip(own, unmoved, strict=True)]

    def _carried(self, place: MapPlace, kept: StudyMap, carrier: Carrier) -> list[MapScores]:
        target, method, layer = place
        evidence = self._evidence(carrier, kept.values, MapNames(method, layer, target))
        facts = {"map": kept.reference, "map_sha256": kept.sha256, "cell_mm": kept.grid.spacing}
        return self._scores(evidence, target, facts, partial(self._region_at, kept.peak))

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
        carrier = self._carrier("", grid)  # noise and prior come from no layer: nothing moves them
        if name == "centre_prior":
            return self.auditor.centre_priors.evidence(self.study.geometry, carrier.seen, self._as_evidence)
        values = random_map(grid.shape, self.auditor.config.run.seed, self.source.sha256)
        return self._evidence(carrier, values, MapNames(name))

    def _of_the_image(self, name: Baseline) -> MaskedEvidence:
        if name not in self._of_image:
            self._of_image[name] = self._made_of_the_image(name)
        return self._of_image[name]

    def _made_of_the_image(self, name: Baseline) -> MaskedEvidence:
        shown = self.study.shown
        x = shown.x.numpy()
        if name == "edge_map":
            values = edge_map(x, shown.grid.spacing)
        else:
            values = body_mask(x, self._body.bright if self._body.in_full else None)
        return self._evidence(self._carrier("", shown.grid), values, MapNames(name))

    def _average_mask(self, target: str, grid: Geometry) -> list[MapScores]:
        """Score the mean of other patients' masks of a target; ``grid`` is that of the first map, for what was seen."""
        if self.auditor.average_masks is None:
            raise RuntimeError("the average mask is to be scored, and the masks of the cohort were not surveyed")
        geometry, seen = self.study.geometry, self._carrier("", grid).seen
        mean = self.auditor.average_masks.without(self.study.patient, target, geometry)
        if mean is None:
            return self._without_scores("average_mask", target, TOO_FEW_OTHERS)
        values = map_resampling(self.auditor, "", cells(geometry, mean.shape), geometry).apply(mean)
        evidence = self._as_evidence(Heatmap(values, geometry, seen, "average_mask", "", target))
        return self._scores(evidence, target, {})

    def _without_scores(self, name: Baseline, target: str, reason: str) -> list[MapScores]:
        """Return rows of a baseline that does not exist here, each score undefined for that reason."""
        common: Row = {"target": target, "method": name, "layer": None}
        roles = self.roles.get(target, ("reference",))
        rows = [{"target_role": role, **row} for role in roles for row in self._undefined_rows(target, role, reason)]
        return [MapScores.model_validate({**common, **row}) for row in rows]

    def _undefined_rows(self, target: str, role: TargetRole, reason: str) -> list[Row]:
        """Return a row for each reader whose masks a map would be held against in a role, were there one."""
        labels = (target,) if role == "reference" else self._findings()
        faults = self._faults_of(labels)
        drawn = dict.fromkeys(mask.reader for mask in self.study.masks if mask.label in labels)
        reasons = [(reader, reason) for reader in drawn if role == "reference" or reader not in faults]
        reasons += [(reader, fault.reason) for reader, fault in faults.items()]
        metrics = self.auditor.metrics.values()
        rows = [_undefined(reader, undefined_scores(metrics, why)) for reader, why in reasons]
        return rows or [{"reader": None} if labels else _undefined(None, undefined_scores(metrics, NO_FINDING))]

    def _evidence(self, carrier: Carrier, values: NDArray[np.float32], names: MapNames) -> MaskedEvidence:
        return carrier.evidence(values, self.study.geometry, names, self.auditor.config.overlap)

    def _as_evidence(self, heatmap: Heatmap) -> MaskedEvidence:
        """Return a map that lies on the study's own grid already as evidence."""
        return self.auditor.engine.evidence(heatmap, self.auditor.config.overlap)

    def _ruled(self, evidence: MaskedEvidence, target: str) -> MaskedEvidence:
        """Return a map as evidence by the target's own rule, where that is another than the one it was made by."""
        rule = self.auditor.rule_for(self.study.patient, evidence.heatmap, target)
        return evidence if rule == evidence.rule else replace(evidence, rule=rule)

    @cached_property
    def _body(self) -> ShownBody:
        """The body in what the model was shown; a map's whereabouts are told from it."""
        return ShownBody(self.study.shown.x.numpy(), self.study.shown.grid)

    @cached_property
    def _in_body(self) -> VoxelsInBody:
        return voxels_in_body(self._of_the_image("body_mask").heatmap)

    def _carrier(self, layer: str, grid: Geometry) -> Carrier:
        key = (self.auditor.shifts.get(layer), *_key(grid))
        if key not in self._carriers:
            plan = map_resampling(self.auditor, layer, grid, self.study.geometry)
            self._carriers[key] = self.auditor.engine.carrier(plan)
        return self._carriers[key]

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
        """Score a map for a target in each of its roles against every reader's mask; where there is none, say that.

        ``region_at`` tells where the map's peak lies; None for a baseline, whose peak says nothing of the model.
        """
        evidence = self._ruled(evidence, target)
        heatmap = evidence.heatmap
        common = {
            **facts,
            "target": target,
            "method": heatmap.method,
            "layer": heatmap.layer or None,
            "degenerate": evidence.degenerate,
            "avoided": self._avoided(evidence),
        }
        roles = self.roles.get(target, ("reference",))
        rows = [row for role in roles for row in self._rows(evidence, target, role, region_at)]
        return [MapScores.model_validate({**common, **row}) for row in rows]

    def _avoided(self, evidence: MaskedEvidence) -> tuple[AvoidedRegion, ...]:
        """Return a map's share of evidence in each region to avoid, and why one that could not be read has none."""
        engine, faults = self.auditor.engine, self.study.avoid_faults
        shares = [avoided_region(name, engine.overlap(evidence, marked)) for name, marked in self._to_avoid]
        return (*shares, *(AvoidedRegion(name=str(fault.label), reason=fault.reason) for fault in faults))

    @cached_property
    def _to_avoid(self) -> tuple[tuple[str, MarkedVoxels], ...]:
        return tuple((mask.label, self.auditor.engine.marked(mask)) for mask in self.study.avoid)

    def _rows(self, evidence: MaskedEvidence, target: str, role: TargetRole, region_at: RegionAt | None) -> list[Row]:
        """Return what a map's rows in a role say beside the map itself."""
        if role == "reference":
            return self._against_label(evidence, target, region_at) or [_without_mask(evidence, region_at)]
        facts: Row = {"target_role": role}
        if evidence.heatmap.method not in BASELINES:
            facts["placement"] = placement_of(evidence, self._in_body)
        rows = self._against_findings(evidence, region_at) or [_without_mask(evidence, region_at)]
        return [{**row, **facts} for row in rows]

    def _against_label(self, evidence: MaskedEvidence, label: str, region_at: RegionAt | None) -> list[Row]:
        """Hold a map against each reader's mask of a label."""
        metrics = self.auditor.metrics.values()
        numbers = [number for number, mask in enumerate(self.study.masks) if mask.label == label]
        rows = [self._row(evidence, self.study.masks[number].reader, (number,), region_at) for number in numbers]
        faults = faults_of(label, self.study.masks, self.study.mask_faults)
        return rows + [_undefined(fault.reader, undefined_scores(metrics, fault.reason)) for fault in faults]

    def _against_findings(self, evidence: MaskedEvidence, region_at: RegionAt | None) -> list[Row]:
        """Hold a map of a label that is not there against what each reader marked of the findings that are.

        Where the reference names none there is nothing to overlap with, whatever masks there are.
        """
        metrics, findings = self.auditor.metrics.values(), self._findings()
        if not findings:
            return [{**_undefined(None, undefined_scores(metrics, NO_FINDING)), **_without_mask(evidence, region_at)}]
        faults = self._faults_of(findings)
        drawn: dict[str, tuple[int, ...]] = {}
        for number, mask in enumerate(self.study.masks):
            if mask.label in findings and mask.reader not in faults:
                drawn[mask.reader] = (*drawn.get(mask.reader, ()), number)
        rows = [self._row(evidence, reader, numbers, region_at) for reader, numbers in drawn.items()]
        return rows + [_undefined(reader, undefined_scores(metrics, fault.reason)) for reader, fault in faults.items()]

    def _findings(self) -> tuple[str, ...]:
        """Return the labels of the reference that say that something is there."""
        negative = self.auditor.config.model.negative_label
        return tuple(label for label in self.study.reference or () if label != negative)

    def _faults_of(self, labels: Iterable[str]) -> dict[str, MaskFault]:
        """Return why a reader's mask of some labels cannot be had, by reader; of several labels the last one's."""
        masks, known = self.study.masks, self.study.mask_faults
        return {fault.reader: fault for label in labels for fault in faults_of(label, masks, known)}

    def _row(self, evidence: MaskedEvidence, reader: str, numbers: tuple[int, ...], region_at: RegionAt | None) -> Row:
        """Score a map against a reader's masks of these numbers, all of them together."""
        if numbers not in self._marked:
            masks = [self.study.masks[number] for number in numbers]
            self._marked[numbers] = self.auditor.engine.marked(replace(masks[0], array=_united(masks)))
        marked = self._marked[numbers]
        overlap = self.auditor.engine.overlap(evidence, marked)
        scores = {"scores": score_all(overlap, self.auditor.metrics.values()), "counts": region_counts(overlap)}
        plotted: Row = {"marks": self._marks(overlap)}
        if region_at is not None:
            plotted |= {"peak": peak_of(evidence, region_at, marked), "shares": self._shares(overlap)}
        return {"reader": reader, **scores, **_mask_shares(overlap), **plotted}

    def _marks(self, overlap: RegionOverlap) -> MarkCounts | None:
        """Return what marks find, where a metric of them is measured: parts are told apart once for both."""
        return mark_counts(overlap) if LESION_METRICS & self.auditor.metrics.keys() else None

    def _shares(self, overlap: RegionOverlap) -> RegionShares | None:
        """Return how the evidence divides; None of a study that is not prepared for the model again."""
        if self.study.prepared is None:
            return None
        marked = overlap.marked
        if marked not in self._beside:
            self._beside[marked] = RegionsBeside(self._labels, marked)
        return region_shares(overlap, self._beside[marked])

    @cached_property
    def _labels(self) -> RegionLabels:
        labels = body_labels(self._body, self.study.geometry)
        return with_avoided(labels, _united(self.study.avoid)) if self.study.avoid else labels


def _united(masks: Sequence[Mask]) -> NDArray[np.bool_]:
    return masks[0].array if len(masks) == 1 else np.logical_or.reduce([mask.array for mask in masks])


def _without_mask(evidence: MaskedEvidence, region_at: RegionAt | None) -> Row:
    return {"reader": None, "peak": peak_of(evidence, region_at, None) if region_at else None}


def _undefined(reader: str | None, scores: tuple[Score, ...]) -> Row:
    return {"reader": reader, "scores": scores}


def _key(grid: Geometry) -> tuple[object, ...]:
    return grid.shape, grid.affine.tobytes()


def _mask_shares(overlap: RegionOverlap) -> dict[str, float | None]:
    marked, seen, both = overlap.mask_voxels, overlap.evidence.seen_voxels, overlap.visible_voxels
    return {"seen_share": both / marked if marked else None, "mask_share": both / seen if seen else None}
