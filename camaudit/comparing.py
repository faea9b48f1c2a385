"""Two finished runs against each other."""

from dataclasses import dataclass

from camaudit.finished_run import FinishedRun
from pipeline.conclusions.comparison import RunDifferences, RunRecords, compare_runs

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True)
class Comparison(RunDifferences):
    """What changed from one run to another, as a notebook shows it."""

    def _repr_html_(self) -> str:
        """Show the groups of studies, the notes and the differences in a notebook."""
        from camaudit.views import comparison_html

        return comparison_html(self)


def compare(run_a: FinishedRun, run_b: FinishedRun) -> Comparison:
    """Return what changed from ``run_a`` to ``run_b``, two runs of one cohort: paired differences, b minus a.

    Raises:
        OutputError: when the two share no study, or a shard is not the one that was written.
    """
    records = [RunRecords(run.results, run.masks_recipe, run.audits) for run in (run_a, run_b)]
    return Comparison(**vars(compare_runs(*records)))
