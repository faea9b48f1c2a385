"""The criteria at a glance: all of them on their axes, and over the runs of the audit."""

from collections.abc import Sequence

from pipeline.findings.plotted.history import RunPoint
from pipeline.findings.results import Results
from pipeline.vocabulary import CLASSIFIER
from reports.charts.control import control_chart
from reports.charts.criteria import criteria_forest
from reports.charts.frame import Span
from reports.numbers import plural
from reports.page.layout import Flowable, note, paragraph, subheading, together
from reports.registry import Context, section
from reports.wording import on_metrics, range_of

_MOST_CHARTS = 6


@section(15, "The criteria at a glance")
def build(context: Context) -> list[Flowable]:
    """Return the forest of criteria, and a chart over the runs for each criterion that earlier runs had too."""
    results = context.results
    if results.verdicts and not on_metrics(results):
        return []  # checks have no interval to draw
    if not results.verdicts:
        return [paragraph("No acceptance criterion was stated, so there is nothing to hold an estimate against.")]
    plots = criteria_forest(results)
    return [together([*plots[:1], note(_READING)]), *plots[1:], *_over_runs(results)]


_READING = (
    "Points are estimates, lines the intervals that the verdicts follow from. A criterion is MET only where its whole "
    "interval lies on the side that the flag of its bound points to."
)


def _over_runs(results: Results) -> list[Flowable]:
    """Return the charts over runs; nothing where this is the first run that asks these criteria."""
    charts: list[Flowable] = []
    criteria = [verdict.criterion for verdict in on_metrics(results)]
    shared = [name for name in criteria if any(point.criterion == name for point in results.history)]
    for name in shared[:_MOST_CHARTS]:
        points = [point for point in (*results.history, *results.points()) if point.criterion == name]
        charts.append(control_chart(points, name, _span(results, points)))
    if not charts:
        return []
    left_out = len(shared) - len(charts)
    more = f" {plural(left_out, 'more criterion', 'more criteria')}: see results.json." if left_out else ""
    head = subheading("Over the runs of this audit")
    return [*head, *charts, note(_LOOKS, more)]


_LOOKS = (
    "Each run is a look at the cohort as it was then. Where the cohort was locked whole, a verdict holds for its own "
    "look alone: the first of many that is MET shows less than one that was planned as the only one."
)


def _span(results: Results, points: Sequence[RunPoint]) -> Span:
    """Return what a criterion's estimates lie within: a metric's range, unless they are differences or shares of it."""
    verdict = next(verdict for verdict in results.verdicts if verdict.criterion == points[0].criterion)
    if verdict.against is not None or verdict.rule.startswith(("within ", "median ")):
        return (None, None)
    return (0.0, 1.0) if verdict.method == CLASSIFIER else range_of(results, verdict.metric)
