"""What earlier runs of the same audit have answered: taken where it is proved, by reference, and map by map.

Nothing is taken from a run whose ledger, signatures or files do not hold. Rows are copied into the shard ``reused`` of
the new run, so that it can be read alone; a map stays where it was computed, and its row refers to it there.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from pipeline.config import digest_of
from pipeline.errors import OutputError
from pipeline.findings.carried import REUSED, Carried, MapPlace
from pipeline.findings.custody.recorded_files import check_file, files_told_by
from pipeline.findings.custody.seen_studies import SeenStudies
from pipeline.findings.facts import Lock
from pipeline.findings.lock import LockFile
from pipeline.findings.members.member import Member
from pipeline.findings.members.table import MemberTable
from pipeline.findings.recipes import Recipes
from pipeline.findings.scores import MapScores
from pipeline.findings.shards import iter_answers, maps_path, read_shard, write_shard
from pipeline.findings.spec import COHORT_FILE, LEDGER_FILE, SPEC_FILE, RunSpec, read_members, read_spec
from pipeline.findings.study_audit import StudyAudit
from pipeline.packed.by_name import PackedByName
from pipeline.packed.items import Keep, in_memory
from pipeline.packed.texts import TextMap
from pipeline.runs.locking import NOTHING_CHANGED, ChangedStudies, image_of
from pipeline.studies.study import PASSING
from pipeline.walk.sources import StudySource

__all__ = [
    "EarlierRuns",
    "carried_answers",
    "carry_over",
    "changed_since",
    "earlier_answers",
    "earlier_runs",
    "first_seen",
    "is_carried",
    "referring",
    "run_answers",
]

Answer = TypeVar("Answer")


def earlier_runs(audits: Path) -> list[Path]:
    """Return the folders of an audit's runs, newest first; an interrupted run counts."""
    return sorted((path.parent for path in audits.glob(f"*/{SPEC_FILE}")), reverse=True)


def stated_by(run: Path) -> Mapping[str, Any]:
    """Return what a run's specification says, held against nothing: good for passing over a run, and for no more."""
    try:
        stated = json.loads((run / SPEC_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return stated if isinstance(stated, dict) else {}


def first_seen(
    runs: Iterable[Path], trust: "EarlierRuns", lock: Lock, seen: SeenStudies | None, sources: Iterable[StudySource]
) -> Mapping[str, str]:
    """Return which run under the same lock had each study first, of those that one had: by the runs and the register.

    What the newest run under it says holds for all before it; the register (``known_looks``) knows a study by its
    image, whatever it is called now, where that run was kept, and whether or not the newest run had it.
    """
    _, members = _newest_under(runs, trust, lock.digest, lock.locked_at) or (None, ())
    by_runs = TextMap((member.study, member.first_seen) for member in members)
    by_register = seen.first_of({image_of(source) for source in sources}) if seen is not None else {}
    if not by_register:
        return by_runs
    names = ((source.study, by_runs.get(source.study), by_register.get(image_of(source))) for source in sources)
    return TextMap((study, min(filter(None, known))) for study, *known in names if any(known))


def changed_since(
    runs: Iterable[Path], trust: "EarlierRuns", lock: LockFile | None, studies: Mapping[str, str]
) -> ChangedStudies:
    """Return which studies of a growing cohort the newest run under its lock had, and it has no more or otherwise.

    ``runs`` are an audit's, newest first, ``studies`` go from a pseudonym to the hash of what a study is read from.
    What older runs had is asked of the register, which knows those that are kept elsewhere as well.
    """
    newest = None if lock is None else _newest_under(runs, trust, lock.digest, lock.locked_at)
    if lock is None or not lock.open_cohort or newest is None:
        return NOTHING_CHANGED
    spec, members = newest
    removed, altered = set[str](), set[str]()
    for member in members:
        if member.study not in studies:
            removed.add(member.study)
        elif studies[member.study] != member.source_sha256:
            altered.add(member.study)
    return ChangedStudies(frozenset(removed), frozenset(altered), spec.run, spec.lock.register_mark)


def _newest_under(
    runs: Iterable[Path], trust: "EarlierRuns", digest: str | None, locked_at: str | None
) -> tuple[RunSpec, MemberTable] | None:
    """Return what the newest run under a lock says of itself and of its studies; none from before the lock is asked."""
    for run in runs if digest is not None and locked_at is not None else ():
        spec = trust.specification(run)
        if spec is None:
            continue
        if spec.lock.digest == digest:
            members = trust.members(run)
            if members is not None:
                return spec, members
        elif datetime.fromisoformat(spec.started_at) < datetime.fromisoformat(str(locked_at)):
            return None
    return None


@dataclass
class EarlierRuns:
    """Runs that are held against their ledgers, each once; ``refused`` says of what does not hold why.

    ``public`` is the key that must have signed them: this site's.
    """

    public: str
    refused: list[str] = field(default_factory=list)
    _hashes: dict[Path, dict[str, str] | None] = field(default_factory=dict)
    _files: dict[Path, bool] = field(default_factory=dict)
    _specification: tuple[Path, RunSpec | None] | None = None
    _members: tuple[Path, MemberTable | None] | None = None

    def specification(self, run: Path) -> RunSpec | None:
        """Return what a run says of itself; None where that does not hold, or is of another version."""
        if self._specification is None or self._specification[0] != run:
            self._specification = run, self._read(run, SPEC_FILE, read_spec)
        return self._specification[1]

    def members(self, run: Path) -> MemberTable | None:
        """Return the list of a run's studies; None where it does not hold. That of the run asked last is kept."""
        if self._members is None or self._members[0] != run:
            self._members = run, self._read(run, COHORT_FILE, read_members)
        return self._members[1]

    def _read(self, run: Path, name: str, read: Callable[[Path], Answer]) -> Answer | None:
        if self.holds(run, name):
            with suppress(OutputError):  # of another version
                return read(run)
        return None

    def holds(self, run: Path, name: str) -> bool:
        """Tell whether a file of a run is the one that its ledger tells of."""
        path = run / name
        if path not in self._files:
            self._files[path] = self._checked(run, name)
        return self._files[path]

    def holds_if_told(self, run: Path, name: str) -> bool:
        """Tell whether a run's ledger holds, and a file is as it tells, or it tells of none of that name."""
        hashes = self._recorded(run)
        return hashes is not None and (name not in hashes or self.holds(run, name))

    def _checked(self, run: Path, name: str) -> bool:
        hashes = self._recorded(run)
        if hashes is None:
            return False
        try:
            check_file(run, name, hashes)
        except OutputError as error:
            self.refused.append(f"run {run.name}: {name} is not used: {_without_path(error)}")
            return False
        return True

    def _recorded(self, run: Path) -> dict[str, str] | None:
        if run not in self._hashes:
            try:
                self._hashes[run] = files_told_by(run / LEDGER_FILE, public=self.public)
            except OutputError as error:
                self.refused.append(f"run {run.name}: nothing of it is used: {_without_path(error)}")
                self._hashes[run] = None
        return self._hashes[run]


def _without_path(error: OutputError) -> str:
    return str(error).partition(": ")[2] or str(error)


def earlier_answers(
    runs: Iterable[Path],
    trust: EarlierRuns,
    recipes: Recipes,
    sources: Mapping[str, str],
    complete: Callable[[Carried], bool],
    keep: Keep = in_memory,
) -> PackedByName[Carried]:
    """Collect what runs, newest first, have answered of the studies of ``sources`` (pseudonym to hash of its files).

    The newest answer to a study and to each of its maps counts; older runs are asked until it is ``complete``. Failures
    are to be tried again, and so are masks that failed for a passing reason, and what does not hold any more. What was
    collected lies where ``keep`` has it: one record at a time is an object.

    A run took over all that those before it knew of its studies by its own recipes. So of runs that were made alike
    the newest one is asked of all, and older ones only of what that had not, and of what they computed themselves.
    """
    answers, wanted = PackedByName[Carried](keep), set(sources)
    untold = dict[str, set[str]]()  # by how runs were made: the studies of which none of them has told all
    for run in runs:
        if not wanted:
            break
        study_recipe, made = _made_by(run)
        if study_recipe != recipes.study:
            continue
        asked = wanted & untold[made] if made in untold else wanted
        if not asked:
            continue
        for shard in _shards(run, own=made in untold):
            if not trust.holds(run, shard):
                continue
            with suppress(OutputError):  # of another version: its studies are new
                for carried in iter_answers(run / shard, recipes, asked):
                    study = carried.audit.study
                    if study not in wanted or sources[study] != carried.audit.source_sha256 or not _settled(carried):
                        continue
                    answer = _joined(answers.get(study), _with_proved_maps(run, carried, trust))
                    answers.put(study, answer)
                    if complete(answer):
                        wanted.discard(study)
        if made not in untold and (answered := _told_by(run, trust, sources)) is not None:
            untold[made] = wanted - answered
    return answers


def _made_by(run: Path) -> tuple[str, str]:
    """Return the recipe of a run's studies, and a digest of its other ones: what decides whether it is asked at all."""
    stated = stated_by(run)
    others = [stated.get(name) for name in ("masks_recipe", "maps", "measured")]
    return str(stated.get("study_recipe")), digest_of(others)


def _shards(run: Path, *, own: bool) -> list[str]:
    """Return the shards of a run; its ``own`` are those that it computed itself."""
    names = sorted(f"shards/{path.name}" for path in (run / "shards").glob("*.parquet"))
    return [name for name in names if not (own and name == REUSED)]


def _told_by(run: Path, trust: EarlierRuns, sources: Mapping[str, str]) -> set[str] | None:
    """Return the studies of which a run tells all that older ones made alike can; None where it does not hold.

    What it took over has to hold. Its other studies it computed because none had answered them.
    """
    members = trust.members(run) if trust.holds_if_told(run, REUSED) else None
    if members is None:
        return None
    return {member.study for member in members if sources.get(member.study) == member.source_sha256}


def _settled(carried: Carried) -> bool:
    audit = carried.audit
    if audit.status == "excluded" and not carried.masks_hold:
        return False  # by what was read otherwise, perhaps
    return audit.status != "failed" and not any(fault.reason in PASSING for fault in audit.mask_faults)


def _with_proved_maps(run: Path, carried: Carried, trust: EarlierRuns) -> Carried:
    """Refer to the maps in the run that keeps them, and leave out those whose files do not hold."""
    entries = [entry for entry in carried.audit.map_scores if entry.map is None or _proved(run, entry, trust)]
    entries = [_in_run(entry, run.name) for entry in entries]
    return replace(carried, audit=carried.audit.model_copy(update={"map_scores": tuple(entries)}))


def _proved(run: Path, entry: MapScores, trust: EarlierRuns) -> bool:
    path = maps_path(run, str(entry.map).partition("#")[0])
    keeper = path.parents[1]
    return trust.holds(keeper, f"maps/{path.name}")


def _in_run(entry: MapScores, run: str) -> MapScores:
    if entry.map is None or is_carried(entry):
        return entry
    return entry.model_copy(update={"map": f"../{run}/{entry.map}"})


def _joined(newer: Carried | None, older: Carried) -> Carried:
    """Add what an older answer holds and a newer one lacks; nothing where the study read otherwise then."""
    if newer is None:
        return older
    if (older.audit.facts, older.audit.mask_faults) != (newer.audit.facts, newer.audit.mask_faults):
        return newer
    if older.masks_hold != newer.masks_hold:
        return newer if newer.masks_hold else older
    held = {_place(entry) for entry in newer.audit.map_scores}
    better = {place for place in newer.stale if place not in older.stale} & {
        _place(entry) for entry in older.audit.map_scores
    }
    kept = [entry for entry in newer.audit.map_scores if _place(entry) not in better]
    added = [entry for entry in older.audit.map_scores if _place(entry) in better or _place(entry) not in held]
    stale = (newer.stale - better) | {place for place in older.stale if place not in held}
    return replace(newer, audit=newer.audit.model_copy(update={"map_scores": (*kept, *added)}), stale=stale)


def _place(entry: MapScores) -> MapPlace:
    return entry.target, entry.method, entry.layer or ""


def carry_over(folder: Path, studies: Iterable[Carried], recipes: Recipes) -> None:
    """Write what earlier runs answered as a shard of the new one.

    Raises:
        OutputError: when it cannot be written.
    """
    write_shard(folder / REUSED, studies, recipes)


def carried_answers(folder: Path, recipes: Recipes, studies: Collection[str]) -> dict[str, Carried]:
    """Return what a run carried over of some studies, whole or in part, by study.

    Raises:
        OutputError: when it cannot be read.
    """
    path = folder / REUSED
    answers = iter_answers(path, recipes, studies) if path.exists() else ()
    return {carried.audit.study: carried for carried in answers}


def run_answers(folder: Path, members: Iterable[Member]) -> dict[str, StudyAudit]:
    """Return every study of a run that has been answered.

    Raises:
        OutputError: when a shard cannot be read.
    """
    whole = {member.study for member in members if member.shard is None}
    answers: dict[str, StudyAudit] = {}
    for path in sorted((folder / "shards").glob("*.parquet")):
        audits = read_shard(path)
        chosen = [audit for audit in audits if audit.study in whole] if path.name == Path(REUSED).name else audits
        answers |= {audit.study: audit for audit in chosen}
    return answers


def referring(audit: StudyAudit, shard: str) -> StudyAudit:
    """Point a study's new maps at the maps file of its shard; those of earlier runs stay where they are."""
    return audit.model_copy(update={"map_scores": tuple(_pointing(entry, shard) for entry in audit.map_scores)})


def is_carried(entry: MapScores) -> bool:
    """Tell whether an entry's map is one that an earlier run computed."""
    return entry.map is not None and entry.map.startswith("../")


def _pointing(entry: MapScores, shard: str) -> MapScores:
    if entry.map is None or is_carried(entry):
        return entry
    return entry.model_copy(update={"map": f"maps/{shard}.npz#{entry.map}"})
