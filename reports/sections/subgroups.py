"""The same estimates in subgroups."""

from reports.estimates import among_rows, estimate_columns
from reports.layout import Flowable, note, paragraph, subheading, table
from reports.registry import Context, section
from reports.wording import intervals


@section(100, "Results: subgroups")
def build(context: Context) -> list[Flowable]:
    """Return one table for each subgroup; none is dropped for being small."""
    results = context.results
    found = [one for one in (*results.classification, *results.estimates) if one.group is not None]
    if not found:
        return [paragraph("No subgroup was estimated: the archive states none.")]
    content: list[Flowable] = []
    for group in dict.fromkeys(one.group for one in found):
        members = [one for one in found if one.group == group]
        rows, rules = among_rows(results, members, with_stratum=True)
        content += [*subheading(group), table(estimate_columns(members, with_stratum=True), rows, rules=rules)]
    words = " Subgroups were not adjusted for one another, nor intervals for their number."
    return [*content, note(intervals(found), words)]
