"""A document's passes: the first counts pages, on which a part may be its heading alone; the last is printed."""

import gc
import io
import re
import tracemalloc
from datetime import UTC, datetime
from functools import partial

import numpy as np
import pikepdf
import pytest
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.platypus import Flowable, PageBreak

from reports.cover.short_contents import ShortContents
from reports.page import layout
from reports.page.document import PAGE_HEIGHT, ReportDocument
from reports.page.layout import Deferred, columns, gap, heading, paragraph, table
from reports.page.publish import publish
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
    with target.open("w+b") as file:
        ReportDocument(file, Context(example.results(), tmp_path, "0" * 64, {})).multiBuild(story)
    each = 1 if filled < 1 else 2
    assert passes == [2 if each == 1 else 3]
    with pikepdf.open(target) as pdf:
        assert len(pdf.pages) == 1 + parts * each
    words = text_of(target)
    assert set(re.findall(r"Page \d+ of (\d+)", words)) == {str(1 + parts * each)}
    listed = [int(page) for page in re.findall(r"\(p\. (\d+)\)", words)]
    assert listed == [2 + number * each for number in range(parts)]


def test_what_contents_push_to_the_next_page_is_there_from_the_first_pass(tmp_path, passes):
    """The last part stays on the first page only where the contents take no room."""
    names = [f"A part with a rather long name, number {number}" for number in range(12)]
    parts = [flowable for name in names for flowable in (*heading(name, 0, name), paragraph("words"))]
    room = PAGE_HEIGHT / layout.mm - 160
    target = tmp_path / "parts.pdf"
    with target.open("w+b") as file:
        document = ReportDocument(file, Context(example.results(), tmp_path, "0" * 64, {}))
        document.multiBuild([ShortContents(), gap(room), *parts])
    assert passes == [2]
    listed = [int(page) for page in re.findall(r"\(p\. (\d+)\)", text_of(target))]
    assert listed == sorted(listed)
    assert len(listed) == len(names)
    assert set(listed) == {1, 2}


def test_memory_a_page_does_not_grow_with_what_is_drawn_on_it(tmp_path):
    """What Python holds for one page more, once all are drawn and written: where its things stand, and none of them."""
    _peak(tmp_path / "first", 1)  # fonts and styles are loaded once
    taken = [_peak(tmp_path / f"{pages}", pages) for pages in (4, 12)]
    assert (taken[1] - taken[0]) / 8 < 8_000, "bytes a page"


def test_the_kind_of_a_file_follows_from_our_own_list(tmp_path):
    """What Python's module and the machine's lists say of a name differs from one to the next."""
    context = Context(example.results(), tmp_path, "0" * 64, {})
    kinds = {"a.json": "application/json", "b.csv": "text/csv", "c.txt": "application/octet-stream"}
    files = {name: io.BytesIO(b"words") for name in kinds}
    publish(context, [paragraph("x")], tmp_path / "report.pdf", files, datetime(2026, 1, 1, tzinfo=UTC))
    with pikepdf.open(tmp_path / "report.pdf") as pdf:
        assert {name: held.get_file().mime_type for name, held in pdf.attachments.items()} == kinds


def _peak(folder, pages):
    """Return the peak of what Python holds while a report of pages with a picture of 120 kB and a table is written."""
    folder.mkdir()
    shape = columns(("a", 1), ("b", 1), ("c", 1))

    def part(number):
        noise = np.random.default_rng(number).integers(0, 256, (200, 200, 3)).astype(np.uint8)
        rows = [(f"{number}.{row}", "words", "1.0") for row in range(8)]
        return [*heading(f"Part {number}", 0, f"part-{number}"), _Noise(noise), table(shape, rows), PageBreak()]

    story = [paragraph("x"), PageBreak(), *(Deferred(partial(part, number)) for number in range(pages))]
    context = Context(example.results(), folder, "0" * 64, {})
    gc.collect()  # what earlier tests left is not this report's
    tracemalloc.start()
    try:
        publish(context, story, folder / "report.pdf", {}, datetime(2026, 1, 1, tzinfo=UTC))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


class _Noise(Flowable):
    alternative_text = "noise"

    def __init__(self, pixels):
        super().__init__()
        self.pixels, self.width, self.height = pixels, 200, 200

    def draw(self):
        self.canv.drawImage(ImageReader(Image.fromarray(self.pixels)), 0, 0, 200, 200)
