"""A run from its first hash to its shards: what is fixed before the first inference, and the work that follows.

``begin`` reads, hashes and locks, and cuts the studies that are new into shards; ``work`` audits one shard. Each takes
paths and numbers only, so that any process that sees the folder can do a part. ``results.py`` draws the conclusions.
"""

import hashlib
import json
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import BaseModel, ConfigDict

from cam import METHODS
from pipeline.archives import archive_rows, row_digest
from pipeline.audit import Auditor, StudySource, audit_studies
from pipeline.config import AuditConfig, Explain, digest_of, load_config
from pipeline.errors import ArchiveError, ConfigError, OutputError
from pipeline.evidence.baselines import BASELINES
from pipeline.evidence.criteria import check_criteria, closest
from pipeline.files import written
from pipeline.ledger import Ledger
from pipeline.lock import camaudit_version, compare, read_lock
from pipeline.models.load import choose_device, load_model
from pipeline.models.prepare import build_transforms
from pipeline.prepared import Kept
from pipeline.probe import resolve_layers
from pipeline.progress import Progress, silent
from pipeline.record import LayerFacts, Lock, StudyAudit
from pipeline.reuse import carry_over, earlier_audits, earlier_runs, referring
from pipeline.shards import Maps, write_maps, write_shard
from pipeline.studies.archive import StudyRow
from pipeline.studies.privacy import Pseudonyms, load_key

__all__ = [
    "LIBRARIES",
    "Member",
    "RunFile",
    "begin",
    "find_rows",
    "find_sources",
    "library_versions",
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

    ``rows`` is the digest that decides whether an earlier run's rows may be reused: the recipe, the weights, the
    versions of this program and of the libraries, and the kind of device.
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


def begin(config_path: Path, command: str) -> Path:
    """Check, hash and lock everything, carry over what earlier runs computed, and cut the rest into shards.

    Nothing is written before every check has passed.

    Returns:
        The run's folder.

    Raises:
        AuditError: one line that says what is wrong with the configuration, the model, the archive or the folder.
    """
    auditor = open_auditor(config_path)
    config = auditor.config
    sources = find_sources(config, auditor.pseudonyms)
    _check_labels(config, sources)
    layers = resolve_layers(auditor, [source.row for source in sources])
    check_criteria(config.criteria, [*_map_names(config, layers), *BASELINES])
    runs = earlier_runs(config.run.output / config.name)
    hashes = [source.sha256 for source in sources]
    lock = _looked_before(compare(read_lock(config_path), config, auditor.model.sha256, hashes), runs)
    rows = digest_of([lock.recipe, lock.model, camaudit_version(), library_versions(LIBRARIES), auditor.device.type])
    reused, maps = earlier_audits(runs, rows, {(source.study, source.sha256) for source in sources})
    new = [source for source in sources if source.study not in reused]
    size = config.run.shard_size or min(max(len(new) // 20, _SMALLEST_SHARD), _LARGEST_SHARD)
    shard_of = {source.study: number // size for number, source in enumerate(new)}
    started = datetime.now(UTC)
    run = RunFile(
        run=f"{started:%Y%m%dT%H%M%S%f}"[:-3] + f"Z-{lock.recipe[:8]}",
        command=command,
        started_at=started.isoformat(timespec="seconds"),
        device=_device_name(auditor.device),
        lock=lock,
        rows=rows,
        layers=layers,
        shards=-(-len(new) // size),
        previous_run=next((run.name for run in runs if (run / "results.json").exists()), None),
        configuration=yaml.safe_load(config_path.read_text(encoding="utf-8")),
    )
    members = [
        Member(study=one.study, patient=one.patient, source_sha256=one.sha256, shard=shard_of.get(one.study))
        for one in sources
    ]
    return _write_start(config.run.output / config.name / run.run, run, members, (reused, maps))


def work(folder: Path, config_path: Path, shard: int, on_maps: Progress = silent) -> int:
    """Audit one shard of a run and write its rows and maps; return how many studies it held.

    Raises:
        AuditError: when the configuration or the archive is no longer what ``begin`` saw.
    """
    run, members = read_run(folder)
    auditor = open_auditor(config_path, tuple(layer.name for layer in run.layers))
    if auditor.config.recipe() != run.lock.recipe or auditor.model.sha256 != run.lock.model:
        raise ConfigError(f"{config_path}: was changed while the run was under way; start the run again")
    known = find_rows(config_path, auditor.pseudonyms)
    mine = [member for member in members if member.shard == shard]
    gone = [member.study for member in mine if member.study not in known]
    if gone:
        raise ArchiveError(
            f"{len(gone)} studies vanished from the archive while the run was under way, first {gone[0]}"
        )
    sources = [replace(known[one.study], sha256=one.source_sha256) for one in mine]
    audits, maps = audit_studies(auditor, sources, on_maps)
    name = f"{shard:04d}"
    write_maps(folder / "maps" / f"{name}.npz", maps)
    write_shard(folder / "shards" / f"{name}.parquet", [referring(audit, name) for audit in audits], run.rows)
    return len(audits)


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


def open_auditor(config_path: Path, layers: tuple[str, ...] | None = None) -> Auditor:
    """Load configuration, transforms and model; the same unchanged file gives the same object again.

    Raises:
        AuditError: one line that says what is wrong.
    """
    auditor = _opened(config_path.resolve(), _stamp(config_path))
    return replace(auditor, layers=layers) if layers else auditor


@lru_cache(maxsize=1)
def _opened(config_path: Path, _digest: str) -> Auditor:
    config = load_config(config_path)
    _check_methods(config.explain)
    preparation = build_transforms(config.prepare)
    device = choose_device(config.run.device)
    model = load_model(config.model, config_path.parent, device)
    pseudonyms = Pseudonyms(load_key(config.run.output))
    return Auditor(config, model, preparation, device, config.model.layers, pseudonyms, _kept(config))


def _kept(config: AuditConfig) -> Kept | None:
    if config.run.cache is None:
        return None
    recipe = digest_of([config.preparation(), camaudit_version(), library_versions(LIBRARIES)])
    return Kept(config.run.cache, int(config.run.cache_gib * 1024**3), recipe)


def _check_methods(asked: Explain) -> None:
    unknown = [name for name in asked.methods if name not in METHODS]
    if unknown:
        raise ConfigError(f"explain.methods: unknown method {unknown[0]!r}; {closest(unknown[0], METHODS)}")
    for name, options in asked.options.items():
        if name not in asked.methods:
            raise ConfigError(f"explain.options: {name!r} is not among explain.methods {list(asked.methods)}")
        wrong = [option for option in options if option not in METHODS[name].options]
        if wrong:
            known = closest(wrong[0], METHODS[name].options)
            raise ConfigError(f"explain.options.{name}: unknown option {wrong[0]!r}; {known}")


def find_sources(config: AuditConfig, pseudonyms: Pseudonyms) -> tuple[StudySource, ...]:
    """List the archive's studies with pseudonyms and the hashes of their files.

    Raises:
        ArchiveError: when the archive or its manifest cannot be used.
    """
    rows = archive_rows(config.archive)
    return tuple(_source(row, pseudonyms, row_digest(config.archive, row)) for row in rows)


def find_rows(config_path: Path, pseudonyms: Pseudonyms) -> dict[str, StudySource]:
    """List the archive's studies by pseudonym, without hashing their files again."""
    rows = archive_rows(load_config(config_path).archive)
    return {source.study: source for source in (_source(row, pseudonyms, "") for row in rows)}


def _source(row: StudyRow, pseudonyms: Pseudonyms, sha256: str) -> StudySource:
    return StudySource(row, pseudonyms.study(row.patient, row.study), pseudonyms.patient(row.patient), sha256)


def _stamp(config_path: Path) -> str:
    """Return a digest of the configuration's file; an absent file is ``load_config``'s to report."""
    return hashlib.sha256(config_path.read_bytes()).hexdigest() if config_path.is_file() else "absent"


def _check_labels(config: AuditConfig, sources: Sequence[StudySource]) -> None:
    """Refuse an archive none of whose labels the model has: that is a misspelling, not a cohort."""
    found = {label for source in sources for label in source.row.reference or ()}
    if found and not found & set(config.model.labels):
        first = min(found)
        advice = closest(first, config.model.labels)
        raise ArchiveError(f"{config.archive.path}: label {first!r} is not one of the model's labels; {advice}")


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


def _write_start(
    folder: Path, run: RunFile, members: Sequence[Member], reused: tuple[Mapping[str, StudyAudit], Maps]
) -> Path:
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}; choose another run.output") from error
    try:
        audits, maps = reused
        if audits:
            carry_over(folder, audits.values(), maps, run.rows)
        with written(folder / "cohort.json") as file:
            file.write(json.dumps([member.model_dump() for member in members], indent=1).encode())
        with written(folder / "audit.lock.yaml") as file:
            file.write(yaml.safe_dump(run.model_dump(mode="json"), sort_keys=False).encode())
        ledger = Ledger(folder / "ledger.jsonl")
        ledger.append("criteria.locked", criteria=run.lock.criteria, locked_at=run.lock.locked_at)
        ledger.append("configuration.locked", recipe=run.lock.recipe, exploratory=list(run.lock.exploratory))
        ledger.append("model.hashed", sha256=run.lock.model)
        ledger.append("cohort.locked", cohort=run.lock.cohort, studies=len(members), reused=len(audits))
        ledger.append("inference.started", shards=run.shards)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder
