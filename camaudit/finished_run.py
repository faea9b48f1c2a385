"""A finished run, read from its folder alone: no model, no archive, no configuration, no torch."""

from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from camaudit.maps.placed_map import PlacedMap
from pipeline.conclusions.other_runs import plan_of
from pipeline.errors import OutputError
from pipeline.evidence.comparison.compare import ComparisonPlan
from pipeline.findings.custody.recorded_files import check_file, files_told_by
from pipeline.findings.estimates import Verdict
from pipeline.findings.pictures.panels import CasePanels, load_panels
from pipeline.findings.results import Results, load_results
from pipeline.findings.scores import MapScores
from pipeline.findings.shards import load_map
from pipeline.findings.spec import COHORT_FILE, LEDGER_FILE, SPEC_FILE, RunSpec, read_members, read_spec
from pipeline.findings.study_audit import StudyAudit
from pipeline.runs.reuse import run_answers
from pipeline.studies.geometry import Geometry
from pipeline.studies.readers.shared.flat import NO_SPACING

if TYPE_CHECKING:
    import pyarrow as pa

    from camaudit.views import EstimateTable, Overlay

__all__ = ["FinishedRun", "read_run"]

_LISTED = 12  # names in an error
_RESULTS, _REPORT = "results.json", "report.pdf"


def read_run(folder: str | Path) -> "FinishedRun":
    """Read a finished run; ``folder`` is the run's own, or its audit's: then the newest finished run is read.

    Each file is held against the run's ledger when it is read.

    Raises:
        OutputError: when there is no finished run, it is of another version, or a file is not the one that was written.
    """
    path = _run_folder(Path(folder))
    spec = read_spec(path)
    results = load_results(path)  # what it says of its version comes before what is wrong with its bytes
    recorded = files_told_by(path / LEDGER_FILE)
    for name in (SPEC_FILE, COHORT_FILE, _RESULTS):
        check_file(path, name, recorded)
    return FinishedRun(path, spec, results, recorded)


def _run_folder(folder: Path) -> Path:
    if not folder.is_dir():
        raise OutputError(f"{folder}: there is no such folder; give the folder of a run or of an audit")
    if (folder / SPEC_FILE).exists():
        if not (folder / _RESULTS).exists():
            raise OutputError(f"{folder}: the run is not finished, it holds no {_RESULTS}; let camaudit run end it")
        return folder
    finished = sorted(path.parent for path in folder.glob(f"*/{_RESULTS}") if (path.parent / SPEC_FILE).exists())
    if not finished:
        raise OutputError(f"{folder}: holds no finished run; give the folder of a run or of an audit")
    return finished[-1]


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """What an audit has left behind: ``folder`` is where it lies, ``results`` are all numbers that the report prints.

    Made by ``read_run`` and ``audit``. A study is named by its pseudonym.
    """

    folder: Path
    _spec: RunSpec
    results: Results
    _recorded: dict[str, str]

    @property
    def name(self) -> str:
        """The audit's name and the run's: ``<audit>/<run>``."""
        return f"{self.results.audit}/{self.results.run}"

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Each criterion with its answer."""
        return self.results.verdicts

    @property
    def exploratory(self) -> tuple[str, ...]:
        """Why the run is EXPLORATORY; empty: it was locked beforehand."""
        return self.results.lock.exploratory

    @property
    def methods(self) -> tuple[str, ...]:
        """The names of the methods whose maps were made."""
        return tuple(facts.name for facts in self.results.methods)

    @property
    def masks_recipe(self) -> str:
        """The digest of how masks and reference labels were read."""
        return self._spec.masks_recipe

    @property
    def results_sha256(self) -> str:
        """The SHA-256 of ``results.json``."""
        return self._recorded[_RESULTS]

    @property
    def margins_plan(self) -> ComparisonPlan:
        """What the run's configuration asks of a comparison with another run."""
        return plan_of(self._spec, "named")

    @property
    def report(self) -> Path:
        """The path of the PDF.

        Raises:
            OutputError: when there is none, or it is not the one that the run wrote.
        """
        if not (self.folder / _REPORT).exists():
            raise OutputError(f"{self.folder}: holds no {_REPORT}; render it with camaudit report {self.folder}")
        check_file(self.folder, _REPORT, self._recorded)
        return self.folder / _REPORT

    @property
    def scores(self) -> "pa.Table":
        """All scores as an Arrow table, one row a study, target, map, reader and metric."""
        from camaudit.tables import scores_table

        return scores_table(self.audits)

    @property
    def studies(self) -> "pa.Table":
        """All studies as an Arrow table, one row each, in the archive's order; those that were not analysed too."""
        from camaudit.tables import studies_table

        return studies_table(self.audits)

    @cached_property
    def audits(self) -> tuple[StudyAudit, ...]:
        """The records of all studies, in the archive's order.

        Raises:
            OutputError: when a shard is missing or is not the one that was written.
        """
        names = sorted(f"shards/{path.name}" for path in (self.folder / "shards").glob("*.parquet"))
        for name in {*names, *(name for name in self._recorded if name.startswith("shards/"))}:
            check_file(self.folder, name, self._recorded)
        members = read_members(self.folder)
        answers = run_answers(self.folder, members)
        missing = [member.study for member in members if member.study not in answers]
        if missing:
            raise OutputError(f"{self.folder}: {len(missing)} of {len(members)} studies are in no shard, {missing[0]}")
        return tuple(answers[member.study] for member in members)

    def study(self, study: str) -> StudyAudit:
        """Return the record of a study: what the model said, what was measured, or where and why it stopped.

        Raises:
            OutputError: when the run has no such study.
        """
        by_name = {audit.study: audit for audit in self.audits}
        return by_name[_known("study", study, by_name, self.name)]

    def map(self, study: str, method: str, *, target: str | None = None, layer: str | None = None) -> PlacedMap:
        """Return a study's map. Target and layer need not be named where there is but one.

        The map of a label that was called wrongly is returned where it is named, or the study has no other.

        Raises:
            OutputError: when there is no such map, or more than one; when its file is missing or altered.
        """
        audit = self.study(study)
        kept = [entry for entry in audit.map_scores if entry.map is not None]
        if not kept:
            why = f"it was not analysed ({audit.reason})" if audit.reason else "there was no target to explain"
            raise OutputError(f"study: {study} has no map: {why}")
        entries = _choose(kept, "method", method, study)
        if target is None:
            entries = [entry for entry in entries if entry.target_role == "reference"] or entries
        entries = _choose(entries, "target", target, study)
        entry = _choose(entries, "layer", layer, study)[0]
        array, affine = load_map(self.folder, entry)
        scaled = not audit.facts.get("pixel spacing", "").startswith(NO_SPACING)
        return PlacedMap(
            array=array,
            grid=Geometry(array.shape, affine, scaled=scaled),
            method=entry.method,
            target=entry.target,
            layer=entry.layer,
            study=study,
        )

    def case(self, study: str) -> CasePanels:
        """Return the panels of a study that the report shows: image, masks and maps in the planes that matter.

        Raises:
            OutputError: when the report does not show it, its pictures were withheld, or their file was altered.
        """
        cases = {case.study: case for case in self.results.cases}
        if study not in cases:
            self.study(study)  # a name that is no study's is another mistake
            shown = ", ".join(cases) or "none"
            raise OutputError(f"study: the report does not show {study}; it shows {shown} (see report.cases)")
        case = cases[study]
        if case.panels is None:
            raise OutputError(f"study: {study} has no pictures: {case.note or 'they were not kept'}")
        check_file(self.folder, case.panels, self._recorded)
        return load_panels(self.folder / case.panels)

    def overlay(self, study: str, method: str, *, view: int = 0) -> "Overlay":
        """Return a method's map over the image of a study that the report shows, in one of its planes, as a picture.

        Raises:
            OutputError: as ``case``; when the case shows no such method or has no such view.
        """
        from camaudit.views import overlay

        return overlay(self.case(study), method, view)

    def table(self, metric: str) -> "EstimateTable":
        """Return what the cohort says of a metric, by map and stratum, as a table to look at.

        Raises:
            OutputError: when the run has no such metric.
        """
        from camaudit.views import estimate_table

        known = dict.fromkeys(estimate.metric for estimate in self.results.estimates)
        return estimate_table(self.results, _known("metric", metric, known, self.name))

    def _repr_html_(self) -> str:
        """Show verdicts, counts and why the run is EXPLORATORY in a notebook."""
        from camaudit.views import run_html

        return run_html(self.results)

    def __repr__(self) -> str:
        answers = ", ".join(verdict.answer for verdict in self.verdicts) or "no criterion"
        return f"<FinishedRun {self.name}: {self.results.flow.found} studies, {answers}>"


def _known(what: str, name: str, names: Collection[str], where: str) -> str:
    """Return a name that is among those known.

    Raises:
        OutputError: when it is not; the nearest is named.
    """
    if name in names:
        return name
    near = get_close_matches(name, names, n=1, cutoff=0.4)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    known = f"known: {', '.join(list(names)[:_LISTED]) or 'none'}{more}"
    hint = f"did you mean {near[0]!r}?" if near else known
    raise OutputError(f"{what}: {where} has no {what} {name!r:.60}; {hint}")


def _choose(entries: list[MapScores], field: str, wanted: str | None, study: str) -> list[MapScores]:
    """Return the entries whose ``field`` is the wanted one; where none is wanted, there must be but one."""
    known = list(dict.fromkeys(str(getattr(entry, field)) for entry in entries))
    if wanted is None:
        if len(known) > 1:
            raise OutputError(f"{field}: study {study} has maps for several; name one of {', '.join(known)}")
        return entries
    chosen = _known(field, wanted, known, f"study {study}")
    return [entry for entry in entries if str(getattr(entry, field)) == chosen]
