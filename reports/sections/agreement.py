"""Agreement between experts: the ceiling for a map."""

from reports.numbers import bounds, number
from reports.page.layout import Flowable, columns, note, paragraph, small, table
from reports.registry import Context, section
from reports.wording import interval_head, intervals, measured, undefined


@section(92, "Agreement between experts")
def build(context: Context) -> list[Flowable]:
    """Return how well two experts agree by the same metrics."""
    results = context.results
    agreements = results.agreements
    if not agreements:
        return [paragraph("Agreement could not be estimated: no study was marked by two experts.")]
    head = interval_head(agreement.estimate for agreement in agreements)
    shape = columns(
        ("Metric", 26), ("Experts", 26), ("Estimate", 12, True), (head, 18, True),
        ("Patients", 11, True), ("Studies", 11, True), ("Undefined", 22),
    )  # fmt: skip
    rows = [
        (
            measured(results, agreement.metric),
            " and ".join(agreement.readers),
            number(agreement.estimate.value, like=(agreement.estimate.low, agreement.estimate.high)),
            bounds(agreement.estimate),
            f"{agreement.estimate.patients}",
            f"{agreement.estimate.studies}",
            agreement.estimate.reason or undefined(agreement.estimate),
        )
        for agreement in agreements
    ]
    return [
        small("A map cannot be asked to agree with an expert better than another expert does."),
        table(shape, rows, compact=True),
        note(intervals(agreement.estimate for agreement in agreements)),
    ]
