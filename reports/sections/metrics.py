"""The metrics and their definitions."""

from pipeline.findings.facts import MetricFacts
from reports.page.layout import GREY, Flowable, columns, note, paragraph, small, table
from reports.page.text import bold
from reports.registry import Context, section


@section(147, "Metrics")
def build(context: Context) -> list[Flowable]:
    """Return what each metric measures."""
    metrics = context.results.metrics
    if not metrics:
        return [paragraph("The results describe no metric.")]
    shape = columns(("Metric", 22), ("Definition", 44), ("Better", 9), ("Range, unit", 14), ("Chance", 34))
    rows = [
        ([bold(metric.title), small(_origin(metric), colour=GREY)], metric.definition, metric.better, _range(metric),
         metric.chance or "not stated")
        for metric in metrics
    ]  # fmt: skip
    return [
        table(shape, rows, compact=True),
        note(
            "A score that a definition leaves undefined (for an empty mask, say) is left out and counted with its "
            "reason; it is never taken as zero."
        ),
    ]


def _origin(metric: MetricFacts) -> str:
    if metric.package is None:
        return f"version {metric.version}"
    return f"version {metric.version}, of the package {metric.package} {metric.package_version}"


def _range(metric: MetricFacts) -> str:
    low, high = metric.range
    unit = "" if metric.unit in ("", "1") else f" {metric.unit}"
    if low is None and high is None:
        return f"open{unit and ','}{unit}"
    if low is not None and high is not None:
        return f"{low:g} to {high:g}{unit}"
    return f"{low:g} or more{unit and ','}{unit}" if low is not None else f"{high:g} or less{unit and ','}{unit}"
