"""Documents: the same page twice is the same bytes, it passes the preflight, and each fault put into it is named."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from flows.qualification.known import tried
from pipeline.findings.signed.qualification import Installation, KnownCase, Qualification
from reports.qualification import render_qualification
from reports.tagged.known_faults import named_fault

__all__ = ["document_cases"]

_AREA = "Documents"
_FAULTS = (
    ("nothing changed", None),
    ("its metadata taken out", "metadata"),
    ("a script put in", "actions"),
    ("its structure taken out", "tree"),
)


def document_cases() -> Iterator[KnownCase]:
    """Yield the same page twice, and a page with each fault."""
    yield tried(_AREA, "pdf.same", "the same page made twice", "the same bytes", _twice)
    for what, rule in _FAULTS:
        key = "pdf.no_fault" if rule is None else f"pdf.{rule}"
        yield tried(_AREA, key, f"a page with {what}", rule or "no fault", partial(_fault, rule))


def _twice() -> str:
    return "the same bytes" if _page() == _page() else "other bytes"


def _fault(rule: str | None) -> str:
    return named_fault(_page(), rule)


def _page() -> bytes:
    nothing = Installation(
        camaudit="0", program="", python="", platform="", device="", libraries={}, packages={}, files={}
    )
    time = "2026-01-01T00:00:00+00:00"
    blank = Qualification(started_at=time, finished_at=time, site_key="", installation=nothing, cases=())
    with TemporaryDirectory(prefix="camaudit-qualify-") as folder:
        return render_qualification(blank, {"known.json": b"{}"}, Path(folder, "page.pdf")).read_bytes()
