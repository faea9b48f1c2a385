"""One owner of an audit: what was fixed before the first inference, the work on its shards, and its end.

``Run.create`` checks, hashes and locks; ``Run.open`` needs nothing but the folder. A shard can be worked by any process
that sees the folder. Model, worker processes and log belong to the run and end with its block.
"""

import platform
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

from cam import METHODS
from pipeline.checks.estimate import RunEstimate, estimate_run
from pipeline.checks.model_check import Probe, check_model
from pipeline.conclusions.conclude import Shown, chosen_cases, conclude
from pipeline.conclusions.equivalent_maps import equivalent_maps
from pipeline.conclusions.per_study_csv import CSV_FILE, per_study_csv
from pipeline.config import AuditConfig, resolved
from pipeline.config_file import LoadedConfig
from pipeline.errors import ConfigError, OutputError
from pipeline.evidence.localisation import METRICS
from pipeline.faults import FAULTS, fault_log
from pipeline.files import written
from pipeline.findings.carried import REUSED, Carried
from pipeline.findings.ledger import LEDGER_FILE, Ledger, read_ledger
from pipeline.findings.lock import compare, read_lock
from pipeline.findings.recipes import Recipes
from pipeline.findings.record import Lock, MethodFacts, Provenance, Results, StudyAudit
from pipeline.findings.recorded_files import check_file, record_files, recorded_files
from pipeline.findings.shards import write_maps, write_shard
from pipeline.findings.site_key import SiteKey, load_site_key
from pipeline.findings.spec import (
    COHORT_FILE,
    SOURCES_FILE,
    SPEC_FILE,
    MapRecipe,
    Member,
    ModelIdentity,
    Program,
    RunSpec,
    read_members,
    read_spec,
    write_members,
)
from pipeline.program import camaudit_version, library_versions, program_digest, program_revision
from pipeline.progress import Progress, silent
from pipeline.runs.pictures import cut_pictures
from pipeline.runs.private_sources import PrivateSources, read_sources, write_sources
from pipeline.runs.repeatability import repeatability
from pipeline.runs.reuse import (
    EarlierRuns,
    carried_answers,
    carry_over,
    earlier_answers,
    earlier_runs,
    referring,
    run_answers,
)
from pipeline.studies.untrusted.workers import WorkerPool
from pipeline.walk.auditor import Auditor, open_auditor, open_scorer
from pipeline.walk.map_plan import in_order, missing_maps, recipes_of
from pipeline.walk.sources import StudySource, find_sources
from pipeline.walk.study_walk import audit_studies

__all__ = ["Run", "RunStatus"]

_SMALLEST_SHARD, _LARGEST_SHARD = 8, 500
"""Studies in a shard unless configured: a twentieth of the new ones, within these bounds."""


@dataclass(frozen=True)
class RunStatus:
    """How far a run has come: shards that are done, and whether its results are written."""

    shards: int
    done: tuple[int, ...]
    finished: bool


class Run:
    """An audit's run. Made by ``create``, ``open`` and ``measured``; ``with`` ends what belongs to it.

    ``folder`` is where it writes, ``spec`` what was fixed, ``members`` its studies.
    """

    def __init__(self, folder: Path, spec: RunSpec, members: Sequence[Member], pool: WorkerPool | None = None) -> None:
        """Take up the run of a folder; ``pool`` is the caller's, without one the run has its own."""
        self.folder, self.spec, self.members = folder, spec, tuple(members)
        self._given_pool = pool
        self._owned = ExitStack()

    @classmethod
    def create(
        cls,
        loaded: LoadedConfig,
        command: str,
        *,
        deep: bool = False,
        pool: WorkerPool | None = None,
        on_estimate: Callable[[RunEstimate], None] = lambda estimate: None,  # noqa: ARG005 - the name is the documentation
    ) -> Self:
        """Check and hash everything, take over what earlier runs proved, and cut the rest into shards.

        Nothing is written before every check has passed. ``deep`` hashes every file of the archive again;
        ``on_estimate`` is told what the new studies will take.

        Raises:
            AuditError: one line that says what is wrong with the model, the archive or the folder.
        """
        key = load_site_key()
        with ExitStack() as stack:
            readers = pool or stack.enter_context(WorkerPool())
            opened = open_auditor(loaded.config, loaded.folder, pool=readers)
            sources = find_sources(loaded.config, opened.pseudonyms, deep=deep)
            probe = check_model(opened, [source.row for source in sources])
        auditor = replace(opened, layers=tuple(layer.name for layer in probe.layers))
        lock = _lock_of(loaded, auditor, sources)
        start = _start_of(loaded, command, auditor, probe, lock)
        trust = EarlierRuns(key.public)
        carried = _carried(auditor, start.recipes, trust, sources)
        on_estimate(estimate_run(loaded.config, probe, sum(source.study not in carried.whole for source in sources)))
        run = cls._written(loaded.folder, loaded.config, start, sources, carried, trust, key, pool)
        run.__dict__["auditor"] = replace(auditor, pool=None)
        return run

    @classmethod
    def open(cls, folder: Path, *, pool: WorkerPool | None = None) -> Self:
        """Open the run of a folder.

        Raises:
            OutputError: when the folder is not a run's, is of another version, or is not what its ledger says.
        """
        spec, members = read_spec(folder), read_members(folder)
        recorded = recorded_files(read_ledger(folder / LEDGER_FILE))
        for name in (SPEC_FILE, COHORT_FILE):
            check_file(folder, name, recorded)
        return cls(folder, spec, members, pool)

    def __enter__(self) -> Self:
        """Log faults into the run's folder; whatever else the run needs is opened when it is needed."""
        self._owned.enter_context(fault_log(self.folder / FAULTS))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        """End the processes that read, and let the model go."""
        self.__dict__.pop("auditor", None)
        return self._owned.__exit__(kind, error, trace)

    @property
    def status(self) -> RunStatus:
        """How far the run has come, by its ledger."""
        entries = read_ledger(self.folder / LEDGER_FILE)
        done = {int(str(entry.body["shard"])) for entry in entries if entry.event == "shard.finished"}
        finished = any(entry.event == "results.written" for entry in entries)
        return RunStatus(self.spec.shards, tuple(sorted(done)), finished)

    @cached_property
    def config(self) -> AuditConfig:
        """The configuration, its paths absolute."""
        return resolved(self.spec.config, self.sources.folder)

    @cached_property
    def sources(self) -> PrivateSources:
        """Where the studies lie."""
        check_file(self.folder, SOURCES_FILE, recorded_files(read_ledger(self.folder / LEDGER_FILE)))
        return read_sources(self.folder)

    @cached_property
    def auditor(self) -> Auditor:
        """The model and all that studies are audited with; loaded when it is first asked for."""
        layers = tuple(layer.name for layer in self.spec.layers)
        if self.spec.measured is not None:
            return open_scorer(self.config, layers, self.pool)
        auditor = open_auditor(self.config, self.sources.folder, layers=layers)
        known = (self.spec.model.sha256, self.spec.model.code_sha256)
        if (auditor.loaded.sha256, auditor.loaded.code_sha256) != known:
            raise ConfigError(f"{self.folder}: the model was changed while the run was under way; start the run again")
        return auditor

    @cached_property
    def pool(self) -> WorkerPool:
        """The processes that read studies: the caller's, or the run's own, which end with its block."""
        return self._given_pool or self._owned.enter_context(WorkerPool())

    def work(self, shard: int, on_maps: Progress = silent) -> int:
        """Audit one shard and write its rows and maps; return how many studies it held.

        Raises:
            AuditError: when the model is no longer the one that ``create`` saw, or the folder cannot be written.
        """
        mine = [member for member in self.members if member.shard == shard]
        carried = carried_answers(self.folder, self.spec.recipes)
        sources = [
            replace(self.sources.studies[member.study], carried=carried.get(member.study), kept_in=self.folder)
            for member in mine
        ]
        audits, maps = audit_studies(replace(self.auditor, pool=self.pool), sources, on_maps)
        name = f"{shard:04d}"
        rows = [referring(audit, name) for audit in audits]
        files = [f"maps/{name}.npz", f"shards/{name}.parquet"]
        write_maps(self.folder / files[0], maps)
        write_shard(self.folder / files[1], rows, self.spec.recipes)
        record_files(self._ledger(), "shard.finished", self.folder, files, shard=shard, studies=len(audits))
        return len(audits)

    def finish(self, *, engine: str = "local", flow_run: str | None = None) -> Results:
        """Draw the conclusions of a run whose shards are done, and write them.

        Raises:
            OutputError: when a shard is missing or is not the one that was written, or the folder cannot be written.
        """
        audits = self.audits()
        auditor = replace(self.auditor, pool=self.pool)
        sources = self.sources.studies
        by_study = {audit.study: audit for audit in audits}
        cases = [by_study[study] for study, _ in chosen_cases(self.spec, audits)[0]]
        first = next((audit for audit in audits if audit.model_input is not None), None)
        pictures, picture = cut_pictures(self.folder, auditor, cases, first, sources)
        repeat = repeatability(self.folder, audits, auditor, sources)
        ledger = self._ledger()
        files = [name for name, _ in (*pictures.values(), picture) if name is not None]
        computed = sum(member.shard is not None for member in self.members)
        record_files(ledger, "inference.finished", self.folder, files, studies=len(audits), computed=computed)
        provenance = _provenance(self.spec, ledger, repeat, engine, flow_run)
        shown = Shown(provenance, pictures, picture, equivalent_maps(self.folder, audits))
        results = conclude(self.spec, self.members, audits, shown)
        with written(self.folder / CSV_FILE) as file:
            file.write(per_study_csv(audits, [facts.name for facts in self.spec.metrics]))
        with written(self.folder / "results.json") as file:
            file.write(results.model_dump_json(indent=1).encode())
        record_files(ledger, "results.written", self.folder, [CSV_FILE, "results.json"])
        return results

    def audits(self) -> list[StudyAudit]:
        """Return the records of all studies, in the order of ``members``, each shard held against the ledger.

        Raises:
            OutputError: when a study was never audited, or a shard is not the one that was written.
        """
        recorded = recorded_files(read_ledger(self.folder / LEDGER_FILE))
        for path in sorted((self.folder / "shards").glob("*.parquet")):
            check_file(self.folder, f"shards/{path.name}", recorded)
        by_study = run_answers(self.folder, self.members)
        missing = [member.study for member in self.members if member.study not in by_study]
        if missing:
            raise OutputError(
                f"{self.folder}: {len(missing)} of {len(self.members)} studies were never audited, first {missing[0]}"
            )
        return [by_study[member.study] for member in self.members]

    def note(self, event: str, files: Iterable[str] = (), **body: object) -> None:
        """Add an event to the run's ledger, with the hashes of files of its folder.

        Raises:
            OutputError: when it cannot be written.
        """
        record_files(self._ledger(), event, self.folder, files, **body)

    def _ledger(self) -> Ledger:
        return Ledger(self.folder / LEDGER_FILE, load_site_key())

    @classmethod
    def _written(
        cls,
        base: Path,
        config: AuditConfig,
        start: RunSpec,
        sources: Sequence[StudySource],
        carried: "_Carried",
        trust: EarlierRuns,
        key: SiteKey,
        pool: WorkerPool | None,
    ) -> Self:
        new = [source.study for source in sources if source.study not in carried.whole]
        size = config.run.shard_size or min(max(len(new) // 20, _SMALLEST_SHARD), _LARGEST_SHARD)
        shard_of = {study: number // size for number, study in enumerate(new)}
        spec = start.model_copy(update={"shards": -(-len(new) // size), "not_carried": tuple(trust.refused)})
        members = tuple(
            Member(
                study=source.study,
                patient=source.patient,
                source_sha256=source.sha256,
                shard=shard_of.get(source.study),
            )
            for source in sources
        )
        folder = config.run.output / config.name / spec.run
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be made: {error.strerror}; choose another run.output") from error
        try:
            _write_start(folder, base, spec, members, sources, carried, key)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return cls(folder, spec, members, pool)


@dataclass(frozen=True)
class _Carried:
    """What earlier runs have answered, and which of the studies lack nothing."""

    answers: dict[str, Carried]
    whole: frozenset[str]


def _carried(auditor: Auditor, recipes: Recipes, trust: EarlierRuns, sources: Sequence[StudySource]) -> _Carried:
    config, layers = auditor.config, auditor.layers

    def is_whole(carried: Carried) -> bool:
        return carried.holds and not missing_maps(carried.audit, config, layers)

    hashes = {source.study: source.sha256 for source in sources}
    answers = earlier_answers(earlier_runs(config.run.output / config.name), trust, recipes, hashes, is_whole)
    ordered = {
        study: replace(answer, audit=in_order(answer.audit, config, layers)) if answer.masks_hold else answer
        for study, answer in answers.items()
    }
    return _Carried(ordered, frozenset(study for study, answer in ordered.items() if is_whole(answer)))


def _lock_of(loaded: LoadedConfig, auditor: Auditor, sources: Sequence[StudySource]) -> Lock:
    hashes = [source.sha256 for source in sources]
    return compare(read_lock(loaded.path), loaded.config, auditor.loaded.sha256, hashes)


def _start_of(loaded: LoadedConfig, command: str, auditor: Auditor, probe: Probe, lock: Lock) -> RunSpec:
    model, config, program = auditor.loaded, loaded.config, _program(auditor.device)
    foundation = [model.sha256, model.code_sha256, program.digest, dict(program.libraries), auditor.device.type]
    recipes = recipes_of(config, auditor.layers, foundation, [program.digest])
    started = datetime.now(UTC)
    previous = [run for run in earlier_runs(config.run.output / config.name) if (run / "results.json").exists()]
    return RunSpec(
        run=f"{started:%Y%m%dT%H%M%S%f}"[:-3] + f"Z-{lock.recipe[:8]}",
        audit=config.name,
        command=command,
        started_at=started.isoformat(timespec="seconds"),
        configuration=loaded.values,
        given=loaded.given,
        lock=lock,
        study_recipe=recipes.study,
        masks_recipe=recipes.masks,
        maps=_map_recipes(recipes),
        layers=probe.layers,
        model=ModelIdentity(
            source=model.source,
            architecture=model.architecture,
            parameters=model.parameters,
            sha256=model.sha256,
            code_sha256=model.code_sha256,
        ),
        preparation=auditor.preparation.steps,
        methods=tuple(_method_facts(name) for name in config.explain.methods),
        metrics=tuple(metric.facts for metric in METRICS.values()),
        program=program,
        shards=0,
        previous_run=previous[0].name if previous else None,
    )


def _map_recipes(recipes: Recipes) -> tuple[MapRecipe, ...]:
    return tuple(
        MapRecipe(method=method, layer=layer, map=made, scores=recipes.scores[method, layer])
        for (method, layer), made in recipes.maps.items()
    )


def _method_facts(name: str) -> MethodFacts:
    method = METHODS[name]
    return MethodFacts(name=name, title=method.title, paper=method.paper, formula=method.formula, limits=method.limits)


def _program(device: torch.device) -> Program:
    return Program(
        camaudit=camaudit_version(),
        digest=program_digest(),
        revision=program_revision(),
        libraries=library_versions(),
        python=sys.version.split()[0],
        platform=f"{platform.system()} {platform.machine()}",
        device=_device_name(device),
    )


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.machine()}, {torch.get_num_threads()} threads)"


def _write_start(
    folder: Path,
    base: Path,
    spec: RunSpec,
    members: Sequence[Member],
    sources: Sequence[StudySource],
    carried: _Carried,
    key: SiteKey,
) -> None:
    names = [SPEC_FILE, COHORT_FILE, SOURCES_FILE]
    spec.write(folder)
    write_members(folder, members)
    write_sources(folder, base, sources)
    if carried.answers:
        carry_over(folder, carried.answers.values(), spec.recipes)
        names.append(REUSED)
    ledger = Ledger(folder / LEDGER_FILE, key)
    lock = spec.lock
    ledger.append("criteria.locked", criteria=lock.criteria, locked_at=lock.locked_at)
    ledger.append("configuration.locked", recipe=lock.recipe, exploratory=list(lock.exploratory))
    ledger.append("model.hashed", sha256=lock.model, code=spec.model.code_sha256)
    ledger.append("cohort.locked", cohort=lock.cohort, studies=len(members), reused=len(carried.whole))
    record_files(ledger, "inference.started", folder, names, shards=spec.shards, not_carried=list(spec.not_carried))


def _provenance(spec: RunSpec, ledger: Ledger, repeat: str, engine: str, flow_run: str | None) -> Provenance:
    finished, program, config = datetime.now(UTC), spec.program, spec.config
    return Provenance(
        camaudit=program.camaudit,
        command=spec.command,
        started_at=spec.started_at,
        finished_at=finished.isoformat(timespec="seconds"),
        seconds=round((finished - datetime.fromisoformat(spec.started_at)).total_seconds(), 1),
        device=program.device,
        platform=program.platform,
        python=program.python,
        libraries=program.libraries,
        seed=config.run.seed,
        replicates=config.run.replicates,
        determinism=repeat,
        engine=engine,
        flow_run=flow_run,
        previous_run=spec.previous_run,
        ledger_head=ledger.head,
        ledger_length=ledger.length,
    )
