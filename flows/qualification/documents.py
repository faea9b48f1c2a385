"""Documents: a page passes the preflight, each known fault of one is named, and a signature notices a changed byte."""

import io
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pikepdf

from flows.qualification.known import tried
from pipeline.findings.qualification import Installation, KnownCase, Qualification
from reports.qualification import render_qualification
from reports.tagged.preflight import preflight

__all__ = ["document_cases"]

_AREA = "Documents"


def _without_metadata(pdf: pikepdf.Pdf) -> None:
    del pdf.Root.Metadata


def _with_script(pdf: pikepdf.Pdf) -> None:
    pdf.Root.OpenAction = pdf.make_indirect(pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS="1"))


def _without_structure(pdf: pikepdf.Pdf) -> None:
    del pdf.Root.StructTreeRoot


_FAULTS: tuple[tuple[str, str, Callable[[pikepdf.Pdf], None]], ...] = (
    ("nothing changed", "no fault", lambda _pdf: None),
    ("its metadata taken out", "metadata", _without_metadata),
    ("a script put in", "actions", _with_script),
    ("its structure taken out", "tree", _without_structure),
)


def document_cases() -> Iterator[KnownCase]:
    """Yield the same page twice, and a page with each fault."""
    yield tried(_AREA, "pdf.same", "the same page made twice", "the same bytes",
                lambda: "the same bytes" if _page() == _page() else "other bytes")  # fmt: skip
    for what, expected, change in _FAULTS:
        yield tried(_AREA, f"pdf.{expected.replace(' ', '_')}", f"a page with {what}", expected,
                    partial(_first_fault, change, expected))  # fmt: skip


def _page() -> bytes:
    nothing = Installation(
        camaudit="0", program="", python="", platform="", device="", libraries={}, packages={}, files={}
    )
    time = "2026-01-01T00:00:00+00:00"
    found = Qualification(started_at=time, finished_at=time, site_key="", installation=nothing, cases=())
    with TemporaryDirectory(prefix="camaudit-qualify-") as folder:
        return render_qualification(found, {"known.json": b"{}"}, Path(folder, "page.pdf")).read_bytes()


def _first_fault(change: Callable[[pikepdf.Pdf], None], wanted: str) -> str:
    """Return the wanted rule where it is broken, else the first that is."""
    with pikepdf.open(io.BytesIO(_page())) as pdf:
        change(pdf)
        rules = [fault.rule for fault in preflight(pdf)]
    return wanted if wanted in rules else next(iter(rules), "no fault")
