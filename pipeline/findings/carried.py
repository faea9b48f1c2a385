"""What is known of a study from an earlier run: what still holds, and which scores are to be made again."""

from dataclasses import dataclass

from pipeline.findings.study_audit import StudyAudit

__all__ = ["REUSED", "Carried", "MapPlace"]

REUSED = "shards/reused.parquet"
"""The shard of what a run carried over from earlier ones."""

MapPlace = tuple[str, str, str]
"""(target, method, layer) of a map; a baseline's layer is empty."""


@dataclass(frozen=True)
class Carried:
    """An earlier answer: what the model said, and maps that are still this run's.

    The maps of ``stale`` hold and their scores do not: another threshold, metric or reading of masks made them. Without
    ``masks_hold`` nothing that was read of masks and reference holds either.
    """

    audit: StudyAudit
    stale: frozenset[MapPlace] = frozenset()
    masks_hold: bool = True

    @property
    def holds(self) -> bool:
        """Whether everything that it says is as this run would say it."""
        return self.masks_hold and not self.stale
