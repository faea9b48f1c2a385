"""What a run is made of before its first inference: checked, hashed, held against lock and register, and written."""

import json
import platform
import shutil
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path

import torch

from cam import METHODS
from pipeline.checks.estimate import estimate_run
from pipeline.checks.model_check import Probe, check_model
from pipeline.config_file import LoadedConfig
from pipeline.errors import OutputError
from pipeline.evidence.columns.store import ColumnStore
from pipeline.experiments.choosing import chosen_studies
from pipeline.files import written
from pipeline.findings.carried import REUSED, Carried
from pipeline.findings.custody.ledger import Ledger
from pipeline.findings.custody.recorded_files import record_files
from pipeline.findings.custody.register import PLACE_FILE, write_place
from pipeline.findings.custody.seen_studies import SeenStudies
from pipeline.findings.custody.site_key import SiteKey, load_site_key
from pipeline.findings.experiments.bundle import FamilyRows, write_experiment
from pipeline.findings.facts import Lock, MethodFacts
from pipeline.findings.lock import LockFile, read_lock
from pipeline.findings.members.member import Member
from pipeline.findings.members.table import MemberTable
from pipeline.findings.recipes import Recipes
from pipeline.findings.spec import (
    COHORT_FILE,
    FONTS_FOLDER,
    LEDGER_FILE,
    LOCK_FILE,
    SOURCES_FILE,
    SPEC_FILE,
    MapRecipe,
    ModelIdentity,
    Program,
    RunSpec,
    write_members,
)
from pipeline.packed.by_name import MappedByName
from pipeline.packed.items import Keep, MappedItems, in_memory
from pipeline.program import camaudit_version, library_versions, program_digest, program_revision
from pipeline.runs.carried_experiments import carried_experiments
from pipeline.runs.first_pass import dependent_on_cohort, split_of
from pipeline.runs.locking import Subject, compare, enter_run, known_looks, subject_of
from pipeline.runs.private_sources import write_sources
from pipeline.runs.reuse import EarlierRuns, carry_over, changed_since, earlier_answers, earlier_runs, first_seen
from pipeline.runs.start_watch import SILENT, StartWatch
from pipeline.studies.untrusted.workers import WorkerPool
from pipeline.vocabulary import Family
from pipeline.walk.alignment import with_layers
from pipeline.walk.auditor import Auditor, open_auditor
from pipeline.walk.map_plan import in_order, missing_maps, recipes_of
from pipeline.walk.sources import StudySource, find_sources, training_overlap

__all__ = [
    "CarriedStudies",
    "CreatedRun",
    "Start",
    "created_run",
    "device_name",
    "map_recipes",
    "prepare_start",
    "run_name",
    "scoring_of",
    "this_program",
    "write_start",
]

_SMALLEST_SHARD, _LARGEST_SHARD = 8, 500
"""Studies in a shard unless configured: a twentieth of the new ones, within these bounds."""


@dataclass(frozen=True)
class CarriedStudies:
    """What earlier runs have answered, which of the studies lack nothing, and why something was not taken."""

    answers: Mapping[str, Carried]
    whole: frozenset[str]
    refused: tuple[str, ...] = ()


@dataclass(frozen=True)
class Start:
    """All that is known of a run before it is written. ``configuration`` is the file that gave it.

    ``first_seen`` goes from a study to the earlier run under the same lock that had it first; ``under_lock`` is what
    the register says of runs under that of a growing cohort. ``tuning`` are the patients on whom thresholds are tuned.
    ``experiments`` are the rows that are known already: of a run whose maps are scored again, or of the nights that
    ``experiments_from`` names.
    """

    auditor: Auditor
    spec: RunSpec
    subject: Subject
    sources: Sequence[StudySource]
    carried: CarriedStudies
    configuration: Path
    key: SiteKey
    lock: LockFile | None = None
    first_seen: Mapping[str, str] = field(default_factory=dict)
    under_lock: SeenStudies | None = None
    tuning: frozenset[str] = frozenset()
    experiments: tuple[FamilyRows, ...] = ()
    experiments_from: Mapping[Family, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CreatedRun:
    """A run whose folder is written, with the model that it was tried on."""

    folder: Path
    spec: RunSpec
    members: MemberTable
    auditor: Auditor


def created_run(
    loaded: LoadedConfig, command: str, pool: WorkerPool, *, deep: bool = False, watch: StartWatch = SILENT
) -> CreatedRun:
    """Check and hash everything and write a run's folder; the caller holds the folder of the audit's runs.

    Raises:
        AuditError: one line that says what is wrong; then no folder is left.
    """
    with ColumnStore(loaded.config.run.output / loaded.config.name) as store:
        start = prepare_start(loaded, command, pool, deep=deep, watch=watch, keep=store.keep)
        folder, spec, members = write_start(start)
    return CreatedRun(folder, spec, members, start.auditor)


def prepare_start(
    loaded: LoadedConfig,
    command: str,
    pool: WorkerPool,
    *,
    deep: bool = False,
    watch: StartWatch = SILENT,
    keep: Keep = in_memory,
) -> Start:
    """Load the model, list and hash the archive, try the model, and see what earlier runs proved. Nothing is written.

    ``keep`` has what earlier runs answered: the start lives no longer than it.

    Raises:
        AuditError: one line that says what is wrong.
    """
    config = loaded.config
    opened = open_auditor(config, loaded.folder, pool=pool)
    sources = find_sources(config, opened.pseudonyms, deep=deep)
    tuning = split_of(config, sources)
    probe = check_model(opened, MappedItems(attrgetter("row"), sources))
    auditor = replace(with_layers(opened, probe.layers), one_by_one=probe.one_by_one)
    key = load_site_key()
    subject, lock = subject_of(config, auditor.loaded, sources), read_lock(loaded.path)
    trust, earlier = EarlierRuns(key.public), earlier_runs(config.run.output / config.name)
    since, known = changed_since(earlier, trust, lock, subject.studies), known_looks(lock)
    spec = _spec(loaded, command, auditor, probe, compare(lock, subject, key, known, since))
    chosen = chosen_studies(config, sources)
    spec = spec.model_copy(update={"training": training_overlap(config, sources), "experiments": chosen})
    tried = carried_experiments(earlier, trust, spec, subject.studies)
    carried = _carried(auditor, spec.recipes, trust, subject.studies, tuning, keep)
    seen = first_seen(earlier, trust, spec.lock, known.seen, sources)
    new = sum(source.study not in carried.whole for source in sources)
    watch.on_estimate(
        estimate_run(config, probe, new, {family: len(chosen[family]) for family in chosen.keys() - tried})
    )
    return Start(
        auditor=auditor,
        spec=spec,
        subject=subject,
        sources=sources,
        carried=carried,
        configuration=loaded.path.resolve(),
        key=key,
        lock=lock,
        first_seen=seen,
        under_lock=known.seen,
        tuning=tuning,
        experiments=tuple(rows for _, rows in tried.values()),
        experiments_from={family: run for family, (run, _) in tried.items()},
    )


def _carried(
    auditor: Auditor,
    recipes: Recipes,
    trust: EarlierRuns,
    hashes: Mapping[str, str],
    tuning: Collection[str],
    keep: Keep,
) -> CarriedStudies:
    config, layers = auditor.config, auditor.layers

    def is_whole(carried: Carried) -> bool:
        return carried.holds and not missing_maps(carried.audit, config, layers)

    def ready(carried: Carried) -> Carried:
        answer = dependent_on_cohort(config, tuning, carried)
        return replace(answer, audit=in_order(answer.audit, config, layers)) if answer.masks_hold else answer

    runs = earlier_runs(config.run.output / config.name)
    answers = MappedByName(ready, earlier_answers(runs, trust, recipes, hashes, is_whole, keep))
    whole = frozenset(study for study, answer in answers.items() if is_whole(answer))
    return CarriedStudies(answers, whole, tuple(trust.refused))


def _spec(loaded: LoadedConfig, command: str, auditor: Auditor, probe: Probe, lock: Lock) -> RunSpec:
    model, config, program = auditor.loaded, loaded.config, this_program(auditor.device)
    foundation = [model.sha256, model.code_sha256, program.digest, dict(program.libraries), auditor.device.type]
    recipes = recipes_of(config, auditor.layers, foundation, scoring_of(auditor, program))
    started = datetime.now(UTC)
    earlier = earlier_runs(config.run.output / config.name)
    previous = next((run.name for run in earlier if (run / "results.json").exists()), None)
    return RunSpec(
        run=run_name(started, lock.recipe),
        audit=config.name,
        command=command,
        started_at=started.isoformat(timespec="seconds"),
        configuration=loaded.values,
        given=loaded.given,
        lock=lock,
        study_recipe=recipes.study,
        masks_recipe=recipes.masks,
        maps=map_recipes(recipes),
        layers=probe.layers,
        model=ModelIdentity(
            source=model.source,
            architecture=model.architecture,
            parameters=model.parameters,
            sha256=model.sha256,
            code_sha256=model.code_sha256,
            notes=(*model.notes, *probe.notes),
            one_by_one=probe.one_by_one,
        ),
        preparation=auditor.preparation.steps,
        methods=tuple(_method_facts(name, config.explain.options.get(name, {})) for name in config.explain.methods),
        metrics=tuple(metric.facts for metric in auditor.metrics.values()),
        program=program,
        shards=0,
        previous_run=previous,
    )


def run_name(started: datetime, recipe: str) -> str:
    """Return a run's name: when it started, and the beginning of its configuration's digest."""
    return f"{started:%Y%m%dT%H%M%S%f}"[:-3] + f"Z-{recipe[:8]}"


def scoring_of(auditor: Auditor, program: Program) -> list[object]:
    """Return what scores follow from beside maps, masks and the configuration: program, metrics, back end."""
    engine = [] if auditor.engine.identity is None else [auditor.engine.identity]
    return [program.digest, *(metric.identity for metric in auditor.metrics.values()), *engine]


def map_recipes(recipes: Recipes) -> tuple[MapRecipe, ...]:
    """Return recipes as a run's specification holds them."""
    return tuple(
        MapRecipe(method=method, layer=layer, map=made, scores=recipes.scores[method, layer])
        for (method, layer), made in recipes.maps.items()
    )


def _method_facts(name: str, options: Mapping[str, object]) -> MethodFacts:
    method = METHODS[name]
    given = {"options": {option: json.dumps(value) for option, value in options.items()}}
    fields = [field for field in MethodFacts.model_fields if field not in given]
    return MethodFacts.model_validate({field: getattr(method, field) for field in fields} | given)


def this_program(device: torch.device) -> Program:
    """Return what computes here, on this device."""
    return Program(
        camaudit=camaudit_version(),
        digest=program_digest(),
        revision=program_revision(),
        libraries=library_versions(),
        python=sys.version.split()[0],
        platform=f"{platform.system()} {platform.machine()}",
        device=device_name(device),
    )


def device_name(device: torch.device) -> str:
    """Return a device as a run names it: a processor with its kind and threads, a CUDA device by its own name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.machine()}, {torch.get_num_threads()} threads)"


def write_start(start: Start) -> tuple[Path, RunSpec, MemberTable]:
    """Enter the run in the register, cut the studies that are new into shards, and write the run's folder.

    Returns:
        The folder, what was fixed, and the studies.

    Raises:
        OutputError: when it cannot be written; then no folder is left.
    """
    config, spec = start.auditor.config, start.spec
    members, shards = _cut(start)
    folder = config.run.output / config.name / spec.run
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}; choose another run.output") from error
    try:
        mark = enter_run(spec.run, spec.lock, start.subject, start.key, start.under_lock)
        lock = spec.lock.model_copy(update={"register_mark": mark})
        spec = spec.model_copy(update={"lock": lock, "shards": shards, "not_carried": start.carried.refused})
        _write(folder, start, spec, members)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder, spec, members


def _cut(start: Start) -> tuple[MemberTable, int]:
    """Return the run's list of studies, and how many shards there are: first those of patients who tune thresholds."""
    whole, tuning = start.carried.whole, start.tuning
    new = Counter(source.patient in tuning for source in start.sources if source.study not in whole)
    size = start.auditor.config.run.shard_size or min(max(new.total() // 20, _SMALLEST_SHARD), _LARGEST_SHARD)
    tuning_shards = -(-new[True] // size)
    return MemberTable(_members(start, tuning_shards, size)), tuning_shards + -(-new[False] // size)


def _members(start: Start, tuning_shards: int, size: int) -> Iterator[Member]:
    counted, first_shard = Counter[bool](), {True: 0, False: tuning_shards}
    for source in start.sources:
        tunes, shard = source.patient in start.tuning, None
        if source.study not in start.carried.whole:
            shard = first_shard[tunes] + counted[tunes] // size
            counted[tunes] += 1
        yield Member(
            study=source.study,
            patient=source.patient,
            source_sha256=source.sha256,
            shard=shard,
            first_seen=start.first_seen.get(source.study, start.spec.run),
            tuning=tunes,
        )


def _write(folder: Path, start: Start, spec: RunSpec, members: Sequence[Member]) -> None:
    names = [SPEC_FILE, COHORT_FILE, SOURCES_FILE, PLACE_FILE]
    spec.write(folder)
    write_members(folder, members)
    write_sources(folder, start.configuration, start.sources)
    write_place(folder)
    if start.carried.answers:
        answers = start.carried.answers
        kept = (answers[source.study] for source in start.sources if source.study in answers)
        carry_over(folder, kept, spec.recipes)
        names.append(REUSED)
    names += [write_experiment(folder, rows) for rows in start.experiments]
    names += _keep_fonts(folder, start.auditor.config.report.fonts)
    if start.lock is not None:
        with written(folder / LOCK_FILE) as file:
            file.write(start.lock.model_dump_json(indent=1).encode())
        names.append(LOCK_FILE)
    ledger = Ledger(folder / LEDGER_FILE, start.key)
    lock, whole = spec.lock, len(start.carried.whole)
    ledger.append("criteria.locked", criteria=lock.criteria, locked_at=lock.locked_at)
    ledger.append("configuration.locked", recipe=lock.recipe, exploratory=list(lock.exploratory))
    ledger.append("model.hashed", sha256=lock.model, code=spec.model.code_sha256)
    ledger.append("cohort.locked", cohort=lock.cohort, studies=len(members), reused=whole)
    taken = {"experiments_from": dict(start.experiments_from)} if start.experiments_from else {}
    left = list(spec.not_carried)
    record_files(ledger, "inference.started", folder, names, shards=spec.shards, not_carried=left, **taken)


def _keep_fonts(folder: Path, fonts: Sequence[Path]) -> list[str]:
    """Copy the fonts of the report into the run, in their order; return their names in it."""
    names = [f"{FONTS_FOLDER}/{place:02d}.ttf" for place in range(len(fonts))]
    if fonts:
        (folder / FONTS_FOLDER).mkdir()
    for name, path in zip(names, fonts, strict=True):
        try:
            data = path.read_bytes()
        except OSError as error:
            raise OutputError(f"report.fonts: {path} cannot be read ({error.strerror})") from error
        with written(folder / name) as file:
            file.write(data)
    return names
