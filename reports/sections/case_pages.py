"""A page for each study that the report shows, behind the rule that chose them."""

from collections.abc import Sequence
from functools import partial

from reportlab.platypus import PageBreak

from pipeline.findings.results import CaseEntry
from reports.case_page import case_key, case_page, height_of
from reports.numbers import plural
from reports.page.document import PAGE_HEIGHT
from reports.page.layout import Deferred, Flowable, heading, paragraph, small
from reports.page.text import bold
from reports.registry import Context, section

_HEADING = 30.0
"""The height in points of the section's own heading, on the first case's page."""


@section(141, "Case pages", fresh=True)
def build(context: Context) -> list[Flowable]:
    """Return the rule and the cases, each on a page of its own, as far as it takes no more."""
    results = context.results
    cases = results.cases
    if not cases:
        rule = [bold(" The rule was: "), results.case_rule] if results.case_rule else []
        return [paragraph("No case is shown.", *rule)]
    lead = [small(bold("Chosen by rule: "), results.case_rule.rstrip("."), ". ", _without_pictures(cases))]
    content: list[Flowable] = list(lead)
    first = PAGE_HEIGHT - _HEADING - height_of(lead)
    whole = height_of(case_page(context, cases[0], _title(1, cases[0]), first)) <= first  # as the others are likely to
    for place, case in enumerate(cases, 1):
        content += [PageBreak()] if place > 1 else []
        pages = partial(_page, context, place, PAGE_HEIGHT if place > 1 else first)
        opening = partial(heading, _title(place, case), 1, case_key(case.study))
        content.append(Deferred(pages, opening if whole else None))
    return content


def _page(context: Context, place: int, room: float) -> list[Flowable]:
    """Return the page of a case, which is read when its turn comes."""
    case = context.results.cases[place - 1]
    return case_page(context, case, _title(place, case), room)


def _title(place: int, case: CaseEntry) -> str:
    return f"Case {place}: {case.study}"


def _without_pictures(cases: Sequence[CaseEntry]) -> str:
    many = sum(case.panels is None for case in cases)
    without = f"{many} of {plural(len(cases), 'case')} without a picture; where it would stand it says why."
    return without if many else ""
