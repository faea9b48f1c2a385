"""The same estimates in subgroups."""

from collections.abc import Sequence

from pipeline.record import Estimate
from reports.estimates import among_rows, estimate_columns
from reports.layout import Flowable, columns, note, paragraph, subheading, table
from reports.numbers import estimate
from reports.registry import Context, section
from reports.wording import intervals, is_baseline, measured, method


@section(100, "Results: subgroups")
def build(context: Context) -> list[Flowable]:
    """Return one table for each subgroup; none is dropped for being small."""
    results = context.results
    found = [one for one in (*results.classification, *results.estimates) if one.group is not None]
    if not found:
        return [paragraph("No subgroup was estimated: the archive states none.")]
    words = " Subgroups were not adjusted for one another, nor intervals for their number. Baselines: see results.json."
    return [*_classifier(context), *_maps(context), note(intervals(found), words)]


def _classifier(context: Context) -> list[Flowable]:
    results = context.results
    found = [one for one in results.classification if one.group is not None]
    content: list[Flowable] = []
    for group in dict.fromkeys(one.group for one in found):
        members = [one for one in found if one.group == group]
        rows, rules = among_rows(results, members, by_method=False)
        content += [*subheading(group), table(estimate_columns(members, by_method=False), rows, rules=rules)]
    return content


def _maps(context: Context) -> list[Flowable]:
    """Return one table a metric: subgroups down, the maps' estimates with intervals across."""
    results = context.results
    found = [one for one in results.estimates if one.group is not None and not is_baseline(one.method)]
    names = list(dict.fromkeys(one.method for one in found))[:_ACROSS]
    content: list[Flowable] = []
    for metric in dict.fromkeys(one.metric for one in found):
        members = [one for one in found if one.metric == metric]
        heads = [(method(results, name), 24.0, True) for name in names]
        shape = columns(("Subgroup", 24), ("Patients", 13, True), ("Studies", 12, True), *heads)
        rows = [
            _row([one for one in members if one.group == group], names)
            for group in dict.fromkeys(one.group for one in members)
        ]
        content += [*subheading(f"{measured(results, metric)}, reference positive studies"), table(shape, rows)]
    return content


_ACROSS = 3
"""Maps that fit beside each other; the others stand in ``results.json``."""


def _row(estimates: Sequence[Estimate], names: Sequence[str]) -> tuple[object, ...]:
    by_method = {one.method: one for one in estimates}
    first = estimates[0]
    return (first.group, first.patients, first.studies, *(estimate(by_method[name]) for name in names))
