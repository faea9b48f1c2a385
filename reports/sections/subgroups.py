"""The maps' estimates in subgroups."""

from collections.abc import Iterable, Sequence

from pipeline.record import Estimate, Results
from reports.layout import Flowable, columns, note, paragraph, subheading, table
from reports.numbers import count, estimate
from reports.registry import Context, section
from reports.text import DASH
from reports.wording import in_sentence, intervals, is_baseline, measured, method, methods_in_order, stratum

_ACROSS = 3
"""Maps that fit beside each other; more of them take further tables."""


@section(100, "Results: subgroups")
def build(context: Context) -> list[Flowable]:
    """Return a table for each metric and each three maps; no subgroup is dropped for being small."""
    results = context.results
    grouped = [one for one in results.estimates if one.group is not None]
    found = [one for one in grouped if not is_baseline(one.method)]
    if not found:
        return [paragraph("No subgroup was estimated: the archive states none.")]
    words = " Subgroups were not adjusted for one another, nor intervals for their number."
    left_out = " Baselines in subgroups: see results.json." if len(grouped) > len(found) else ""
    return [*_maps(results, found), note(intervals(found), words, left_out)]


def _maps(results: Results, found: Sequence[Estimate]) -> list[Flowable]:
    """Return the tables: subgroups down, the maps' estimates with intervals across."""
    content: list[Flowable] = []
    for metric, among in dict.fromkeys((one.metric, one.among) for one in found):
        members = [one for one in found if (one.metric, one.among) == (metric, among)]
        names = methods_in_order(results, (one.method for one in members))
        parts = [names[start : start + _ACROSS] for start in range(0, len(names), _ACROSS)]
        for number, part in enumerate(parts, 1):
            place = f" ({number} of {len(parts)})" if len(parts) > 1 else ""
            content += subheading(f"{measured(results, metric)}, {in_sentence(stratum(among))}{place}")
            content.append(_table(results, [one for one in members if one.method in part], part))
    return content


def _table(results: Results, members: Sequence[Estimate], names: Sequence[str]) -> Flowable:
    heads = [(method(results, name), 24.0, True) for name in names]
    shape = columns(("Subgroup", 24), ("Patients", 13, True), ("Studies", 12, True), *heads)
    groups = dict.fromkeys(one.group for one in members)
    return table(shape, [_row([one for one in members if one.group == group], names) for group in groups])


def _row(estimates: Sequence[Estimate], names: Sequence[str]) -> tuple[object, ...]:
    numbers = {one.method: estimate(one) for one in estimates}
    patients, studies = (one.patients for one in estimates), (one.studies for one in estimates)
    return (estimates[0].group, _span(patients), _span(studies), *(numbers.get(name, DASH) for name in names))


def _span(counts: Iterable[int]) -> str:
    """Return the count behind each map's number; maps that are undefined in some studies rest on fewer."""
    several = sorted(set(counts))
    return count(several[0]) if len(several) == 1 else f"{count(several[0])}\u2013{count(several[-1])}"
