"""What a report shows beside numbers: the chosen cases, and a plane of what the model was shown."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cam import METHODS
from pipeline.conclusions.shown_cases.cases import cut_panels, withheld
from pipeline.conclusions.shown_cases.display_window import display_window
from pipeline.conclusions.shown_cases.picture_facts import picture_facts
from pipeline.errors import StudyError
from pipeline.evidence.metrics.map_evidence import Undefined
from pipeline.evidence.metrics.registry import evidence_of
from pipeline.findings.panels import save_panels
from pipeline.findings.results import PictureFacts
from pipeline.findings.shards import load_map
from pipeline.findings.study_audit import StudyAudit, map_name, methods_at_layers
from pipeline.studies.study import Study
from pipeline.studies.volume import Heatmap, Volume
from pipeline.walk.alignment import map_resampling
from pipeline.walk.auditor import Auditor
from pipeline.walk.reading import read_studies
from pipeline.walk.sources import StudySource, bound

__all__ = ["INPUT_PICTURE", "CasePicture", "Picture", "cut_pictures"]

INPUT_PICTURE = "model-input.npz"

Picture = tuple[str | None, str | None]
"""The file of a picture in the run's folder, and the note beside it or in its place."""

CasePicture = tuple[str | None, str | None, PictureFacts | None]
"""As ``Picture``, and what the file of a case says in numbers."""


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
        return None, notes[audit.study], None
    if isinstance(study, StudyError):
        return None, f"the study can no longer be read: {study}", None
    target, answered = _explained(audit)
    heatmaps = _heatmaps(folder, auditor, audit, target, study)
    for label in answered:
        beside = list(_heatmaps(folder, auditor, audit, label, study).items())[:1]  # a page has room for one of each
        heatmaps |= {f"{name} ({label}, answered)": heatmap for name, heatmap in beside}
    panels = cut_panels(
        study.image,
        [mask for mask in study.masks if mask.label == target],
        heatmaps,
        {name: _threshold(auditor, audit.patient, heatmap) for name, heatmap in heatmaps.items()},
        study=audit.study,
        window=display_window(study.image.array, audit.facts, auditor.config.report.window),
        unit="HU" if audit.facts.get("Modality") == "CT" else "",
        survey=True,
    )
    name = f"cases/{audit.study}.npz"
    save_panels(panels, folder / name)
    others = sorted({entry.target for entry in audit.map_scores} - {target, *answered})
    note = f"maps for {', '.join(others)} are in the record" if others else None
    return name, note, picture_facts(panels)


def _explained(audit: StudyAudit) -> tuple[str, tuple[str, ...]]:
    """Return the label whose maps are shown, and those that were called wrongly, whose maps are shown beside them."""
    targets = dict.fromkeys(entry.target for entry in audit.map_scores if entry.target_role == "reference")
    wrong = dict.fromkeys(entry.target for entry in audit.map_scores if entry.target_role == "answered")
    target = next(iter(targets or wrong))
    return target, tuple(label for label in wrong if label != target)


def _threshold(auditor: Auditor, patient: str, heatmap: Heatmap) -> float | None:
    """Return the threshold above which a map's region is drawn; None where it has none."""
    rule = auditor.rule_for(patient, heatmap, heatmap.target)
    try:
        return evidence_of(heatmap, auditor.config.overlap, rule).threshold
    except Undefined:
        return None


def _heatmaps(folder: Path, auditor: Auditor, audit: StudyAudit, target: str, study: Study) -> dict[str, Heatmap]:
    """Read a study's maps back and carry them to the image's grid, one for each map name.

    What is kept is signed; what is shown is the method's own map, rectified where its formula ends so.
    """
    map_scores = [entry for entry in audit.map_scores if entry.target == target and entry.map is not None]
    at_layers = methods_at_layers([audit])
    heatmaps: dict[str, Heatmap] = {}
    for entry in map_scores:
        name = map_name(entry, at_layers)
        if name not in heatmaps:
            values, affine = load_map(folder, entry)
            geometry = study.image.geometry
            cells = replace(geometry, shape=values.shape, affine=affine)
            resampling = map_resampling(auditor, str(entry.layer or ""), cells, geometry)
            field = resampling.apply(values)
            if METHODS[entry.method].rectified:
                field = np.maximum(field, 0)
            heatmaps[name] = Heatmap(field, geometry, resampling.seen, entry.method, str(entry.layer), target)
    return heatmaps


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
