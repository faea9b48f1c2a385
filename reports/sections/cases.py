"""The cases that a rule chose, in a table; each has a page further on."""

from collections.abc import Sequence

from pipeline.findings.results import CaseEntry, Results
from pipeline.vocabulary import PEAK_REGIONS
from reports.case_page import case_key
from reports.numbers import plural
from reports.page.layout import Flowable, columns, paragraph, small, table
from reports.page.text import DASH, bold, link
from reports.registry import Context, section
from reports.wording import best_peak, method, nothing_called


@section(112, "Cases")
def build(context: Context) -> list[Flowable]:
    """Return the rule and the cases, with where the first map has its peak."""
    results = context.results
    if not results.cases:
        rule = [bold(" The rule was: "), results.case_rule] if results.case_rule else []
        return [paragraph("No case is shown.", *rule)]
    return [
        small(bold("Rule: "), results.case_rule),
        *_without_pictures(results.cases),
        _overview(results),
    ]


def _without_pictures(cases: Sequence[CaseEntry]) -> list[Flowable]:
    count = sum(case.panels is None for case in cases)
    words = f"{count} of {plural(len(cases), 'case')} without; where they would stand it says why."
    return [paragraph(bold("Pictures: "), words)] if count else []


def _overview(results: Results) -> Flowable:
    """Return the cases, one a row, with where the first method's map has its peak."""
    shape = columns(("Case", 24), ("Shown as", 30), ("Reference", 12), ("Answer", 12), ("Peak of the map", 32))
    rows = [
        (
            link(case.study, case_key(case.study)),
            case.rule,
            DASH if case.audit.reference is None else ", ".join(case.audit.reference) or nothing_called(results),
            ", ".join(case.audit.predicted) or (DASH if case.audit.values else nothing_called(results)),
            _peak(results, case),
        )
        for case in results.cases
    ]
    return table(shape, rows, compact=True)


def _peak(results: Results, case: CaseEntry) -> str:
    first = next((entry for entry in case.audit.map_scores if entry.map is not None), None)
    if first is None:
        return "no map"
    best = best_peak(entry for entry in case.audit.map_scores if entry.map == first.map)
    title = method(results, first.method)
    return f"{title}: {'constant map' if best is None else f'{PEAK_REGIONS[best.region]}, {best.place}'}"
