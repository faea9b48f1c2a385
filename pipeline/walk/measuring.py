"""From a study's raw maps to scores on its masks' grid: maps just computed, and maps that an earlier run keeps."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.baselines import centre_prior, random_map
from pipeline.evidence.metrics.map_evidence import MaskedEvidence
from pipeline.evidence.metrics.registry import score_all, undefined_scores
from pipeline.findings.carried import Carried, MapPlace
from pipeline.findings.scores import MapScores
from pipeline.findings.shards import load_maps, map_key
from pipeline.models.prepared_studies import PreparedStudy
from pipeline.studies.geometry import Geometry, Resampling, plan
from pipeline.studies.study import faults_of
from pipeline.studies.volume import Heatmap, Mask
from pipeline.vocabulary import BASELINES, Baseline
from pipeline.walk.auditor import Auditor
from pipeline.walk.map_plan import places_of
from pipeline.walk.sources import StudySource

__all__ = ["StudyMap", "kept_maps", "measure_baselines", "measure_maps"]


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


def measure_maps(auditor: Auditor, study: PreparedStudy, maps: StudyMaps) -> list[MapScores]:
    """Carry maps to the study's own grid and score each against every reader's mask."""
    plans: dict[str, Resampling] = {}
    entries: list[MapScores] = []
    for (target, method, layer), kept in maps.items():
        resampling = plans.setdefault(layer, plan(kept.grid, study.geometry))
        heatmap = Heatmap(resampling.apply(kept.values), study.geometry, resampling.seen, method, layer, target)
        facts = {"map": kept.reference, "map_sha256": kept.sha256, "cell_mm": kept.grid.spacing}
        entries += _measure(auditor, study, heatmap, facts)
    return entries


def measure_baselines(
    auditor: Auditor, source: StudySource, study: PreparedStudy, maps: StudyMaps, targets: Iterable[str]
) -> list[MapScores]:
    """Score the baselines of some targets, on the grid of each target's first map, which ``maps`` must hold.

    The random map follows from the seed and from what the study is read from, not from its pseudonym.
    """
    entries: list[MapScores] = []
    for target in targets:
        first = maps[(target, *places_of(auditor.config, auditor.layers)[0])]
        resampling = plan(first.grid, study.geometry)
        noise = random_map(first.grid.shape, auditor.config.run.seed, source.sha256)
        baselines: dict[Baseline, NDArray[np.float32]] = {
            "random_map": resampling.apply(noise),
            "centre_prior": centre_prior(study.geometry),
        }
        for name in BASELINES:
            heatmap = Heatmap(baselines[name], study.geometry, resampling.seen, name, "", target)
            entries += _measure(auditor, study, heatmap, {})
    return entries


def _measure(auditor: Auditor, study: PreparedStudy, heatmap: Heatmap, facts: Mapping[str, object]) -> list[MapScores]:
    evidence = MaskedEvidence(heatmap, auditor.config.overlap.threshold)
    common = {
        **facts,
        "target": heatmap.target,
        "method": heatmap.method,
        "layer": heatmap.layer or None,
        "degenerate": evidence.degenerate,
    }
    masks = [mask for mask in study.masks if mask.label == heatmap.target]
    metrics = auditor.metrics.values()
    rows: list[dict[str, object]] = [
        {"reader": mask.reader, "scores": score_all(evidence, mask, metrics), **_mask_shares(mask, heatmap)}
        for mask in masks
    ]
    rows += [
        {"reader": fault.reader, "scores": undefined_scores(metrics, fault.reason)}
        for fault in faults_of(heatmap.target, study.masks, study.mask_faults)
    ]
    return [MapScores.model_validate({**common, **row}) for row in rows or [{"reader": None}]]


def _mask_shares(mask: Mask, heatmap: Heatmap) -> dict[str, float | None]:
    marked, seen = int(mask.array.sum()), int(heatmap.seen.sum())
    both = int((mask.array & heatmap.seen).sum())
    return {"seen_share": both / marked if marked else None, "mask_share": both / seen if seen else None}
