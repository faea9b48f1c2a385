"""What earlier runs of the same audit have already answered, carried over so that the new folder stands alone.

An answer is taken map by map: a study with all that is wanted now is carried over whole, one that lacks some maps is
shown to the model for those alone. Both stand in the shard ``reused``; a study that is completed stands in the shard
that completes it as well.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.findings.recipes import Recipes
from pipeline.findings.scores import MapScores
from pipeline.findings.shards import Maps, load_maps, read_answers, read_shard, write_maps, write_shard
from pipeline.findings.study_audit import StudyAudit
from pipeline.studies.study import PASSING

__all__ = [
    "carried_answers",
    "carry_over",
    "earlier_answers",
    "earlier_runs",
    "is_carried",
    "referring",
    "run_answers",
]

_SHARD = "reused"


def earlier_runs(audits: Path) -> list[Path]:
    """Return the folders of an audit's runs, newest first; an interrupted run counts."""
    return sorted((path.parent for path in audits.glob("*/audit.lock.yaml")), reverse=True)


def earlier_answers(
    runs: Iterable[Path], recipes: Recipes, sources: Mapping[str, str], complete: Callable[[StudyAudit], bool]
) -> tuple[dict[str, StudyAudit], Maps]:
    """Collect what runs, newest first, have answered of the studies of ``sources`` (pseudonym to hash of its files).

    The newest answer to a study and to each of its maps counts; older runs are asked until it is ``complete``. Failures
    are to be tried again, and so are masks that failed for a passing reason, and what can no longer be read.
    """
    answers: dict[str, StudyAudit] = {}
    maps: Maps = {}
    open_ones = set(sources)
    for shard in _shards(runs):
        if not open_ones:
            break
        try:
            audits = [audit for audit in read_answers(shard, recipes) if audit.study in open_ones]
            audits = [audit for audit in audits if audit.source_sha256 == sources[audit.study] and _settled(audit)]
            audits = [_lacking(audit, answers.get(audit.study)) for audit in audits]
            kept = load_maps(shard.parents[1], audits)
        except OutputError:
            continue  # damaged, or of another version: its studies are new
        maps |= kept
        for audit in audits:
            answers[audit.study] = _joined(answers.get(audit.study), audit)
            if complete(answers[audit.study]):
                open_ones.remove(audit.study)
    return answers, maps


def _shards(runs: Iterable[Path]) -> Iterator[Path]:
    for run in runs:
        yield from sorted((run / "shards").glob("*.parquet"))


def _settled(audit: StudyAudit) -> bool:
    return audit.status != "failed" and not any(fault.reason in PASSING for fault in audit.mask_faults)


def _lacking(audit: StudyAudit, newer: StudyAudit | None) -> StudyAudit:
    """Return an audit without the maps that a newer answer holds; without any where the study read otherwise then."""
    if newer is None:
        return audit
    same = (audit.facts, audit.mask_faults) == (newer.facts, newer.mask_faults)
    held = {_place(entry) for entry in newer.map_scores}
    map_scores = tuple(entry for entry in audit.map_scores if same and _place(entry) not in held)
    return audit.model_copy(update={"map_scores": map_scores})


def _place(entry: MapScores) -> tuple[str, str, str | None]:
    return entry.target, entry.method, entry.layer


def _joined(newer: StudyAudit | None, older: StudyAudit) -> StudyAudit:
    if newer is None:
        return older
    return newer.model_copy(update={"map_scores": (*newer.map_scores, *older.map_scores)})


def carry_over(folder: Path, audits: Iterable[StudyAudit], maps: Maps, recipes: Recipes) -> None:
    """Write what earlier runs answered as a shard of the new one.

    Raises:
        OutputError: when it cannot be written.
    """
    audits = [
        audit.model_copy(update={"map_scores": tuple(_pointing(entry, _SHARD) for entry in audit.map_scores)})
        for audit in audits
    ]
    wanted = {_key(entry.map) for audit in audits for entry in audit.map_scores if entry.map is not None}
    maps = {name: values for name, values in maps.items() if name.removesuffix("/affine") in wanted}
    write_maps(folder / "maps" / f"{_SHARD}.npz", maps)
    write_shard(folder / "shards" / f"{_SHARD}.parquet", audits, recipes)


def carried_answers(folder: Path) -> dict[str, StudyAudit]:
    """Return what a run carried over, whole or in part, by study.

    Raises:
        OutputError: when it cannot be read.
    """
    path = folder / "shards" / f"{_SHARD}.parquet"
    return {audit.study: audit for audit in read_shard(path)} if path.exists() else {}


def run_answers(folder: Path, shards: Mapping[str, int | None]) -> dict[str, StudyAudit]:
    """Return every study of a run that has been answered; ``shards`` tells by study which shard completes it.

    Raises:
        OutputError: when a shard cannot be read.
    """
    answers = {study: audit for study, audit in carried_answers(folder).items() if shards.get(study) is None}
    for path in sorted((folder / "shards").glob("*.parquet")):
        if path.stem != _SHARD:
            answers |= {audit.study: audit for audit in read_shard(path)}
    return answers


def referring(audit: StudyAudit, shard: str) -> StudyAudit:
    """Point a study's new findings at the maps file of its shard; those carried over keep theirs."""
    map_scores = tuple(entry if is_carried(entry) else _pointing(entry, shard) for entry in audit.map_scores)
    return audit.model_copy(update={"map_scores": map_scores})


def is_carried(entry: MapScores) -> bool:
    """Tell whether a finding's map lies among those that its run carried over."""
    return entry.map is not None and entry.map.startswith(f"maps/{_SHARD}.npz#")


def _pointing(entry: MapScores, shard: str) -> MapScores:
    if entry.map is None:
        return entry
    return entry.model_copy(update={"map": f"maps/{shard}.npz#{_key(entry.map)}"})


def _key(reference: str) -> str:
    """Return a map's key: a new finding has it bare, one that was written before behind its file's name."""
    return reference.partition("#")[2] if reference.startswith("maps/") else reference
