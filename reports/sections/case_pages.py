"""A page for each study that the report shows."""

from functools import partial

from reportlab.platypus import PageBreak

from reports.case_page import case_page
from reports.page.document import PAGE_HEIGHT
from reports.page.layout import Deferred, Flowable, paragraph
from reports.registry import Context, section

_HEADING = 34.0
"""The height in points of the section's own heading, on the first case's page."""


@section(141, "Case pages", fresh=True)
def build(context: Context) -> list[Flowable]:
    """Return the cases, each on a page of its own, as far as it takes no more."""
    cases = context.results.cases
    if not cases:
        return [paragraph("There is none.")]
    content: list[Flowable] = []
    for place, case in enumerate(cases, 1):
        room = PAGE_HEIGHT - (_HEADING if place == 1 else 0)
        content += [PageBreak()] if place > 1 else []
        content.append(Deferred(partial(case_page, context, case, f"Case {place}: {case.study}", room)))
    return content
