"""What a report shows beside numbers: the chosen cases, and a plane of what the model was shown."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cam import METHODS
from pipeline.conclusions.shown_cases.case_volume import LaidMap, cut_volume
from pipeline.conclusions.shown_cases.cases import cut_panels, withheld
from pipeline.conclusions.shown_cases.display_window import display_window
from pipeline.conclusions.shown_cases.picture_facts import CasePicture, picture_facts
from pipeline.errors import StudyError
from pipeline.evidence.metrics.map_evidence import MaskedEvidence, Undefined
from pipeline.evidence.metrics.registry import evidence_of
from pipeline.findings.pictures.panels import save_panels
from pipeline.findings.pictures.volumes import save_volume, volume_name
from pipeline.findings.scores import MapScores
from pipeline.findings.shards import load_map
from pipeline.findings.study_audit import StudyAudit, map_name, methods_at_layers
from pipeline.runs.asked_again import Picture
from pipeline.studies.study import Study
from pipeline.studies.volume import Heatmap, Volume
from pipeline.walk.alignment import map_resampling
from pipeline.walk.auditor import Auditor
from pipeline.walk.reading import read_studies
from pipeline.walk.sources import StudySource, bound

__all__ = ["INPUT_PICTURE", "cut_pictures"]

INPUT_PICTURE = "model-input.npz"


def cut_pictures(
    folder: Path,
    auditor: Auditor,
    cases: Sequence[StudyAudit],
    first: StudyAudit | None,
    sources: Mapping[str, StudySource],
) -> tuple[dict[str, CasePicture], Picture]:
    """Cut the panels of the chosen cases, and a plane of the model's input of the ``first`` study; each is read once.

    Returns:
        The cases' pictures by study, and the input's.
    """
    wanted = {audit.study: audit for audit in (*cases, *([first] if first else []))}
    notes = {study: withheld(audit.facts, auditor.config.report.pictures) for study, audit in wanted.items()}
    shown = [study for study, note in notes.items() if note is None]
    read = read_studies(auditor, [sources[study].row for study in shown])
    studies = {name: bound(study, sources[name].sha256) for name, study in zip(shown, read, strict=True)}
    pictures = {audit.study: _case(folder, auditor, audit, studies.get(audit.study), notes) for audit in cases}
    return pictures, _input(folder, auditor, studies.get(first.study), notes[first.study]) if first else (None, None)


def _case(
    folder: Path, auditor: Auditor, audit: StudyAudit, study: Study | StudyError | None, notes: Mapping[str, str | None]
) -> CasePicture:
    if study is None:
        return CasePicture(note=notes[audit.study])
    if isinstance(study, StudyError):
        return CasePicture(note=f"the study can no longer be read: {study}")
    target, answered = _explained(audit)
    maps = _laid_maps(folder, auditor, audit, target, study)
    for label in answered:
        beside = list(_laid_maps(folder, auditor, audit, label, study).items())[:1]  # a page has room for one of each
        maps |= {f"{name} ({label}, answered)": laid for name, laid in beside}
    masks = [mask for mask in study.masks if mask.label == target]
    panels = cut_panels(
        study.image,
        masks,
        {name: laid.heatmap for name, laid in maps.items()},
        {name: _threshold(laid.evidence) for name, laid in maps.items()},
        study=audit.study,
        window=display_window(study.image.array, audit.facts, auditor.config.report.window),
        unit="HU" if audit.facts.get("Modality") == "CT" else "",
        survey=True,
    )
    name = f"cases/{audit.study}.npz"
    save_panels(panels, folder / name)
    keep = auditor.config.report.volumes
    if keep != "none":
        save_volume(cut_volume(study.image, masks, maps, audit.study, keep), folder / volume_name(audit.study))
    others = sorted({entry.target for entry in audit.map_scores} - {target, *answered})
    note = f"maps for {', '.join(others)} are in the record" if others else None
    return CasePicture(name, note, picture_facts(panels), None if keep == "none" else volume_name(audit.study))


def _explained(audit: StudyAudit) -> tuple[str, tuple[str, ...]]:
    """Return the label whose maps are shown, and those that were called wrongly, whose maps are shown beside them."""
    targets = dict.fromkeys(entry.target for entry in audit.map_scores if entry.target_role == "reference")
    wrong = dict.fromkeys(entry.target for entry in audit.map_scores if entry.target_role == "answered")
    target = next(iter(targets or wrong))
    return target, tuple(label for label in wrong if label != target)


def _threshold(evidence: MaskedEvidence) -> float | None:
    """Return the threshold above which a map's region is drawn; None where it has none."""
    try:
        return evidence.threshold
    except Undefined:
        return None


def _laid_maps(folder: Path, auditor: Auditor, audit: StudyAudit, target: str, study: Study) -> dict[str, LaidMap]:
    """Read a study's maps back and carry them to the image's grid, one for each map name.

    What is kept is signed; what is shown is the method's own map, rectified where its formula ends so.
    """
    map_scores = [entry for entry in audit.map_scores if entry.target == target and entry.map is not None]
    at_layers = methods_at_layers([audit])
    maps: dict[str, LaidMap] = {}
    for entry in map_scores:
        name = map_name(entry, at_layers)
        if name not in maps:
            maps[name] = _laid_map(folder, auditor, audit, entry, study)
    return maps


def _laid_map(folder: Path, auditor: Auditor, audit: StudyAudit, entry: MapScores, study: Study) -> LaidMap:
    values, affine = load_map(folder, entry)
    geometry, layer = study.image.geometry, str(entry.layer or "")
    cells = replace(geometry, shape=values.shape, affine=affine)
    resampling = map_resampling(auditor, layer, cells, geometry)
    field = resampling.apply(values)
    rectified = METHODS[entry.method].rectified
    if rectified:
        field = np.maximum(field, 0)
    heatmap = Heatmap(field, geometry, resampling.seen, entry.method, layer, entry.target)
    evidence = evidence_of(heatmap, auditor.config.overlap, auditor.rule_for(audit.patient, heatmap, entry.target))
    seen_step = np.linalg.inv(cells.affine) @ geometry.affine
    return LaidMap(values, resampling.step, seen_step, rectified, heatmap, evidence)


def _input(folder: Path, auditor: Auditor, study: Study | StudyError | None, note: str | None) -> Picture:
    """Cut the middle plane of the model's input, its first channel."""
    if study is None:
        return None, note
    try:
        if isinstance(study, StudyError):
            raise study
        prepared = auditor.preparation(study.image)
    except StudyError as fault:
        return None, f"the study can no longer be read: {fault}"
    plane = Volume(prepared.x[0].numpy(), prepared.grid)
    save_panels(cut_panels(plane, [], {}, {}, study=study.identity), folder / INPUT_PICTURE)
    return INPUT_PICTURE, None
