"""What is known of a study from an earlier run: what still holds, and which scores are to be made again."""

from dataclasses import dataclass

from pipeline.findings.study_audit import StudyAudit

__all__ = ["REUSED", "Carried", "MapPlace", "maps_file", "records_file", "shard_files"]

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


def maps_file(shard: int) -> str:
    """Return the name of the file of a shard's maps in the run's folder."""
    return f"maps/{shard:04d}.npz"


def records_file(shard: int) -> str:
    """Return the name of the file of a shard's records in the run's folder."""
    return f"shards/{shard:04d}.parquet"


def shard_files(shard: int) -> tuple[str, str]:
    """Return the names of both files that the work on a shard writes."""
    return maps_file(shard), records_file(shard)
