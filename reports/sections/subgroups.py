"""The maps' estimates in subgroups."""

from collections.abc import Iterable, Sequence

from pipeline.findings.estimates import Estimate
from pipeline.findings.results import Results
from reports.numbers import count, estimate
from reports.page.layout import Flowable, columns, note, paragraph, subheading, table
from reports.page.text import DASH
from reports.registry import Context, section
from reports.wording import arrow_note, headed, in_sentence, intervals, is_baseline, method, methods_in_order, stratum

_ACROSS = 3
"""Maps that fit beside each other; more of them take further tables."""


@section(100, "Results: subgroups")
def build(context: Context) -> list[Flowable]:
    """Return a table for each metric and each three maps; no subgroup is dropped for being small."""
    results = context.results
    grouped = [member for member in results.estimates if member.group is not None]
    of_maps = [member for member in grouped if not is_baseline(member.method)]
    if not of_maps:
        return [paragraph("No subgroup was estimated: the archive states none.")]
    words = " Subgroups were not adjusted for one another, nor intervals for their number."
    left_out = " Baselines in subgroups: see results.json." if len(grouped) > len(of_maps) else ""
    return [*_maps(results, of_maps), note(intervals(of_maps), words, left_out, arrow_note(results))]


def _maps(results: Results, estimates: Sequence[Estimate]) -> list[Flowable]:
    """Return the tables: subgroups down, the maps' estimates with intervals across."""
    content: list[Flowable] = []
    for metric, among in dict.fromkeys((member.metric, member.among) for member in estimates):
        members = [member for member in estimates if (member.metric, member.among) == (metric, among)]
        names = methods_in_order(results, (member.method for member in members))
        parts = [names[start : start + _ACROSS] for start in range(0, len(names), _ACROSS)]
        for number, part in enumerate(parts, 1):
            place = f" ({number} of {len(parts)})" if len(parts) > 1 else ""
            content += subheading(f"{headed(results, metric)}, {in_sentence(stratum(among))}{place}")
            content.append(_table(results, [member for member in members if member.method in part], part))
    return content


def _table(results: Results, members: Sequence[Estimate], names: Sequence[str]) -> Flowable:
    heads = [(method(results, name), 24.0, True) for name in names]
    shape = columns(("Subgroup", 24), ("Patients", 13, True), ("Studies", 12, True), *heads)
    groups = dict.fromkeys(member.group for member in members)
    rows = [_row([member for member in members if member.group == group], names) for group in groups]
    return table(shape, rows, compact=True)


def _row(estimates: Sequence[Estimate], names: Sequence[str]) -> tuple[object, ...]:
    numbers = {member.method: estimate(member) for member in estimates}
    patients, studies = (member.patients for member in estimates), (member.studies for member in estimates)
    return (estimates[0].group, _span(patients), _span(studies), *(numbers.get(name, DASH) for name in names))


def _span(counts: Iterable[int]) -> str:
    """Return the count behind each map's number; maps that are undefined in some studies rest on fewer."""
    several = sorted(set(counts))
    return count(several[0]) if len(several) == 1 else f"{count(several[0])}\u2013{count(several[-1])}"
