"""The metrics and their definitions."""

from reports.page.layout import Flowable, columns, note, paragraph, table
from reports.page.text import bold
from reports.registry import Context, section


@section(70, "Metrics")
def build(context: Context) -> list[Flowable]:
    """Return what each metric measures."""
    metrics = context.results.metrics
    if not metrics:
        return [paragraph("The results describe no metric.")]
    shape = columns(("Metric", 24), ("Definition", 52), ("Better", 10), ("Unit", 12))
    rows = [(bold(metric.title), metric.definition, metric.better, metric.unit or "none") for metric in metrics]
    return [
        table(shape, rows),
        note(
            "A score that a definition leaves undefined (for an empty mask, say) is left out and counted with its "
            "reason; it is never taken as zero."
        ),
    ]
