"""One file a study: its case's page with room for a reviewer's judgement, for a reading room or a meeting."""

import hashlib
import io
from pathlib import Path

from reportlab.platypus.doctemplate import LayoutError

from pipeline.errors import OutputError
from pipeline.files import written
from pipeline.findings.results import CaseEntry, load_results
from reports.case_page import case_page
from reports.numbers import when
from reports.page.archive_pdf import archivable
from reports.page.document import PAGE_HEIGHT, ReportDocument
from reports.registry import Context
from reports.short_contents import LastPass

__all__ = ["SHEETS", "render_sheets"]

SHEETS = "sheets"
"""The folder within a run's that its sheets are written to."""

_LINES = 4


def render_sheets(run: Path, target: Path | None = None, altered: tuple[str, ...] = ()) -> Path:
    """Write a sheet for each study that the report shows and return their folder.

    ``target`` is the folder, ``sheets`` in the run's unless given. The same folder gives the same bytes.

    Raises:
        OutputError: when the folder does not hold a finished run, or a sheet cannot be written.
    """
    results = load_results(run)
    folder = run / SHEETS if target is None else target
    digest = hashlib.sha256((run / "results.json").read_bytes()).hexdigest()
    context = Context(results, run, digest, {}, altered)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}") from error
    made = when(results.provenance.finished_at)
    for case in results.cases:
        path = folder / f"{case.study}.pdf"
        content = archivable(_pages(context, case), results, {}, made)
        with written(path) as file:
            file.write(content)
    return folder


def _pages(context: Context, case: CaseEntry) -> bytes:
    target = io.BytesIO()
    story = case_page(context, case, f"Study {case.study}", PAGE_HEIGHT, level=0, lines=_LINES)
    try:
        ReportDocument(target, context).multiBuild([*story, LastPass()])
    except LayoutError as error:
        raise OutputError(f"{context.run}: a sheet cannot be laid out: {str(error)[:200]}") from error
    return target.getvalue()
