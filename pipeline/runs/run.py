"""One owner of an audit: what was fixed before the first inference, the work on its shards, and its end.

``Run.create`` checks, hashes and locks; ``Run.open`` needs nothing but the folder. A shard can be worked by any process
that sees the folder. Model, worker processes and log belong to the run and end with its block.

What needs the model, its transforms or a map's grid is imported by the methods that do: torch and MONAI take 300 MiB,
which a process that only watches others work, or draws conclusions, is not to hold.
"""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pipeline.conclusions.conclude import Shown, chosen_cases, conclusions
from pipeline.conclusions.equivalent_maps import equivalent_maps
from pipeline.conclusions.gathered import GatheredCohort, Records, gather
from pipeline.conclusions.history import earlier_points
from pipeline.conclusions.other_runs import changes_of, kinds_of
from pipeline.conclusions.per_study_csv import CSV_FILE, columns_of, per_study_csv
from pipeline.conclusions.tuned import rules_of, tuned_of, who_tunes
from pipeline.config import AuditConfig, resolved
from pipeline.config_file import LoadedConfig
from pipeline.errors import OutputError
from pipeline.evidence.answers import expected_targets
from pipeline.evidence.columns.store import ColumnStore
from pipeline.evidence.comparison.pairing import RunRecords
from pipeline.evidence.localisation.average_mask import AverageMasks
from pipeline.evidence.localisation.tuning import RegionRules
from pipeline.faults import FAULTS, fault_log
from pipeline.files import written
from pipeline.findings.carried import shard_files
from pipeline.findings.custody.ledger import Ledger, read_ledger
from pipeline.findings.custody.recorded_files import check_file, files_told_by, record_files
from pipeline.findings.custody.site_key import load_site_key
from pipeline.findings.experiments.bundle import (
    ExperimentRows,
    experiment_file,
    read_experiments,
    write_experiment,
)
from pipeline.findings.experiments.selftest import kept_rates
from pipeline.findings.facts import Provenance
from pipeline.findings.members.member import Member
from pipeline.findings.members.table import MemberTable
from pipeline.findings.results import Results
from pipeline.findings.shards import write_maps, write_shard
from pipeline.findings.spec import (
    COHORT_FILE,
    LEDGER_FILE,
    SOURCES_FILE,
    SPEC_FILE,
    RunSpec,
    read_members,
    read_spec,
)
from pipeline.findings.stored_audits import StoredAudits
from pipeline.findings.study_audit import StudyAudit, methods_at_layers
from pipeline.progress import Progress, silent
from pipeline.runs.asked_again import AskedAgain, AskModel, StudiesToAsk, chosen_for_check
from pipeline.runs.first_pass import kept_averages, masks_file, needs_survey, tuning_answers
from pipeline.runs.nights.heartbeat import at_work
from pipeline.runs.private_sources import PrivateSources, read_sources
from pipeline.runs.reuse import carried_answers, referring
from pipeline.runs.shared.claims import Claims
from pipeline.runs.start_watch import SILENT, StartWatch, alone_in, none_half_made
from pipeline.studies.untrusted.workers import WorkerPool
from pipeline.vocabulary import BASELINES, Family

if TYPE_CHECKING:
    from pipeline.walk.auditor import Auditor
    from pipeline.walk.stretches import Audited, Stretch

__all__ = ["Run", "RunStatus"]


@dataclass(frozen=True)
class RunStatus:
    """How far a run has come: shards that are done, and whether its results are written."""

    shards: int
    done: tuple[int, ...]
    finished: bool


@dataclass(frozen=True)
class Conduct:
    """Who drove a run: the engine, and the name of Prefect's flow run where it was shown as one."""

    engine: str
    flow_run: str | None


class Run:
    """An audit's run. Made by ``create``, ``open`` and ``measure_run``; ``with`` ends what belongs to it.

    ``folder`` is where it writes, ``spec`` what was fixed, ``members`` its studies.
    """

    def __init__(
        self,
        folder: Path,
        spec: RunSpec,
        members: MemberTable,
        pool: WorkerPool | None = None,
        owned: ExitStack | None = None,
    ) -> None:
        """Take up the run of a folder.

        ``pool`` is the caller's, without one the run has its own; ``owned`` is what ends with the run's block.
        """
        self.folder, self.spec, self.members = folder, spec, members
        self.claims = Claims.of(folder)
        self._given_pool = pool
        self._done: set[int] = set()
        self._owned = owned or ExitStack()

    @classmethod
    def create(cls, loaded: LoadedConfig, command: str, *, deep: bool = False, watch: StartWatch = SILENT) -> Self:
        """Check and hash everything, take over what earlier runs proved, and cut the rest into shards.

        Nothing is written before every check has passed. ``deep`` hashes every file of the archive again. Until the
        run's block ends, no other run of this audit can be created.

        Raises:
            AuditError: one line that says what is wrong with the model, the archive or the folder; also when another
                process has a run of this audit under way.
        """
        from pipeline.runs.start import created_run

        with ExitStack() as stack:
            stack.enter_context(alone_in(loaded.config.run.output / loaded.config.name, watch.say))
            pool = watch.pool or stack.enter_context(WorkerPool())
            created = created_run(loaded, command, pool, deep=deep, watch=watch)
            run = cls(created.folder, created.spec, created.members, pool, stack.pop_all())
        run.__dict__["auditor"] = replace(created.auditor, pool=None)
        return run

    @classmethod
    def made_by(cls, make: Callable[[], Path], audits: Path, say: Callable[[str], None]) -> Self:
        """Have another process make a run's folder, while this one holds ``audits``, the folder of the audit's runs.

        Where that process dies meanwhile, no folder is left.

        Raises:
            AuditError: as ``create`` does.
        """
        with ExitStack() as stack:
            stack.enter_context(alone_in(audits, say))
            with none_half_made(audits):
                folder = make()
            run = cls.open(folder)
            return cls(run.folder, run.spec, run.members, owned=stack.pop_all())

    @classmethod
    def open(cls, folder: Path, *, pool: WorkerPool | None = None, device: str | None = None) -> Self:
        """Open the run of a folder, to work on it on ``device`` in place of the configuration's.

        Raises:
            OutputError: when the folder is not a run's, is of another version, or is not what its ledger says.
        """
        spec, members = read_spec(folder), read_members(folder)
        recorded = files_told_by(folder / LEDGER_FILE)
        for name in (SPEC_FILE, COHORT_FILE):
            check_file(folder, name, recorded)
        run = cls(folder, spec, members, pool)
        if device is not None:
            run.__dict__["config"] = run.config.model_copy(
                update={"run": run.config.run.model_copy(update={"device": device})}
            )
        return run

    def __enter__(self) -> Self:
        """Log faults into the run's folder and say that it is worked on; all else is opened when it is needed."""
        self._owned.enter_context(at_work(self.folder))
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

    def is_done(self, shard: int) -> bool:
        """Tell whether a shard was finished, by whichever process; once it was, it stays so."""
        if shard not in self._done and (self.folder / shard_files(shard)[1]).exists():
            self._done.update(self.status.done)
        return shard in self._done

    def is_ready(self, shard: int) -> bool:
        """Tell whether a shard can be worked: those of patients on whom thresholds are tuned come before all others."""
        return shard in self.tuning_shards or all(map(self.is_done, self.tuning_shards))

    def clear_unfinished(self, shard: int) -> None:
        """Remove what a process that died while it wrote a shard has left of its files."""
        for name in shard_files(shard):
            path = self.folder / name
            for left in path.parent.glob(f".{path.name}.*"):
                left.unlink(missing_ok=True)

    def members_of(self, shard: int) -> list[Member]:
        """Return the studies that a shard audits, in the archive's order."""
        return self.members.of_shard(shard)

    @property
    def computed(self) -> int:
        """How many studies are not carried over."""
        return len(self.members) - self.members.shards.get(None, 0)

    @property
    def maps_each(self) -> int:
        """How many maps a study is expected to need before anything is known of it."""
        return expected_targets(self.config) * sum(recipe.method not in BASELINES for recipe in self.spec.maps)

    @cached_property
    def tuning_shards(self) -> frozenset[int]:
        """The shards of patients on whom thresholds are tuned."""
        return frozenset(member.shard for member in self.members.tuning if member.shard is not None)

    @cached_property
    def config(self) -> AuditConfig:
        """The configuration, its paths absolute."""
        return resolved(self.spec.config, self.sources.folder)

    @cached_property
    def sources(self) -> PrivateSources:
        """Where the studies lie."""
        check_file(self.folder, SOURCES_FILE, files_told_by(self.folder / LEDGER_FILE))
        return read_sources(self.folder)

    @cached_property
    def auditor(self) -> "Auditor":
        """The model and all that studies are audited with; loaded when it is first asked for."""
        from pipeline.runs.model_side.opening import auditor_of, scorer_of

        if self.spec.measured is not None:
            return scorer_of(self.folder, self.spec, self.config, self.pool)
        return auditor_of(self.folder, self.spec, self.config, self.sources.folder)

    @cached_property
    def average_masks(self) -> AverageMasks | None:
        """The masks of the whole cohort, read now where no process has yet; None where nothing is compared with them.

        Raises:
            OutputError: when a file of them is not the one that was written, or cannot be.
        """
        if needs_survey(self.config):
            recorded = files_told_by(self.folder / LEDGER_FILE)
            for shard in range(self.spec.shards):
                if masks_file(shard) not in recorded:
                    self.survey(shard)
        return kept_averages(self.folder, self.spec, self.members)

    def survey(self, shard: int) -> None:
        """Read the masks of one shard and write them in the common frame; no model is needed.

        Raises:
            OutputError: when the folder cannot be written.
        """
        from pipeline.walk.first_pass.mask_survey import surveyed_masks

        sources = [self.sources.studies[member.study] for member in self.members_of(shard)]
        self._check_is_there()
        write_maps(self.folder / masks_file(shard), surveyed_masks(replace(self.auditor, pool=self.pool), sources))
        record_files(self._ledger, "masks.surveyed", self.folder, [masks_file(shard)], shard=shard)

    def _equipped(self, shard: int | None = None) -> "Auditor":
        """Return the auditor with the run's processes and all that is known of its cohort.

        A ``shard`` of patients on whom thresholds are tuned is worked before there are any.
        """
        tunes = shard in self.tuning_shards
        rules = rules_of(self.spec, self.members, ()) if tunes else self._rules
        return replace(self.auditor, pool=self.pool, average_masks=self.average_masks, rules=rules)

    @cached_property
    def _rules(self) -> RegionRules:
        if not who_tunes(self.members):
            return rules_of(self.spec, self.members, ())
        tuned = tuned_of(self.spec, self.members, tuning_answers(self.folder, self.members))
        return rules_of(self.spec, self.members, tuned)

    @cached_property
    def pool(self) -> WorkerPool:
        """The processes that read studies: the caller's, or the run's own, which end with its block."""
        return self._given_pool or self._owned.enter_context(WorkerPool())

    def work(self, shard: int, on_maps: Progress = silent) -> int:
        """Audit one shard and write its rows and maps; return how many studies it held.

        Raises:
            AuditError: when the model is no longer the one that ``create`` saw, or the folder cannot be written.
        """
        from pipeline.walk.study_walk import audit_studies

        stretch = self.stretch(shard, on_maps)
        return self.keep(shard, audit_studies(stretch.auditor, stretch.sources, stretch.on_maps))

    def stretch(self, shard: int, on_maps: Progress = silent) -> "Stretch":
        """Return the studies of a shard, and what they are audited with.

        Raises:
            AuditError: when the model is no longer the one that ``create`` saw.
        """
        from pipeline.walk.stretches import Stretch

        studies = [member.study for member in self.members_of(shard)]
        carried = carried_answers(self.folder, self.spec.recipes, studies)
        sources = [
            replace(self.sources.studies[study], carried=carried.get(study), kept_in=self.folder) for study in studies
        ]
        return Stretch(self._equipped(shard), sources, on_maps)

    def keep(self, shard: int, audited: "Audited") -> int:
        """Write the rows and maps that a shard came to; return how many studies it holds.

        Raises:
            OutputError: when the folder cannot be written.
        """
        self._check_is_there()
        audits, maps = audited
        rows = [referring(audit, f"{shard:04d}") for audit in audits]
        files = shard_files(shard)
        write_maps(self.folder / files[0], maps)
        write_shard(self.folder / files[1], rows, self.spec.recipes)
        record_files(self._ledger, "shard.finished", self.folder, files, shard=shard, studies=len(audits))
        self._done.add(shard)
        return len(audits)

    def finish(
        self, *, engine: str = "local", flow_run: str | None = None, ask_model: AskModel | None = None
    ) -> Results:
        """Draw the conclusions of a run whose shards are done, and write them; experiments come first.

        ``ask_model`` shows the model what it is asked again, by default in this process.

        Raises:
            OutputError: when a shard is missing or is not the one that was written, or the folder cannot be written.
        """
        records = self.records()
        rows = self._experiments()
        with ColumnStore(self.folder) as store:
            cohort = gather(self.spec, self.members, records, store.keep)
            again = (ask_model or self.ask_again)(self._to_be_asked(cohort, records))
            return self._concluded(cohort, records, rows, again, Conduct(engine, flow_run))

    def ask_again(self, studies: StudiesToAsk) -> AskedAgain:
        """Read a few studies once more, cut their pictures and hold their maps against what the model gives now.

        Raises:
            AuditError: when the model is no longer the one that ``create`` saw, or the folder cannot be written.
        """
        from pipeline.runs.model_side.asking import asked_again

        return asked_again(self.folder, self._equipped(), studies, self.sources.studies)

    def _to_be_asked(self, cohort: GatheredCohort, records: Records) -> StudiesToAsk:
        """Choose the cases that are shown, and on whom it is tried whether maps come out again."""
        cases = [study for study, _ in chosen_cases(self.spec, cohort)[0]]
        first = next((study.study for study in cohort.studies if study.model_input is not None), None)
        examples = list(cohort.parts.maps.examples.values())
        chosen = chosen_for_check([study.study for study in cohort.studies if study.mapped])
        known = records.of({*cases, *examples, *chosen, *([first] if first else [])})
        return StudiesToAsk(
            cases=tuple(known[study] for study in cases),
            first=known[first] if first else None,
            examples=tuple(known[study] for study in examples),
            compared=tuple(known[study] for study in chosen),
        )

    def _concluded(
        self, cohort: GatheredCohort, records: Records, rows: ExperimentRows, again: AskedAgain, conduct: Conduct
    ) -> Results:
        """Draw the conclusions from what was gathered, and write them."""
        ledger = self._ledger
        studies = {"studies": len(cohort.studies), "computed": self.computed}
        record_files(ledger, "inference.finished", self.folder, again.files, **studies)
        provenance = _provenance(self.spec, ledger, again.repeatability, conduct)
        provenance = provenance.model_copy(update={"arithmetic": again.likeness})
        earlier = earlier_points(self.folder, self.spec.previous_run)
        at_layers = methods_at_layers(cohort.studies)
        equivalent = equivalent_maps(self.folder, records, cohort.parts.maps.places, at_layers)
        shown = Shown(provenance, again.pictures, again.model_input, equivalent, history=earlier)
        results = self._with_changes(conclusions(self.spec, self.members, cohort, records, shown, rows), records)
        with written(self.folder / CSV_FILE) as file:
            file.writelines(per_study_csv(records, self.spec.metrics, columns_of(cohort.studies)))
        with written(self.folder / "results.json") as file:
            file.write(results.model_dump_json(indent=1).encode())
        record_files(ledger, "results.written", self.folder, [CSV_FILE, "results.json"])
        return results

    def _with_changes(self, results: Results, records: Records) -> Results:
        """Hold the run against the one before it and its predecessor, where there is any."""
        if not kinds_of(self.spec):
            return results
        own = RunRecords(results, self.spec.masks_recipe, records)
        changes = changes_of(self.folder, self.spec, self.config.report.predecessor, own)
        return results.model_copy(update={"changes": changes})

    def experiment(self, family: Family, on_maps: Progress = silent) -> None:
        """Try a family on the model and write its rows; nothing where they are written already.

        Raises:
            AuditError: when the model is no longer the one that ``create`` saw, or the folder cannot be written.
        """
        if experiment_file(family) in files_told_by(self.folder / LEDGER_FILE):
            return
        from pipeline.experiments.bench import Bench
        from pipeline.experiments.registry import EXPERIMENTS

        sources = tuple(self.sources.studies[study] for study in self.spec.experiments[family])
        auditor = replace(self.auditor, pool=self.pool)
        rows = EXPERIMENTS[family](Bench(auditor, family, sources, self.spec.layers[0].shape, on_maps))
        self._check_is_there()
        name = write_experiment(self.folder, rows)
        record_files(self._ledger, "experiment.finished", self.folder, [name], family=family)

    def _experiments(self) -> ExperimentRows:
        """Return the rows of all families that the run was asked for, those that are missing computed first."""
        families = tuple(self.spec.config.experiments.families)
        for family in families:
            self.experiment(family)
        recorded = files_told_by(self.folder / LEDGER_FILE)
        for family in families:
            check_file(self.folder, experiment_file(family), recorded)
        return read_experiments(self.folder, families)

    def audits(self) -> list[StudyAudit]:
        """Return the records of all studies, in the order of ``members``, all at once: of a large cohort too many.

        Raises:
            OutputError: when a study was never audited, or a shard is not the one that was written.
        """
        return list(self.records())

    def records(self) -> StoredAudits:
        """Return the records of all studies where they lie, each shard held against the ledger.

        Raises:
            OutputError: when a shard is not the one that was written.
        """
        recorded = files_told_by(self.folder / LEDGER_FILE)
        for path in sorted((self.folder / "shards").glob("*.parquet")):
            check_file(self.folder, f"shards/{path.name}", recorded)
        return StoredAudits(self.folder, self.members)

    def note(self, event: str, files: Iterable[str] = (), **body: object) -> None:
        """Add an event to the run's ledger, with the hashes of files of its folder.

        Raises:
            OutputError: when it cannot be written.
        """
        record_files(self._ledger, event, self.folder, files, **body)

    def _check_is_there(self) -> None:
        """Look for the run's folder: where a shared one is away, another in its place would take patients' maps."""
        if not self.folder.is_dir():
            raise OutputError(
                f"{self.folder}: is not there any more; see to the folder that holds the runs, then run again"
            )

    @cached_property
    def _ledger(self) -> Ledger:
        """The run's ledger, verified from its first line when it is first added to; from then on what is new."""
        return Ledger(self.folder / LEDGER_FILE, load_site_key())


def _provenance(spec: RunSpec, ledger: Ledger, repeat: str, conduct: Conduct) -> Provenance:
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
        engine=conduct.engine,
        flow_run=conduct.flow_run,
        previous_run=spec.previous_run,
        ledger_head=ledger.head,
        ledger_length=ledger.length,
        selftest=kept_rates() if "shortcuts" in config.experiments.families else None,
    )
