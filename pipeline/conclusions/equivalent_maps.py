"""Which of a run's maps are one piece of evidence, from the maps that it keeps or refers to."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.evidence.equivalence import StudyMaps, equivalent_methods
from pipeline.findings.shards import map_key, maps_by_study
from pipeline.findings.study_audit import StudyAudit, map_name, methods_at_layers

__all__ = ["equivalent_maps"]


def equivalent_maps(folder: Path, audits: Sequence[StudyAudit]) -> tuple[tuple[str, ...], ...]:
    """Return the groups of maps that are one piece of evidence, from the run's stored maps."""
    at_layers = methods_at_layers(audits)
    mapped = [entry for audit in audits for entry in audit.map_scores if entry.map is not None]
    names = list(dict.fromkeys(map_name(entry, at_layers) for entry in mapped))

    def studies() -> Iterator[StudyMaps]:
        for audit, maps in maps_by_study(folder, audits):
            keys = {
                (map_name(entry, at_layers), entry.target): map_key(entry)
                for entry in audit.map_scores
                if entry.map is not None
            }
            yield {name: maps[key] for name, key in keys.items() if key in maps}

    return equivalent_methods(names, studies())
