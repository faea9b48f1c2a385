"""A file that is read in pieces: the same findings, and no more of it in memory than one piece."""

import ctypes

import pikepdf
import pytest
from reportlab.platypus import PageBreak

from reports.cover.short_contents import LastPass
from reports.page.document import ReportDocument
from reports.page.layout import columns, table
from reports.pdf import render
from reports.pdf_objects import file_reader
from reports.pdf_objects.file_reader import FileReader, reading
from reports.registry import Context
from reports.tagged.preflight import preflight, preflight_file
from tests.reports import example


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return render(example.write_run(tmp_path_factory.mktemp("run")))


def faulty(report, target):
    """Write the report with a fault of each kind of rule: of its structure, its objects, and the file as a whole."""
    with pikepdf.open(report) as pdf:
        items = [item for item in pdf.objects if isinstance(item, pikepdf.Dictionary)]
        next(item for item in items if item.get("/S") == "/Figure").Alt = ""
        next(item for item in items if item.get("/S") == "/TR").S = pikepdf.Name.Strange
        link = next(item for page in pdf.pages for item in page.get("/Annots", []) if item.Subtype == "/Link")
        link.A = pikepdf.Dictionary(S=pikepdf.Name.Launch, F="x")
        del pdf.pages[1].obj.Tabs
        pdf.save(target)
    return target


def test_pieces_show_what_the_whole_shows(report, tmp_path, monkeypatch):
    path = faulty(report, tmp_path / "faulty.pdf")
    with pikepdf.open(path) as pdf:
        whole = preflight(pdf)
    assert {"figures", "roles", "actions", "tab order"} <= {fault.rule for fault in whole}
    for most in (1, 50):
        monkeypatch.setattr(file_reader, "_MOST", most)
        assert preflight_file(path) == whole
    assert preflight_file(report) == ()


class _Heap(ctypes.Structure):
    """What glibc tells of its heap."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    )


def heap():
    """Return a function that tells how many bytes are in use outside of Python's own memory: what qpdf holds."""
    try:
        told = ctypes.CDLL("libc.so.6").mallinfo2
    except (OSError, AttributeError):
        pytest.skip("only glibc 2.33 and later tells how much memory a library holds")
    told.restype = _Heap
    return lambda: told().uordblks + told().hblkhd


def test_memory_does_not_grow_with_the_elements_of_a_file(tmp_path, monkeypatch):
    """What a page more adds is its place in the file's tables, and not the elements on it."""
    monkeypatch.setattr(file_reader, "_MOST", 300)
    peaks = []
    for pages in (10, 10, 30):  # the first brings in what is loaded once
        rows = [columns(("a", 1), ("b", 1)), [(f"{row}", "words") for row in range(30)]]
        story = [part for _ in range(pages) for part in (table(*rows), PageBreak())]
        with (tmp_path / "file.pdf").open("w+b") as file:
            ReportDocument(file, Context(example.results(), tmp_path, "0" * 64, {})).multiBuild([*story, LastPass()])
        peaks.append(_peak_of_preflight(tmp_path / "file.pdf", monkeypatch))
    assert (peaks[2] - peaks[1]) / 20 < 45_000, "bytes a page: its 155 elements themselves would take 155 kB"


def _peak_of_preflight(path, monkeypatch):
    used, peak = heap(), [0]
    get = FileReader.object

    def measured(reader, place):
        peak[0] = max(peak[0], used())
        return get(reader, place)

    monkeypatch.setattr(FileReader, "object", measured)
    start = used()
    preflight_file(path)
    monkeypatch.setattr(FileReader, "object", get)
    return peak[0] - start


def test_pages_and_objects_are_all_there(report):
    with reading(report) as file, pikepdf.open(report) as pdf:
        assert list(file.pages()) == [page.objgen for page in pdf.pages]
        assert sum(item is not None for item in file.objects()) >= len(pdf.objects) - 1
