"""Two finished runs against each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from camaudit.finished_run import FinishedRun
from pipeline.conclusions.other_runs import compare_records
from pipeline.evidence.comparison.compare import ComparisonPlan, RunComparison
from pipeline.evidence.comparison.pairing import RunRecords
from pipeline.findings.context.changes import CHANGE_ANSWERS, FigureChange, FlippedStudy
from pipeline.findings.estimates import Estimate

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True)
class Comparison(RunComparison):
    """What changed from run a to run b, as a notebook shows it.

    ``studies`` are the pseudonyms by what became of them: paired, only in one run, other files, not analysed.
    ``change`` is what a run keeps of a comparison: figures paired by patient with exact bounds, studies that flipped,
    the answer.
    """

    _notes: tuple[str, ...] = field(default=())

    @property
    def figures(self) -> tuple[FigureChange, ...]:
        """Each figure of both runs with its difference."""
        return self.change.figures

    @property
    def differences(self) -> tuple[Estimate, ...]:
        """The mean differences, b minus a, with exact bounds."""
        return tuple(figure.estimate for figure in self.change.figures)

    @property
    def flips(self) -> tuple[FlippedStudy, ...]:
        """The studies of which the two runs say different things."""
        return self.change.flips

    @property
    def counts(self) -> tuple[str, ...]:
        """The groups of studies in words, with their sizes."""
        studies = self.studies.counts
        return (
            f"{studies.paired} studies are compared",
            f"{studies.only_in_a} are in {self.change.run_a} only",
            f"{studies.only_in_b} are in {self.change.run_b} only",
            f"{studies.changed} have other files, masks or labels in the two runs",
            f"{studies.not_analysed} were excluded or failed in at least one of the two runs",
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should weigh."""
        answer = f"{CHANGE_ANSWERS[self.change.answer]}: {self.change.reason}"
        return (
            *self._notes,
            answer,
            *self.change.differs,
            *(f"not compared: {text}" for text in self.change.not_compared),
        )

    def _repr_html_(self) -> str:
        """Show the groups of studies, the notes and the differences in a notebook."""
        from camaudit.views import comparison_html

        return comparison_html(self.change, (*self.counts, *self.notes))


def compare(
    run_a: FinishedRun,
    run_b: FinishedRun,
    *,
    margins: Mapping[str, float] | None = None,
    maps: Sequence[tuple[str, str]] = (),
) -> Comparison:
    """Return what changed from ``run_a`` to ``run_b``, two runs of one cohort: paired differences, b minus a.

    ``margins`` go from a metric to by how much less is still not worse; without them those of run_b's configuration
    hold, which its lock fixes. ``maps`` are pairs of a map of run_a and one of run_b; without them each map of both is
    compared with itself.

    Raises:
        OutputError: when the two share no study, a map or margin is of neither, or a shard is not as it was written.
    """
    given = run_b.margins_plan
    plan = ComparisonPlan(
        margins=given.margins if margins is None else dict(margins),
        locked=given.locked and margins is None,
        confidence=given.confidence,
        missing_at_most=given.missing_at_most,
        maps=tuple(maps),
    )
    notes = () if plan.locked else ("EXPLORATORY: no margin of this comparison was locked beforehand",)
    comparison = compare_records(_records(run_a), _records(run_b), plan)
    return Comparison(**vars(comparison), _notes=notes)


def _records(run: FinishedRun) -> RunRecords:
    return RunRecords(run.results, run.masks_recipe, run.audits, run.results_sha256)
