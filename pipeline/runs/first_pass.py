"""What a run has to know of its whole cohort before it scores the first study, and what therefore is scored anew.

The masks of each shard are kept in the run's folder in the common frame of the average mask; any process that sees the
folder makes the same averages of them.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.config import AuditConfig, TunedConfig
from pipeline.errors import OutputError
from pipeline.evidence.localisation.average_mask import AverageMasks, Cells, Kind, Sums, patients_mean
from pipeline.evidence.localisation.tuning import tuning_patients
from pipeline.findings.carried import REUSED, Carried, records_file
from pipeline.findings.custody.recorded_files import check_file, files_told_by
from pipeline.findings.members.table import MemberTable
from pipeline.findings.shards import iter_shard
from pipeline.findings.spec import LEDGER_FILE, Member, RunSpec
from pipeline.findings.study_audit import StudyAudit
from pipeline.vocabulary import BASELINES, COHORT_BASELINES
from pipeline.walk.sources import StudySource

__all__ = [
    "dependent_on_cohort",
    "kept_averages",
    "masks_file",
    "needs_survey",
    "read_cells",
    "split_of",
    "tuning_answers",
]

_Place = tuple[Path, str]


def needs_survey(config: AuditConfig) -> bool:
    """Tell whether a run scores a baseline that follows from the whole cohort's masks."""
    return not COHORT_BASELINES.isdisjoint(config.baselines)


def masks_file(shard: int) -> str:
    """Return the name of the file of a shard's masks in the run's folder."""
    return f"masks/{shard:04d}.npz"


def dependent_on_cohort(config: AuditConfig, tuning: Collection[str], carried: Carried) -> Carried:
    """Return an earlier answer with everything stale that another cohort, or one more mask, would make another.

    That is all baselines where one follows from the whole cohort's masks: a study is read again then even where none of
    its maps is, since its masks are part of the others' averages. And it is every score of a region whose threshold is
    tuned; ``tuning`` are the patients who tune, in whom nothing follows from it.
    """
    changed = _with_stale_baselines(carried) if needs_survey(config) else carried
    if isinstance(config.overlap.threshold, TunedConfig) and changed.audit.patient not in tuning:
        places = {(entry.target, entry.method, entry.layer or "") for entry in changed.audit.map_scores}
        changed = replace(changed, stale=changed.stale | places)
    return changed


def split_of(config: AuditConfig, sources: Iterable[StudySource]) -> frozenset[str]:
    """Return the patients who tune thresholds, before anything of them is scored.

    Raises:
        ConfigError: when the split that the configuration states parts no patients, or parts a patient.
    """
    studies = [(source.patient, source.row.strata) for source in sources]
    return tuning_patients(config.overlap, config.run.seed, studies)


def tuning_answers(folder: Path, members: MemberTable) -> list[StudyAudit]:
    """Return the records of a run's tuning patients, each shard held against the ledger.

    Raises:
        OutputError: when one is not there yet: the shards of tuning patients come first.
    """
    tuning = members.tuning
    shards = sorted({member.shard for member in tuning if member.shard is not None})
    recorded = files_told_by(folder / LEDGER_FILE)
    missing = [shard for shard in shards if records_file(shard) not in recorded]
    if missing:
        raise OutputError(f"{folder}: shard {missing[0]} has patients on whom thresholds are tuned; work it first")
    audits, wanted = dict[str, StudyAudit](), {member.study for member in tuning}
    names = [REUSED] if (folder / REUSED).exists() else []
    for name in (*names, *(records_file(shard) for shard in shards)):
        check_file(folder, name, recorded)
        audits |= {audit.study: audit for audit in iter_shard(folder / name) if audit.study in wanted}
    return [audits[member.study] for member in tuning]


def _with_stale_baselines(carried: Carried) -> Carried:
    audit = carried.audit
    if audit.status != "analysed":
        return carried
    baselines = {(entry.target, entry.method, "") for entry in audit.map_scores if entry.method in BASELINES}
    return replace(carried, stale=carried.stale | baselines, masks_hold=carried.masks_hold and bool(baselines))


def kept_averages(folder: Path, spec: RunSpec, members: Iterable[Member]) -> AverageMasks | None:
    """Return the masks of a run's cohort as its folder keeps them; None where nothing is compared with them.

    Raises:
        OutputError: when a file is missing, or is not the one that was written.
    """
    if not needs_survey(spec.config):
        return None
    names = [masks_file(shard) for shard in range(spec.shards)]
    recorded = files_told_by(folder / LEDGER_FILE)
    for name in names:
        check_file(folder, name, recorded)
    return _average_of([folder / name for name in names], {member.study: member.patient for member in members})


def read_cells(path: Path) -> dict[str, Cells]:
    """Return all that a file of masks holds.

    Raises:
        OutputError: when it cannot be read.
    """
    with _opened(path) as arrays:
        return {key: arrays[key] for key in arrays.files}


def _average_of(files: Iterable[Path], patients: Mapping[str, str]) -> AverageMasks:
    """Return the cohort's masks from the files of its shards; ``patients`` goes from a study to its patient.

    Patients are read one after the other; what is held is one sum for each label.
    """
    places: dict[tuple[str, Kind], list[_Place]] = defaultdict(list)
    for path in files:
        with _opened(path) as arrays:
            for key in arrays.files:
                study, _, label = key.partition("/")
                places[patients[study], (label, arrays[key].ndim)].append((path, key))
    totals: dict[Kind, Sums] = {}
    counts: dict[Kind, int] = defaultdict(int)
    for kind, own in _patients_parts(places):
        totals[kind] = own if kind not in totals else totals[kind] + own
        counts[kind] += 1

    def own_part(patient: str, kind: Kind) -> Sums | None:
        return next((own for _, own in _patients_parts({(patient, kind): places.get((patient, kind), [])})), None)

    return AverageMasks(totals, dict(counts), own_part)


def _patients_parts(places: Mapping[tuple[str, Kind], list[_Place]]) -> Iterable[tuple[Kind, Sums]]:
    """Yield each patient's part of a label's sum, those of the same files one after the other."""
    groups: dict[tuple[Path, ...], list[tuple[Kind, list[_Place]]]] = defaultdict(list)
    for (_, kind), own in places.items():
        if own:
            groups[tuple(dict.fromkeys(path for path, _ in own))].append((kind, own))
    for paths, parts in groups.items():
        with ExitStack() as stack:
            arrays = {path: stack.enter_context(_opened(path)) for path in paths}
            for kind, own in parts:
                cells: list[Cells] = [arrays[path][key] for path, key in own]
                yield kind, patients_mean(cells)


def _opened(path: Path) -> np.lib.npyio.NpzFile:
    try:
        opened: np.lib.npyio.NpzFile = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise OutputError(f"{path}: the masks of this run are missing or damaged") from error
    return opened
