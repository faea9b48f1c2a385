"""What the page says of a case besides its pictures: facts, windows, maps with their counts, and the audit's scores."""

from collections.abc import Mapping
from typing import Any

from pipeline.findings.localisation.curves import CURVE_SHARES
from pipeline.findings.pictures.panels import CasePanels
from pipeline.findings.pictures.volumes import CaseVolume, KeptMap
from pipeline.findings.results import CaseEntry, Results
from pipeline.findings.scores import MapScores
from pipeline.findings.signed.decisions import maps_of_case
from pipeline.findings.study_audit import map_name, methods_at_layers
from reports.case_page import CASE_WARNING, case_badge, case_facts
from reports.numbers import number
from reports.viewer.windows import window_presets
from reports.wording import headed, method, words

__all__ = ["case_header", "pictured", "score_table"]


def case_header(results: Results, case: CaseEntry) -> dict[str, Any]:
    """Return what is said of a case whatever is shown of it."""
    badge = case_badge(case)
    return {
        "study": case.study,
        "badge": None if badge is None else {"text": badge[0], "kind": badge[1]},
        "facts": case_facts(results, case),
        "note": case.note,
        "warning": CASE_WARNING,
        "maps": [{"name": name, "title": method(results, name)} for name in maps_of_case(case)],
        "scores": score_table(results, case),
    }


def score_table(results: Results, case: CaseEntry) -> dict[str, Any]:
    """Return the audit's scores: the heads, and a row for each map and expert; an undefined score says why."""
    names = [facts.name for facts in results.metrics]
    at_layers = methods_at_layers([case.audit])
    rows = []
    for entry in case.audit.map_scores:
        scores = {score.name: score for score in entry.scores}
        cells = [
            "" if (score := scores.get(name)) is None else words(score.reason or "") or number(score.value, like=(1.0,))
            for name in names
        ]
        rows.append([method(results, map_name(entry, at_layers)), entry.target, entry.reader or "", *cells])
    return {"heads": ["Map", "Label", "Expert", *(headed(results, name) for name in names)], "rows": rows}


def pictured(results: Results, case: CaseEntry, panels: CasePanels, volume: CaseVolume | None) -> dict[str, Any]:
    """Return what is said of a case's pictures: windows, explained label, each map's range, threshold and counts."""
    return {
        "target": panels.target,
        "unit": panels.unit,
        "windows": window_presets(panels.window, panels.window_rule, panels.unit, case.audit.facts),
        "kind": "planes" if volume is None else "volume",
        "maps": [
            {
                "name": name,
                "title": method(results, name),
                "range": panels.ranges[name],
                "threshold": panels.thresholds[name],
                "curve": _recorded_curve(case, panels, name) if volume is None else _curve(volume.maps[name]),
                "recorded": _recorded(case, panels, name),
            }
            for name in panels.ranges
        ],
    }


def _curve(kept: KeptMap) -> dict[str, Any]:
    """Return a map's counts at each threshold, by reader, as the run counted them on the image's grid."""
    return {
        "thresholds": kept.thresholds,
        "region": kept.region,
        "drawn": kept.drawn,
        "total": kept.total,
        "tied": kept.tied,
        "readers": {reader: vars(counts) for reader, counts in kept.readers.items()},
    }


def _recorded_curve(case: CaseEntry, panels: CasePanels, name: str) -> dict[str, Any] | None:
    """Return the counts that the record has of a map, at the thresholds of every curve; None where it has none."""
    counted = {str(entry.reader): entry.counts for entry in _entries(case, panels, name) if entry.counts is not None}
    if not counted:
        return None
    first = next(iter(counted.values()))
    highest = max(0.0, panels.ranges[name][1])
    return {
        "thresholds": [share * highest for share in CURVE_SHARES],
        "region": first.region,
        "drawn": None,
        "total": None,
        "tied": None,
        "readers": {reader: {"common": counts.common, "mask": counts.mask} for reader, counts in counted.items()},
    }


def _recorded(case: CaseEntry, panels: CasePanels, name: str) -> Mapping[str, Mapping[str, float]]:
    """Return by reader the scores that the audit gave a map, those that have a value."""
    return {
        str(entry.reader): {score.name: score.value for score in entry.scores if score.value is not None}
        for entry in _entries(case, panels, name)
        if entry.reader is not None
    }


def _entries(case: CaseEntry, panels: CasePanels, name: str) -> list[MapScores]:
    """Return the records of a map against the explained label; those of another label have masks of their own."""
    if " (" in name:
        return []
    at_layers = methods_at_layers([case.audit])
    return [
        entry
        for entry in case.audit.map_scores
        if entry.target == panels.target and map_name(entry, at_layers) == name and entry.map is not None
    ]
