"""Which of a run's maps are one piece of evidence, from the maps that it keeps or refers to."""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from pipeline.evidence.equivalence import StudyMaps, equivalent_methods
from pipeline.findings.shards import map_key, maps_by_study
from pipeline.findings.study_audit import MethodAtLayer, StudyAudit, map_name

__all__ = ["equivalent_maps", "mapped_places"]


def equivalent_maps(
    folder: Path, audits: Iterable[StudyAudit], mapped: Iterable[MethodAtLayer], at_layers: Collection[str]
) -> tuple[tuple[str, ...], ...]:
    """Return the groups of maps that are one piece of evidence, from the run's stored maps.

    ``mapped`` are the methods and layers of which a map is kept, in the order in which they come, ``at_layers`` the
    methods that are named with their layer. Records are read no further than until no two maps are left that could be
    one.
    """
    names = list(dict.fromkeys(map_name(place, at_layers) for place in mapped))

    def studies() -> Iterator[StudyMaps]:
        for audit, maps in maps_by_study(folder, audits):
            yield {
                (map_name(entry, at_layers), entry.target): maps[map_key(entry)]
                for entry in audit.map_scores
                if entry.map is not None
            }

    return equivalent_methods(names, studies())


def mapped_places(audits: Iterable[StudyAudit]) -> list[MethodAtLayer]:
    """Return the methods and layers of which a map is kept, in the order in which they come."""
    entries = (entry for audit in audits for entry in audit.map_scores if entry.map is not None)
    return list(dict.fromkeys(MethodAtLayer(entry.method, entry.layer) for entry in entries))
