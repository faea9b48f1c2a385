"""Both results of maps that were moved to where their cells look."""

from pipeline.findings.estimates import Estimate
from pipeline.findings.results import Results
from reports.numbers import estimate
from reports.page.layout import Flowable, columns, note, paragraph, table
from reports.page.text import DASH
from reports.registry import Context, section
from reports.wording import arrow_note, headed, intervals_again, method, methods_in_order


@section(95, "Maps moved and unmoved")
def build(context: Context) -> list[Flowable]:
    """Return each estimate of moved maps beside that of the same maps on the grid, where the two differ."""
    results = context.results
    if not results.unaligned:
        return [paragraph(_UNCHANGED)] if "measured to look" in results.overlap_rule else []
    shape = columns(("Metric", 34), ("Map", 40), ("Moved to where cells look", 40, True), ("On the grid", 40, True))
    order = methods_in_order(results, (other.method for other in results.unaligned))
    others = sorted(results.unaligned, key=lambda other: order.index(other.method))
    metrics = dict.fromkeys(other.metric for other in results.unaligned)
    rows = [_row(results, other) for name in metrics for other in others if other.metric == name]
    return [paragraph(_READING), table(shape, rows), note(intervals_again(results, others), arrow_note(results))]


_READING = (
    "The maps of this audit were moved by the shift that was measured between a layer's cells and where they look. "
    "That shift is an average over noise; what a trained network uses may lie elsewhere. Here are both results for the "
    "reference positive studies. Criteria are judged on the moved maps; what is not listed is the same."
)


_UNCHANGED = "Maps were moved to where their layer's cells look, and no estimate of this audit changed by that."


def _row(results: Results, other: Estimate) -> tuple[object, ...]:
    moved = next(
        (
            candidate
            for candidate in results.estimates
            if (candidate.metric, candidate.method, candidate.among, candidate.group)
            == (other.metric, other.method, other.among, None)
        ),
        None,
    )
    shown = DASH if moved is None else estimate(moved)
    return headed(results, other.metric), method(results, other.method), shown, estimate(other)
