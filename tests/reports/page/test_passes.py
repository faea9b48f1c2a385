"""A document's passes: the first counts pages, on which a part may be its heading alone; the last is printed."""

import re
from functools import partial

import pikepdf
import pytest
from reportlab.platypus import PageBreak

from reports.cover.short_contents import ShortContents
from reports.page import layout
from reports.page.document import PAGE_HEIGHT, ReportDocument
from reports.page.layout import Deferred, gap, heading, paragraph
from reports.pdf import render
from reports.registry import Context
from reports.sections import case_pages
from tests.reports import example
from tests.reports.test_pdf import text_of


@pytest.fixture
def passes(monkeypatch):
    """How often each document was drawn."""
    counted = []
    build = ReportDocument.multiBuild
    monkeypatch.setattr(ReportDocument, "multiBuild", lambda *document: counted.append(build(*document)))
    return counted


def test_headings_alone_in_the_first_pass_leave_the_report_as_it_is(tmp_path, monkeypatch, passes):
    run = example.write_run(tmp_path / "run")
    built = []
    page_of = case_pages.case_page
    monkeypatch.setattr(case_pages, "case_page", lambda *of, **more: built.append(of[2]) or page_of(*of, **more))
    short = render(run, tmp_path / "short.pdf").read_bytes()
    cases = len(example.results().cases)
    assert len(built) == cases + 1, "each once, and the first to see whether it fits on its page"
    monkeypatch.setattr(layout.Deferred, "split", lambda self, *_: [layout.NullActionFlowable(), *self._build()])
    assert render(run, tmp_path / "long.pdf").read_bytes() == short
    assert len(built) == 3 * cases + 2
    assert passes == [2, 2]


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("filled", [0.4, 1.6])
def test_a_part_that_takes_more_than_its_page_is_counted_again(tmp_path, passes, filled, parts):
    """``filled`` is how many pages each of the parts fills."""

    def part(number):
        half = gap(PAGE_HEIGHT * filled / 2 / layout.mm)
        return [*heading(f"Part {number}", 0, f"part-{number}"), half, paragraph("words"), half]

    story = [ShortContents()]
    for number in range(1, parts + 1):
        opening = partial(heading, f"Part {number}", 0, f"part-{number}")
        story += [PageBreak(), Deferred(partial(part, number), opening)]
    target = tmp_path / "parts.pdf"
    ReportDocument(str(target), Context(example.results(), tmp_path, "0" * 64, {})).multiBuild(story)
    each = 1 if filled < 1 else 2
    assert passes == [2 if each == 1 else 3]
    with pikepdf.open(target) as pdf:
        assert len(pdf.pages) == 1 + parts * each
    words = text_of(target)
    assert set(re.findall(r"Page \d+ of (\d+)", words)) == {str(1 + parts * each)}
    listed = [int(page) for page in re.findall(r"\(p\. (\d+)\)", words)]
    assert listed == [2 + number * each for number in range(parts)]
