"""A run from its first hash to its shards: what is fixed before the first inference, and the work that follows.

``begin`` reads, hashes and locks, and cuts the studies that are new into shards; ``work`` audits one shard. Each takes
paths and numbers only, so that any process that sees the folder can do a part. ``results.py`` draws the conclusions.
"""

import hashlib
import json
import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import BaseModel, ConfigDict

from cam import METHODS
from pipeline.checks.config_checks import check_names, checked_config
from pipeline.checks.estimate import RunEstimate, estimate_run
from pipeline.checks.model_check import Probe, probe_model
from pipeline.config import AuditConfig, digest_of
from pipeline.config_file import read_document
from pipeline.errors import ArchiveError, ConfigError, OutputError
from pipeline.evidence.criteria import check_criteria
from pipeline.evidence.metrics.plugins import load_metrics
from pipeline.evidence.metrics.registry import measured_metrics
from pipeline.files import written
from pipeline.findings.ledger import Ledger
from pipeline.findings.lock import compare, read_lock
from pipeline.findings.recipes import Recipes
from pipeline.findings.record import LayerFacts, Lock, StudyAudit
from pipeline.findings.shards import Maps, write_maps, write_shard
from pipeline.models.load import choose_device, load_model
from pipeline.models.prepare import build_transforms
from pipeline.models.prepared_studies import PreparedCache
from pipeline.program import program_digest
from pipeline.progress import Progress, silent
from pipeline.runs.reuse import carried_answers, carry_over, earlier_answers, earlier_runs, referring
from pipeline.studies.file_hashes import open_file_hashes
from pipeline.studies.pseudonyms import Pseudonyms, load_key
from pipeline.studies.read_study import StudyRow
from pipeline.studies.untrusted.workers import WorkerPool
from pipeline.vocabulary import BASELINES
from pipeline.walk.map_plan import in_order, missing_maps, recipes_of
from pipeline.walk.sources import archive_rows, image_digest, row_digest
from pipeline.walk.study_walk import Auditor, StudySource, audit_studies

__all__ = [
    "LIBRARIES",
    "Member",
    "RunFile",
    "begin",
    "find_rows",
    "find_sources",
    "library_versions",
    "look_at_model",
    "open_auditor",
    "read_run",
    "work",
]

LIBRARIES = ("torch", "monai", "numpy", "scipy", "scikit-image", "pydicom", "highdicom", "nibabel", "pynrrd")
"""The libraries whose versions can change a number."""

_SMALLEST_SHARD, _LARGEST_SHARD = 8, 500
"""Studies in a shard unless configured: a twentieth of the new ones, within these bounds."""


class Member(BaseModel):
    """A study of the cohort: pseudonyms, the hash of its files, and the shard that audits it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: str
    patient: str
    source_sha256: str
    shard: int | None


class RunFile(BaseModel):
    """``audit.lock.yaml``: everything that was fixed before the first inference.

    ``rows`` is the digest that decides whether what an earlier run said of a study may be reused: how files are read
    and prepared, the model, the versions of this program and of the libraries, and the kind of device. Each map has its
    own, which follows from it (``Recipes``).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    command: str
    started_at: str
    device: str
    lock: Lock
    rows: str
    layers: tuple[LayerFacts, ...]
    shards: int
    previous_run: str | None
    configuration: dict[str, Any]
    overrides: tuple[str, ...] = ()


def begin(
    config_path: Path,
    command: str,
    overrides: Sequence[str] = (),
    *,
    deep: bool = False,
    pool: WorkerPool | None = None,
    on_estimate: Callable[[RunEstimate], None] = lambda estimate: None,  # noqa: ARG005 - the name is the documentation
) -> Path:
    """Check, hash and lock everything, carry over what earlier runs computed, and cut the rest into shards.

    Nothing is written before every check has passed. ``overrides`` are ``key=value``, as in ``load_config``; ``deep``
    as in ``find_sources``. ``on_estimate`` is told what the new studies will take.

    Returns:
        The run's folder.

    Raises:
        AuditError: one line that says what is wrong with the configuration, the model, the archive or the folder.
    """
    checked_config(config_path, overrides)
    auditor = open_auditor(config_path, overrides, pool=pool)
    config = auditor.config
    sources = find_sources(config, auditor.pseudonyms, deep=deep)
    probe = look_at_model(auditor, sources)
    layers = probe.layers
    runs = earlier_runs(config.run.output / config.name)
    hashes = [source.sha256 for source in sources]
    lock = _looked_before(compare(read_lock(config_path), config, auditor.model.sha256, hashes), runs)
    carried = _carried(replace(auditor, layers=tuple(layer.name for layer in layers)), runs, sources)
    new = [source for source in sources if source.study not in carried.whole]
    on_estimate(estimate_run(config, probe, len(new)))
    size = config.run.shard_size or min(max(len(new) // 20, _SMALLEST_SHARD), _LARGEST_SHARD)
    shard_of = {source.study: number // size for number, source in enumerate(new)}
    started = datetime.now(UTC)
    run = RunFile(
        run=f"{started:%Y%m%dT%H%M%S%f}"[:-3] + f"Z-{lock.recipe[:8]}",
        command=command,
        started_at=started.isoformat(timespec="seconds"),
        device=_device_name(auditor.device),
        lock=lock,
        rows=carried.recipes.study,
        layers=layers,
        shards=-(-len(new) // size),
        previous_run=next((run.name for run in runs if (run / "results.json").exists()), None),
        configuration=dict(read_document(config_path, overrides).content),
        overrides=tuple(overrides),
    )
    members = [
        Member(
            study=source.study, patient=source.patient, source_sha256=source.sha256, shard=shard_of.get(source.study)
        )
        for source in sources
    ]
    return _write_start(config.run.output / config.name / run.run, run, members, carried)


@dataclass(frozen=True)
class _Carried:
    """What earlier runs have answered: studies, their maps, and which of the studies lack nothing."""

    audits: Mapping[str, StudyAudit]
    maps: Maps
    whole: frozenset[str]
    recipes: Recipes


def _carried(auditor: Auditor, runs: Sequence[Path], sources: Sequence[StudySource]) -> _Carried:
    config, layers, recipes = auditor.config, auditor.layers, _recipes(auditor, auditor.layers)

    def is_whole(audit: StudyAudit) -> bool:
        return not missing_maps(audit, config, layers)

    hashes = {source.study: source.sha256 for source in sources}
    answers, maps = earlier_answers(runs, recipes, hashes, is_whole)
    audits = {study: in_order(audit, config, layers) for study, audit in answers.items()}
    return _Carried(audits, maps, frozenset(study for study, audit in audits.items() if is_whole(audit)), recipes)


def work(
    folder: Path,
    config_path: Path,
    shard: int,
    on_maps: Progress = silent,
    *,
    pool: WorkerPool | None = None,
) -> int:
    """Audit one shard of a run and write its rows and maps; return how many studies it held.

    Raises:
        AuditError: when the configuration or the archive is no longer what ``begin`` saw.
    """
    run, members = read_run(folder)
    auditor = open_auditor(config_path, run.overrides, layers=tuple(layer.name for layer in run.layers), pool=pool)
    if auditor.config.recipe() != run.lock.recipe or auditor.model.sha256 != run.lock.model:
        raise ConfigError(f"{config_path}: was changed while the run was under way; start the run again")
    known = find_rows(auditor.config, auditor.pseudonyms)
    mine = [member for member in members if member.shard == shard]
    gone = [member.study for member in mine if member.study not in known]
    if gone:
        raise ArchiveError(
            f"{len(gone)} studies vanished from the archive while the run was under way, first {gone[0]}"
        )
    carried = carried_answers(folder)
    sources = [
        replace(known[member.study], sha256=member.source_sha256, carried=carried.get(member.study)) for member in mine
    ]
    audits, maps = audit_studies(auditor, sources, on_maps)
    name = f"{shard:04d}"
    write_maps(folder / "maps" / f"{name}.npz", maps)
    write_shard(
        folder / "shards" / f"{name}.parquet",
        [referring(audit, name) for audit in audits],
        _recipes(auditor, auditor.layers),
    )
    return len(audits)


def _recipes(auditor: Auditor, layers: Sequence[str]) -> Recipes:
    foundation = [auditor.model.sha256, program_digest(), library_versions(LIBRARIES), auditor.device.type]
    return recipes_of(auditor.config, layers, foundation, auditor.metrics.values())


def read_run(folder: Path) -> tuple[RunFile, list[Member]]:
    """Read what ``begin`` fixed.

    Raises:
        OutputError: when the folder is not a run's.
    """
    try:
        run = RunFile.model_validate(yaml.safe_load((folder / "audit.lock.yaml").read_text(encoding="utf-8")))
        members = json.loads((folder / "cohort.json").read_text(encoding="utf-8"))
        return run, [Member.model_validate(member) for member in members]
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise OutputError(f"{folder}: is not the folder of a run of this version") from error


def open_auditor(
    config_path: Path,
    overrides: Sequence[str] = (),
    *,
    layers: tuple[str, ...] | None = None,
    pool: WorkerPool | None = None,
) -> Auditor:
    """Load configuration, transforms and model; the same unchanged file gives the same model again.

    Studies are read by the processes of ``pool``, which is the caller's to open and to leave.

    Raises:
        AuditError: one line that says what is wrong.
    """
    auditor = _opened(config_path.resolve(), tuple(overrides), _stamp(config_path))
    return replace(auditor, layers=layers or auditor.layers, pool=pool)


@lru_cache(maxsize=1)
def _opened(config_path: Path, overrides: tuple[str, ...], _digest: str) -> Auditor:
    config = check_names(config_path, overrides)
    metrics = measured_metrics(config, load_metrics())  # before the model: its code may change where modules are found
    preparation = build_transforms(config.prepare)
    device = choose_device(config.run.device)
    model = load_model(config.model, config_path.parent, device)
    pseudonyms = Pseudonyms(load_key(config.run.output))
    cache = _prepared_cache(config)
    return Auditor(config, model, preparation, device, config.model.layers, pseudonyms, cache, metrics=metrics)


def _prepared_cache(config: AuditConfig) -> PreparedCache | None:
    if config.run.cache is None:
        return None
    recipe = digest_of(
        [config.preparation(), config.model.labels, program_digest(), library_versions(LIBRARIES)]
    )  # the labels, since masks of others are refused
    return PreparedCache(config.run.cache, int(config.run.cache_gib * 1024**3), recipe)


def find_sources(config: AuditConfig, pseudonyms: Pseudonyms, *, deep: bool = False) -> tuple[StudySource, ...]:
    """List the archive's studies with pseudonyms and the hashes of their files.

    Hashes of files that look unchanged are those that were kept in ``run.output``, unless ``deep``.

    Raises:
        ArchiveError: when the archive or its manifest cannot be used.
        OutputError: when ``run.output`` cannot be written.
    """
    rows = archive_rows(config.archive)
    with open_file_hashes(config.run.output, deep=deep) as hashes:
        return tuple(
            _source(row, pseudonyms, row_digest(config.archive, row, hashes), image_digest(config.archive, row, hashes))
            for row in rows
        )


def find_rows(config: AuditConfig, pseudonyms: Pseudonyms) -> dict[str, StudySource]:
    """List the archive's studies by pseudonym, without hashing their files again."""
    return {source.study: source for source in (_source(row, pseudonyms) for row in archive_rows(config.archive))}


def look_at_model(auditor: Auditor, sources: Sequence[StudySource]) -> Probe:
    """Try the model, its layers, the methods and the transforms, and hold the criteria against the maps there will be.

    Raises:
        AuditError: as ``probe_model``; for a criterion about a map that there will not be.
    """
    probe = probe_model(auditor, [source.row for source in sources])
    check_criteria(auditor.config.criteria, [*_map_names(auditor.config, probe.layers), *BASELINES], auditor.metrics)
    return probe


def _source(row: StudyRow, pseudonyms: Pseudonyms, sha256: str = "", image_sha256: str = "") -> StudySource:
    study, patient = pseudonyms.study(row.patient, row.study), pseudonyms.patient(row.patient)
    return StudySource(row, study, patient, sha256, image_sha256)


def _stamp(config_path: Path) -> str:
    """Return a digest of the configuration's file; an absent file is ``load_config``'s to report."""
    return hashlib.sha256(config_path.read_bytes()).hexdigest() if config_path.is_file() else "absent"


def _map_names(config: AuditConfig, layers: Sequence[LayerFacts]) -> list[str]:
    """Return what the run's maps are called: the method, with the place where it has several."""
    names: list[str] = []
    for method in config.explain.methods:
        places = METHODS[method].places([layer.name for layer in layers])
        names += [method] if len(places) < 2 else [f"{method}@{place}" for place in places]
    return names


def library_versions(names: Sequence[str]) -> dict[str, str]:
    """Return the installed version of each library."""
    return {name: version(name) for name in names}


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.machine()}, {torch.get_num_threads()} threads)"


def _looked_before(lock: Lock, runs: Sequence[Path]) -> Lock:
    """Call a run exploratory when the same weights and configuration were run before the lock was set.

    Whoever saw those results could have chosen the criteria to fit them.
    """
    if lock.locked_at is None:
        return lock
    for folder in runs:
        try:
            earlier, _ = read_run(folder)
        except OutputError:
            continue  # of another version
        same = (earlier.lock.recipe, earlier.lock.model) == (lock.recipe, lock.model)
        if same and datetime.fromisoformat(earlier.started_at) < datetime.fromisoformat(lock.locked_at):
            why = f"run {earlier.run} looked at results before the lock was set"
            return lock.model_copy(update={"exploratory": (*lock.exploratory, why)})
    return lock


def _write_start(folder: Path, run: RunFile, members: Sequence[Member], carried: _Carried) -> Path:
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}; choose another run.output") from error
    try:
        if carried.audits:
            carry_over(folder, carried.audits.values(), carried.maps, carried.recipes)
        with written(folder / "cohort.json") as file:
            file.write(json.dumps([member.model_dump() for member in members], indent=1).encode())
        with written(folder / "audit.lock.yaml") as file:
            file.write(yaml.safe_dump(run.model_dump(mode="json"), sort_keys=False).encode())
        ledger = Ledger(folder / "ledger.jsonl")
        ledger.append("criteria.locked", criteria=run.lock.criteria, locked_at=run.lock.locked_at)
        ledger.append("configuration.locked", recipe=run.lock.recipe, exploratory=list(run.lock.exploratory))
        ledger.append("model.hashed", sha256=run.lock.model)
        ledger.append("cohort.locked", cohort=run.lock.cohort, studies=len(members), reused=len(carried.whole))
        ledger.append("inference.started", shards=run.shards)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder
