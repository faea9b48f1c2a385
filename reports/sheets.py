"""One file a study: its case's page with room for a reviewer's judgement, for a reading room or a meeting."""

from functools import partial
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.findings.results import CaseEntry
from pipeline.findings.spec import SHEETS_FOLDER
from reports.case_page import case_key, case_page, height_of
from reports.cover.short_contents import LastPass
from reports.numbers import when
from reports.page.document import PAGE_HEIGHT
from reports.page.layout import Deferred, Flowable, heading
from reports.page.publish import fonts_of, publish
from reports.registry import Context
from reports.run_files import opened_run

__all__ = ["render_sheets"]

_LINES = 4


def render_sheets(run: Path, target: Path | None = None, altered: tuple[str, ...] = ()) -> Path:
    """Write a sheet for each study that the report shows and return their folder.

    ``target`` is the folder, ``sheets`` in the run's unless given. The same folder gives the same bytes.

    Raises:
        OutputError: when the folder does not hold a finished run, or a sheet cannot be written.
    """
    folder = run / SHEETS_FOLDER if target is None else target
    with opened_run(run) as opened, fonts_of(run):
        results = opened.results
        context = Context(results, run, opened.hashes["results.json"], {}, altered)
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be made: {error.strerror}") from error
        made = when(results.provenance.finished_at)
        for case in results.cases:
            path = folder / f"{case.study}.pdf"
            publish(context, [_sheet(context, case), LastPass()], path, {}, made)
    return folder


def _sheet(context: Context, case: CaseEntry) -> Flowable:
    """Return a study's page, of which the first pass draws the heading alone where it is no more than a page."""
    title = f"Study {case.study}"
    page = case_page(context, case, title, PAGE_HEIGHT, level=0, lines=_LINES)
    opening = partial(heading, title, 0, case_key(case.study)) if height_of(page) <= PAGE_HEIGHT else None
    return Deferred(lambda: page, opening)
