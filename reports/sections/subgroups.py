"""The maps' estimates in subgroups, and what separates each from the rest."""

from collections.abc import Iterable, Sequence

from pipeline.findings.estimates import Estimate
from pipeline.findings.plotted.differences import GroupDifference
from pipeline.findings.results import Results
from pipeline.vocabulary import CLASSIFIER, LESION_FEATURES, Stratum
from reports.charts.subgroup_panels import SubgroupPanel, subgroup_panels
from reports.charts.subgroups import subgroup_forest
from reports.numbers import count, estimate, plural, share
from reports.page.layout import Flowable, columns, note, paragraph, subheading, table
from reports.page.text import DASH
from reports.registry import Context, section
from reports.wording import (
    arrow_note,
    headed,
    in_sentence,
    intervals_again,
    is_baseline,
    method,
    methods_in_order,
    on_metrics,
    stratum,
)

_AMONG: Stratum = "reference_positive"
"""Subgroups are those of the studies in which the finding is present."""

_ACROSS = 3
"""Maps that fit beside each other; more of them take further tables."""


@section(100, "Subgroups")
def build(context: Context) -> list[Flowable]:
    """Return forests of what the criteria ask for; where they ask of no map in subgroups, tables of all metrics."""
    results = context.results
    grouped = [member for member in results.estimates if member.group is not None]
    of_maps = [member for member in grouped if not is_baseline(member.method)]
    if not of_maps:
        return [paragraph("No subgroup was estimated: the archive states none.")]
    words = " Subgroups were not adjusted for one another, nor intervals for their number."
    left_out = " Baselines in subgroups: see results.json." if len(grouped) > len(of_maps) else ""
    tables = [*_maps(results, of_maps), note(intervals_again(results, of_maps), words, left_out, arrow_note(results))]
    forests = _forests(results, of_maps)
    return forests or tables


_REST = (
    "Shown is what the criteria ask of maps; all else in subgroups stands in results.json. Small groups are not "
    "dropped."
)

_OF_LESIONS = tuple(title for feature, title in LESION_FEATURES.items() if feature != "size")
"""Groups that rank correlations speak of already."""


def _forests(results: Results, of_maps: Sequence[Estimate]) -> list[Flowable]:
    """Return a forest for each map and metric that a criterion asks for, and how to read the differences."""
    asked = [(verdict.metric, verdict.method) for verdict in on_metrics(results) if verdict.method != CLASSIFIER]
    compared = [(shift.metric, shift.method) for shift in results.group_differences]
    chosen = [_panel(results, of_maps, *key) for key in dict.fromkeys([*asked, *compared])]
    panels = [panel for panel in chosen if panel is not None]
    if not panels:
        return []
    shown = [estimate for panel in panels for estimate in panel.groups]
    if all(estimate.value is None for estimate in shown):
        reasons = "; ".join(sorted({estimate.reason or "no reason is stated" for estimate in shown}))
        return [paragraph(f"Nothing could be estimated in any subgroup: {reasons}.")]
    plots = subgroup_panels(results, panels)
    if len(panels) == 1:  # room for an axis of the differences
        plots = subgroup_forest(results, panels[0].whole, panels[0].groups, panels[0].differences)
    return [*plots, note(intervals_again(results, shown), " ", *_reading(results.group_differences), _REST)]


def _panel(results: Results, of_maps: Sequence[Estimate], metric: str, name: str) -> SubgroupPanel | None:
    """Return what is drawn of a map and a metric; None where it was not estimated in any group."""
    groups = tuple(
        member
        for member in of_maps
        if (member.metric, member.method) == (metric, name) and not str(member.group).startswith(_OF_LESIONS)
    )
    if not groups:
        return None
    key = (metric, name, _AMONG, None)
    whole = next(
        (part for part in results.estimates if (part.metric, part.method, part.among, part.group) == key), None
    )
    shifts = tuple(shift for shift in results.group_differences if (shift.metric, shift.method) == (metric, name))
    return SubgroupPanel(whole, groups, shifts)


def _reading(differences: Sequence[GroupDifference]) -> Iterable[str]:
    compared = [shift for shift in differences if shift.p_adjusted is not None]
    if not differences:
        return
    yield (
        "Upright dashes: the whole cohort. Differences are a group's mean minus that of all others in the same column; "
        "of two groups only the first is compared. "
    )
    if not compared:
        yield (
            "No difference has an interval: " + "; ".join(sorted({shift.reason or "" for shift in differences})) + ". "
        )
        return
    rules = "; ".join(sorted({f"{share(shift.confidence)}, {shift.interval}" for shift in compared}))
    stay = sum(shift.p_adjusted <= 1 - shift.confidence for shift in compared if shift.p_adjusted is not None)
    number_compared = plural(len(compared), "comparison")
    yield f"Their intervals: {rules}; not adjusted. p is adjusted (Holm) for all {number_compared} of this report: "
    yield f"{count(stay) if stay else 'none'} of them {'stays' if stay == 1 else 'stay'}. "
    bare = sorted({shift.reason for shift in differences if shift.p_adjusted is None and shift.reason})
    yield f"No interval: {'; '.join(bare)}. " if bare else ""
    yield "A difference that is not shown is not shown to be absent. "


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
