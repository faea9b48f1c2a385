"""What earlier runs of the same audit have already answered, carried over so that the new folder stands alone."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.record import StudyAudit
from pipeline.shards import Maps, load_maps, read_recipe, read_shard, write_maps, write_shard

__all__ = ["carry_over", "earlier_audits", "earlier_runs", "referring"]

_SHARD = "reused"


def earlier_runs(audits: Path) -> list[Path]:
    """Return the folders of an audit's runs, newest first; an interrupted run counts."""
    return sorted((path.parent for path in audits.glob("*/audit.lock.yaml")), reverse=True)


def earlier_audits(
    runs: Iterable[Path], recipe: str, wanted: set[tuple[str, str]]
) -> tuple[dict[str, StudyAudit], Maps]:
    """Find the studies, as (pseudonym, hash of files and reference), that a run with the same recipe has answered.

    The newest answer counts. Failures are to be tried again, and so is what can no longer be read.
    """
    audits: dict[str, StudyAudit] = {}
    maps: Maps = {}
    for shard in _shards(runs, recipe):
        try:
            found = [
                audit
                for audit in read_shard(shard)
                if audit.status != "failed"
                and (audit.study, audit.source_sha256) in wanted
                and audit.study not in audits
            ]
            kept = load_maps(shard.parents[1], found)
        except OutputError:
            continue  # damaged: its studies are new
        audits |= {audit.study: audit for audit in found}
        maps |= kept
    return audits, maps


def _shards(runs: Iterable[Path], recipe: str) -> Iterator[Path]:
    for run in runs:
        yield from (path for path in sorted((run / "shards").glob("*.parquet")) if read_recipe(path) == recipe)


def carry_over(folder: Path, audits: Iterable[StudyAudit], maps: Maps, recipe: str) -> None:
    """Write what earlier runs answered as a shard of the new one.

    Raises:
        OutputError: when it cannot be written.
    """
    write_maps(folder / "maps" / f"{_SHARD}.npz", maps)
    write_shard(folder / "shards" / f"{_SHARD}.parquet", [referring(audit, _SHARD) for audit in audits], recipe)


def referring(audit: StudyAudit, shard: str) -> StudyAudit:
    """Point a study's findings at the maps file of its shard."""
    findings = tuple(
        finding.model_copy(update={"map": f"maps/{shard}.npz#{finding.map.rpartition('#')[2]}"})
        if finding.map is not None
        else finding
        for finding in audit.findings
    )
    return audit.model_copy(update={"findings": findings})
