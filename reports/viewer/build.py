"""From a run's folder to its page: gathered once, then written as one file or given out case by case."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pipeline.errors import OutputError
from pipeline.files import written
from pipeline.findings.custody.ledger import read_ledger
from pipeline.findings.pictures.panels import CasePanels
from pipeline.findings.pictures.volumes import CaseVolume, load_volume, volume_name
from pipeline.findings.results import CaseEntry, load_results
from pipeline.findings.spec import LEDGER_FILE
from reports.registry import Context
from reports.viewer.case_facts import case_header, pictured
from reports.viewer.page import page_data, page_html
from reports.viewer.payload import as_base64, packed
from reports.viewer.scenes import payload_of_panels, payload_of_volume

__all__ = ["RENDERED", "ledger_head", "open_context", "payload_of", "served_page", "write_page"]

RENDERED: Final = "report.rendered"
"""The event of a document that was made from a run."""

_NEEDED = ("results.json", "per_study.csv")


def open_context(run: Path, altered: Sequence[str] = ()) -> Context:
    """Read what a page needs of a finished run.

    Raises:
        OutputError: when the folder does not hold a finished run.
    """
    results = load_results(run)
    try:
        files = {name: (run / name).read_bytes() for name in _NEEDED}
    except OSError as error:
        raise OutputError(f"{run}: cannot be read ({error.strerror}); is this the folder of a finished run?") from error
    return Context(results, run, hashlib.sha256(files["results.json"]).hexdigest(), files, tuple(altered))


def write_page(run: Path, target: Path, altered: Sequence[str] = ()) -> Path:
    """Write a run's page as one file that needs no server and no network, and return its path.

    The same folder gives the same bytes. The file is complete or absent.

    Raises:
        OutputError: when the folder does not hold a finished run, or the page cannot be written.
    """
    if not target.parent.is_dir():
        raise OutputError(f"{target}: cannot be written: {target.parent} is not a folder; make it first")
    context = open_context(run, altered)
    blocks: dict[str, str] = {}
    cases = []
    for place, case in enumerate(context.results.cases):
        facts, sources = case_header(context.results, case), _sources(context, case)
        if isinstance(sources, str):
            facts["why"] = sources
        else:
            facts["block"] = f"case-{place}"
            blocks[facts["block"]] = as_base64(packed(_payload(context, case, *sources)))
        cases.append(facts)
    page = page_html(page_data(context, ledger_head(run), cases, None), blocks, context.results)
    with written(target) as file:
        file.write(page.encode("utf-8", "replace"))
    return target


def served_page(context: Context) -> bytes:
    """Return the page as a server gives it: the cases' pictures are asked for when they are looked at."""
    cases = []
    for place, case in enumerate(context.results.cases):
        facts, why = case_header(context.results, case), _why_none(context, case)
        facts |= {"url": f"case/{place}"} if why is None else {"why": why}
        cases.append(facts)
    data = page_data(context, ledger_head(context.run), cases, "review")
    return page_html(data, {}, context.results).encode("utf-8", "replace")


def payload_of(context: Context, place: int) -> bytes | None:
    """Return the pictures of the case at a place in the run's list; None where there are none."""
    if not 0 <= place < len(context.results.cases):
        return None
    case = context.results.cases[place]
    sources = _sources(context, case)
    return None if isinstance(sources, str) else _payload(context, case, *sources)


def ledger_head(run: Path) -> str:
    """Return the hash of the run's last event that is not about a rendered document: a page is made again as it was.

    Raises:
        OutputError: when the ledger does not hold.
    """
    return next(entry.hash for entry in reversed(read_ledger(run / LEDGER_FILE)) if entry.event != RENDERED)


def _payload(context: Context, case: CaseEntry, panels: CasePanels, volume: CaseVolume | None) -> bytes:
    said = pictured(context.results, case, panels, volume)
    return payload_of_panels(panels, said) if volume is None else payload_of_volume(volume, said)


def _why_none(context: Context, case: CaseEntry) -> str | None:
    """Return why a case has no picture, None where it has one; the volume, which may be large, is not read."""
    sources = _sources(context, case.model_copy(update={"volume": None}))
    return sources if isinstance(sources, str) else None


def _sources(context: Context, case: CaseEntry) -> tuple[CasePanels, CaseVolume | None] | str:
    """Return a case's panels and volume, or the sentence that says why it has no picture.

    What was withheld from the PDF has no panels, and so nothing here.
    """
    if case.panels is None:
        return case.note or "The run's folder holds no pictures of this case."
    try:
        panels = context.panels(case.panels)
        volume = None if case.volume is None else _volume(context, case)
    except OutputError:
        return f"The file of pictures {case.panels} is missing or cannot be read; the scores do not need it."
    return (panels, volume) if panels.views else "The file of panels holds no view."


def _volume(context: Context, case: CaseEntry) -> CaseVolume:
    if case.volume != volume_name(case.study):
        raise OutputError(f"{case.volume}: is none of this study's files")
    return load_volume(context.run / case.volume)
