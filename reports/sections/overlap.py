"""Overlap of maps with experts' masks, beside maps that know nothing of the model."""

from pipeline.findings.estimates import Estimate
from pipeline.findings.results import Results
from pipeline.vocabulary import STRATA, STRATA_MEANING
from reports.charts.forest import forest_plot
from reports.estimates import among_rows, estimate_columns
from reports.page.layout import Flowable, note, paragraph, subheading, table, together
from reports.registry import Context, section
from reports.wording import arrow_note, intervals, stratum


@section(90, "Results: overlap with the experts' masks")
def build(context: Context) -> list[Flowable]:
    """Return a forest plot of the primary stratum and one table for each stratum."""
    results = context.results
    whole = [estimate for estimate in results.estimates if estimate.group is None]
    if not whole:
        return [paragraph("No overlap could be estimated: the results hold no estimate.")]
    content = _forest(results, whole)
    for among in STRATA:
        in_stratum = [estimate for estimate in whole if estimate.among == among]
        if in_stratum:
            rows, rules = among_rows(results, in_stratum)
            content += subheading(stratum(among))
            content += [note(STRATA_MEANING[among]), table(estimate_columns(in_stratum), rows, rules=rules)]
    return [*content, note(intervals(whole), " ", _READING, arrow_note(results))]


_READING = (
    "Chance is the value to expect of a map that is placed at random. A map that does no better than a baseline "
    "has shown nothing about where the model looked."
)


def _forest(results: Results, whole: list[Estimate]) -> list[Flowable]:
    strata = {estimate.among for estimate in whole}
    among = next((candidate for candidate in STRATA if candidate in strata and candidate != "all"), next(iter(strata)))
    primary = [estimate for estimate in whole if estimate.among == among and estimate.value is not None]
    plots = forest_plot(results, primary)
    if not plots:
        return []
    caption = f"{stratum(among)}: estimates (points) with their intervals (lines); baselines are hollow."
    return [together([*subheading("At a glance")[1:], note(caption), *plots[:3]]), *plots[3:]]
