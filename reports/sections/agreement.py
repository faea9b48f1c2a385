"""Agreement between experts: the ceiling for a map."""

from reports.layout import Flowable, columns, note, paragraph, table
from reports.numbers import bounds, number
from reports.registry import Context, section
from reports.wording import interval_head, intervals, measured, undefined


@section(110, "Results: agreement between experts")
def build(context: Context) -> list[Flowable]:
    """Return how well two experts agree by the same metrics."""
    results = context.results
    found = results.agreements
    if not found:
        return [paragraph("Agreement could not be estimated: no study was marked by two experts.")]
    head = interval_head(one.estimate for one in found)
    shape = columns(
        ("Metric", 26), ("Experts", 26), ("Estimate", 12, True), (head, 18, True),
        ("Patients", 11, True), ("Studies", 11, True), ("Undefined", 22),
    )  # fmt: skip
    rows = [
        (
            measured(results, one.metric),
            " and ".join(one.readers),
            number(one.estimate.value, like=(one.estimate.low, one.estimate.high)),
            bounds(one.estimate),
            f"{one.estimate.patients}",
            f"{one.estimate.studies}",
            one.estimate.reason or undefined(one.estimate),
        )
        for one in found
    ]
    return [
        paragraph("A map cannot be asked to agree with an expert better than another expert does."),
        table(shape, rows),
        note(intervals(one.estimate for one in found)),
    ]
