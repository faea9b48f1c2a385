"""Overlap of maps with experts' masks, beside maps that know nothing of the model."""

from collections.abc import Sequence

from pipeline.findings.estimates import Estimate
from pipeline.findings.results import Results
from pipeline.vocabulary import STRATA, STRATA_MEANING, ConfusionCell
from reports.charts.forest import forest_plot
from reports.estimates import matrix
from reports.numbers import plural
from reports.page.layout import Flowable, note, paragraph, small, subheading, together
from reports.registry import Context, section
from reports.wording import arrow_note, in_sentence, intervals_again, is_baseline, stratum


@section(90, "Overlap with the experts' masks")
def build(context: Context) -> list[Flowable]:
    """Return a forest plot of the primary stratum and one table for each stratum that holds other studies."""
    results = context.results
    whole = [estimate for estimate in results.estimates if estimate.group is None]
    if not whole:
        nothing = paragraph("No overlap could be estimated: the results hold no estimate.")
        tables = matrix(results, [], results.agreements) if results.agreements else []
        return [nothing, *(part for table in tables for part in table)]
    content = _forest(results, whole)
    before: list[Estimate] = []
    for among in STRATA:
        members = [estimate for estimate in whole if estimate.among == among]
        if members:
            content += _stratum(results, members, before)
            before = members
    experts = _CEILING if results.agreements else _NO_CEILING
    return [*content, note(intervals_again(results, whole), " ", _READING, experts, arrow_note(results))]


def _stratum(results: Results, members: Sequence[Estimate], before: Sequence[Estimate]) -> list[Flowable]:
    """Return a stratum's tables; one sentence where it holds no study, or those of the stratum before."""
    among = members[0].among
    assert not isinstance(among, ConfusionCell)  # cells have a section of their own
    title, meaning = stratum(among), STRATA_MEANING[among]
    if not any(estimate.studies for estimate in members):
        return [small(f"{title}: there are none, so nothing is estimated.")]
    if max(estimate.patients for estimate in members) == 1:
        return [small(f"{title}: of one patient, so no table is made; its scores stand in per_study.csv.")]
    if before and _numbers(members) == _numbers(before):
        same = plural(max(estimate.studies for estimate in members), "study", "studies")
        return [small(f"{title}: the same {same} as the {in_sentence(stratum(before[0].among))}, the same numbers.")]
    asked = {verdict.metric for verdict in results.verdicts}
    shown = [estimate for estimate in members if not before or estimate.metric in asked] or members
    if before:
        shown = [estimate for estimate in shown if not is_baseline(estimate.method)] or shown
    rest_of = " All metrics and the baselines: results.json." if len(shown) < len(members) else ""
    first, *rest = matrix(results, shown, () if before else results.agreements)
    return [
        together(
            [
                *subheading(title)[1:],
                note(meaning, " Baselines and chance: grey." if not before else "", rest_of),
                *first,
            ]
        ),
        *(together(part) for part in rest),
    ]


def _numbers(members: Sequence[Estimate]) -> list[tuple[object, ...]]:
    return [
        (part.metric, part.method, part.value, part.low, part.high, part.patients, part.studies) for part in members
    ]


_READING = "Chance: to expect of a map placed at random."


_CEILING = " No map need agree better than experts do."
_NO_CEILING = " How well experts agree with each other could not be estimated: no study was marked by two."


def _forest(results: Results, whole: list[Estimate]) -> list[Flowable]:
    strata = {estimate.among for estimate in whole}
    among = next((candidate for candidate in STRATA if candidate in strata and candidate != "all"), next(iter(strata)))
    primary = [estimate for estimate in whole if estimate.among == among and estimate.value is not None]
    shown = _metrics_to_plot(results, primary)
    plots = forest_plot(results, [estimate for estimate in primary if estimate.metric in shown])
    if not plots:
        return []
    rest = len({estimate.metric for estimate in primary}) - len(shown)
    more = f" {plural(rest, 'more metric')}: see the table." if rest else ""
    caption = f"{stratum(among)}: estimates (points) with their intervals (lines); baselines are hollow.{more}"
    return [together([note(caption), plots[0]]), *plots[1:]]


_PLOTTED = 4


def _metrics_to_plot(results: Results, estimates: Sequence[Estimate]) -> list[str]:
    """Return the metrics that are drawn: those that criteria ask for first, in the order of the results."""
    names = list(dict.fromkeys(estimate.metric for estimate in estimates))
    asked = {verdict.metric for verdict in results.verdicts}
    chosen = sorted(names, key=lambda name: name not in asked)[:_PLOTTED]
    return [name for name in names if name in chosen]
