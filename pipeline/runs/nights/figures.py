"""What is followed from run to run: the criteria's estimates; without criteria the classifier's, or its answers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.findings.plotted.control import RunControl
from pipeline.findings.plotted.history import RunPoint
from pipeline.findings.results import Results, load_results

__all__ = ["AuditHistory", "HistoryRow", "audit_history", "key_figures"]

_NO_LABEL = "no finding"


@dataclass(frozen=True)
class HistoryRow:
    """A finished run: how its studies ended, and its key figures."""

    run: str
    finished_at: str
    found: int
    analysed: int
    lost: int
    computed: int
    exploratory: bool
    figures: tuple[RunPoint, ...]


@dataclass(frozen=True)
class AuditHistory:
    """The finished runs of an audit, oldest first; ``unread`` goes from a run that cannot be read to why.

    ``control`` goes from a criterion of the newest run to the chart of its growing cohort, where it has one.
    """

    audit: str
    rows: tuple[HistoryRow, ...]
    unread: tuple[tuple[str, str], ...] = ()
    control: Mapping[str, RunControl] = field(default_factory=dict)

    def series(self) -> dict[str, tuple[RunPoint, ...]]:
        """Return the points of each figure, oldest first, figures in the order in which the newest run has them."""
        names = dict.fromkeys(point.criterion for row in reversed(self.rows) for point in row.figures)
        return {
            name: tuple(point for row in self.rows for point in row.figures if point.criterion == name)
            for name in names
        }


def audit_history(runs: Sequence[Path], audit: str) -> AuditHistory:
    """Read what runs came to; one of another version, or damaged, is named and left out. Nothing is proved here."""
    rows: list[HistoryRow] = []
    unread: list[tuple[str, str]] = []
    control: dict[str, RunControl] = {}
    for run in runs:
        if not (run / "results.json").exists():
            continue
        try:
            results = load_results(run)
        except OutputError as error:
            unread.append((run.name, str(error).replace(f"{run}/", "")))
        else:
            rows.append(_row(results))
            control = {verdict.criterion: verdict.control for verdict in results.verdicts if verdict.control}
    return AuditHistory(audit, tuple(rows), tuple(unread), control)


def _row(results: Results) -> HistoryRow:
    flow = results.flow
    return HistoryRow(
        results.run,
        results.provenance.finished_at,
        flow.found,
        flow.analysed,
        flow.found - flow.analysed,
        flow.computed,
        bool(results.lock.exploratory),
        key_figures(results),
    )


def key_figures(results: Results) -> tuple[RunPoint, ...]:
    """Return a point for each criterion; without any, for each figure of the classifier that has a value.

    Where nothing tells what is right, what is left is how often each label was called.
    """
    if results.verdicts:
        return results.points()
    return tuple(_classifier(results)) or tuple(_answers(results))


def _classifier(results: Results) -> Iterator[RunPoint]:
    for estimate in results.classification:
        if estimate.value is not None and estimate.group is None:
            name = f"{estimate.metric} of the classifier"
            yield _point(results, name, (estimate.value, estimate.low, estimate.high), estimate.patients)


def _answers(results: Results) -> Iterator[RunPoint]:
    total = sum(count.studies for count in results.answer_counts)
    called: dict[str, int] = {}
    for count in results.answer_counts:
        for label in count.answered or (_NO_LABEL,):
            called[label] = called.get(label, 0) + count.studies
    for label in sorted(called):
        share = called[label] / total if total else None
        yield _point(results, f"share of studies called {label}", (share, None, None), total)


def _point(
    results: Results, name: str, value: tuple[float | None, float | None, float | None], patients: int
) -> RunPoint:
    return RunPoint(
        run=results.run,
        finished_at=results.provenance.finished_at,
        criterion=name,
        value=value[0],
        low=value[1],
        high=value[2],
        bound=None,
        patients=patients,
        answer="NOT EVALUATED",
        lock=None,
    )
