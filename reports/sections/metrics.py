"""The metrics and their definitions."""

from collections.abc import Sequence

from pipeline.findings.facts import MetricFacts
from reports.page.layout import GREY, Flowable, bullets, note, small
from reports.page.text import Markup, bold, coloured, joined
from reports.registry import Context, section
from reports.wording import unit_of


@section(147, "Metrics", in_columns=True)
def build(context: Context) -> list[Flowable]:
    """Return what each metric measures."""
    metrics = context.results.metrics
    if not metrics:
        return [small("The results describe no metric.")]
    kinds = {_kind(metric) for metric in metrics}
    shared = f"Of each metric: {kinds.pop()}. " if len(kinds) == 1 else ""
    lines = (_told(metric, shared, _first_with_chance(metrics, metric)) for metric in metrics)
    return [*bullets(lines, compact=True), note(shared, _UNDEFINED)]


_UNDEFINED = (
    "A score that is undefined (of an empty mask, say) is left out and counted with its reason, never taken as zero."
)


def _first_with_chance(metrics: Sequence[MetricFacts], metric: MetricFacts) -> MetricFacts:
    """Return the first metric of which the same is said of chance."""
    return next(other for other in metrics if other.chance == metric.chance)


def _told(metric: MetricFacts, shared: str, first: MetricFacts) -> Markup:
    """Return a metric's name, its definition and the value to expect by chance, unless ``first`` has it already."""
    again = first is not metric and bool(metric.chance)
    chance = f"Chance: as of {first.title}" if again else _chance(metric)
    kind = "" if shared else f" ({_kind(metric)})"
    definition = metric.definition.rstrip(".")
    return joined(bold(f"{metric.title}. "), definition, f"{kind}. ", coloured(f"{chance}.", GREY))


def _kind(metric: MetricFacts) -> str:
    """Return which end is the good one, the range and the unit, and whose definition it is."""
    return f"{metric.better} is better; {_range(metric)}; {_origin(metric)}"


def _chance(metric: MetricFacts) -> str:
    if not metric.chance:
        return "Chance: not stated"
    return f"Chance: {metric.chance[:1].lower()}{metric.chance[1:].rstrip('.')}"


def _origin(metric: MetricFacts) -> str:
    if metric.package is None:
        return f"version {metric.version}"
    return f"version {metric.version}, of the package {metric.package} {metric.package_version}"


def _range(metric: MetricFacts) -> str:
    low, high = metric.range
    unit = "" if metric.unit in ("", "1") else f" {unit_of(metric.unit)}"
    if low is None and high is None:
        return f"open{unit and ','}{unit}"
    if low is not None and high is not None:
        return f"{low:g} to {high:g}{unit}"
    return f"{low:g} or more{unit and ','}{unit}" if low is not None else f"{high:g} or less{unit and ','}{unit}"
