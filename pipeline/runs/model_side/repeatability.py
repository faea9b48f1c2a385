"""Whether the run's maps come out again: one study is explained anew and held against the maps that were kept."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.errors import OutputError
from pipeline.findings.scores import MapScores
from pipeline.findings.shards import Maps, load_maps
from pipeline.findings.study_audit import StudyAudit
from pipeline.runs.reuse import is_carried
from pipeline.walk.auditor import Auditor
from pipeline.walk.sources import StudySource
from pipeline.walk.study_walk import audit_studies

__all__ = ["repeatability"]


def repeatability(
    folder: Path, audits: Iterable[StudyAudit], auditor: Auditor, sources: Mapping[str, StudySource]
) -> str:
    """Say how far the maps of the first study with any differ when it is read and explained again, alone.

    A study of this run comes before one that was carried over whole. Nothing that is kept on disk is used but the maps
    themselves: neither a prepared study nor an earlier answer.
    """
    mapped = [audit for audit in audits if any(entry.map for entry in audit.map_scores)]
    audit = next((audit for audit in mapped if not all(map(is_carried, _with_map(audit)))), None)
    audit = audit or next(iter(mapped), None)
    if audit is None:
        return "not checked: the run has no map"
    if auditor.model is None:
        return "not checked: the maps of an earlier run were scored again, and no model was run"
    try:
        kept = load_maps(folder, audit.map_scores)
    except OutputError:
        return f"not checked: the stored maps of {audit.study} cannot be read"
    source = replace(sources[audit.study], sha256=audit.source_sha256, carried=None)
    (again,), maps = audit_studies(replace(auditor, prepared_cache=None), [source])
    if again.status != "analysed":
        return f"not checked: {audit.study} could not be analysed again: {again.message}"
    return f"{audit.study} was computed again, alone{_origin(audit)}: {_difference(kept, maps)}"


def _with_map(audit: StudyAudit) -> list[MapScores]:
    return [entry for entry in audit.map_scores if entry.map is not None]


def _origin(audit: StudyAudit) -> str:
    carried = sum(map(is_carried, _with_map(audit)))
    if not carried:
        return ""
    return ", and held against maps of earlier runs" + ("" if carried == len(_with_map(audit)) else " and of this one")


def _difference(kept: Maps, again: Maps) -> str:
    """Compare the maps that both hold, value by value; name the largest difference and what it is a share of."""
    keys = [key for key in kept if not key.endswith("/affine")]
    missing = [key for key in keys if key not in again or again[key].shape != kept[key].shape]
    if missing:
        return f"{len(missing)} of its {len(keys)} maps do NOT come out again (another target or another shape)"
    if all(np.array_equal(kept[key], again[key]) for key in keys):
        return f"its {len(keys)} maps repeat bit for bit"
    gaps = {key: float(np.abs(kept[key].astype(np.float64) - again[key]).max()) for key in keys}
    worst = max(keys, key=lambda key: _share(gaps[key], kept, key))
    method, layer = worst.rsplit("/", 2)[1:]
    return (
        f"its {len(keys)} maps do NOT repeat bit for bit (batched and single runs round differently); the largest "
        f"difference is {gaps[worst]:.2g}, {_share(gaps[worst], kept, worst):.2g} of its map's largest value "
        f"({method} at {layer})"
    )


def _share(gap: float, kept: Maps, key: str) -> float:
    largest = float(np.abs(kept[key]).max())
    return gap / largest if largest else float(gap > 0)
