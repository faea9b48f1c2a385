"""From a run's folder to its page: gathered once, then written as one file or given out case by case."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.errors import OutputError
from pipeline.files import gzipped, written
from pipeline.findings.custody.ledger import read_ledger
from pipeline.findings.pictures.panels import CasePanels
from pipeline.findings.pictures.volumes import CROP_VOXELS, CaseVolume, load_volume, volume_name
from pipeline.findings.results import CaseEntry, load_results
from pipeline.findings.spec import LEDGER_FILE
from reports.registry import Context
from reports.viewer.case_facts import case_header, pictured
from reports.viewer.page import page_data, page_html
from reports.viewer.payload import as_base64
from reports.viewer.scenes import payload_of_panels, payload_of_volume

__all__ = ["RENDERED", "WrittenPage", "ledger_head", "open_context", "payload_of", "served_page", "write_page"]

RENDERED: Final = "report.rendered"
"""The event of a document that was made from a run."""

_STUDY = re.compile(r"[A-Za-z0-9-]{1,64}")
"""A study's pseudonym, which becomes a file's name: a forged one must not lead out of its folder."""

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
        name = Path(str(error.filename)).name
        raise OutputError(f"{run}: {name} cannot be read ({error.strerror}); is it a finished run's folder?") from error
    return Context(results, run, hashlib.sha256(files["results.json"]).hexdigest(), files, tuple(altered))


class WrittenPage(NamedTuple):
    """The page's file, and those of the whole volumes in the folder beside it."""

    page: Path
    cases: tuple[Path, ...]


def write_page(run: Path, target: Path, altered: Sequence[str] = ()) -> WrittenPage:
    """Write a run's page as one file that needs no server and no network, and return what was written.

    A volume of more exact voxels than a crop has is a file of its own in a folder beside the page (``report-cases`` of
    ``report.html``), which names its SHA-256; until it is picked the page shows the case's planes. The same run gives
    the same bytes. Each file is complete or absent, and the page comes last.

    Raises:
        OutputError: when the folder does not hold a finished run, or the page cannot be written.
    """
    if not target.parent.is_dir():
        raise OutputError(f"{target}: cannot be written: {target.parent} is not a folder; make it first")
    if target.is_dir() or target.suffix.lower() not in (".html", ".htm"):
        raise OutputError(f"{target}: is no page's name; name a file that ends in .html")
    context = open_context(run, altered)
    beside = target.with_name(f"{target.stem}-cases")
    shown = [_page_case(context, case, beside) for case in context.results.cases]
    blocks: dict[str, str] = {}
    for place, case in enumerate(shown):
        if case.packed is not None:
            case.facts["block"] = f"case-{place}"
            blocks[case.facts["block"]] = as_base64(case.packed)
    data = page_data(context, ledger_head(run), [case.facts for case in shown], None)
    with written(target) as file:
        file.write(page_html(data, blocks, context.results).encode("utf-8", "replace"))
    return WrittenPage(target, tuple(case.file for case in shown if case.file is not None))


class _PageCase(NamedTuple):
    """What is said of a case, its pictures that lie in the page, and the file that was written beside it, if any."""

    facts: dict[str, Any]
    packed: bytes | None = None
    file: Path | None = None


def _page_case(context: Context, case: CaseEntry, beside: Path) -> _PageCase:
    facts, sources = case_header(context.results, case), _sources(context, case)
    if isinstance(sources, str):
        return _PageCase(facts | {"why": sources})
    panels, volume = sources
    if volume is None or volume.image.values.size <= CROP_VOXELS:
        return _PageCase(facts, gzipped(_payload(context, case, panels, volume)))
    path = beside / f"{case.study}.case"
    facts["file"] = _write_volume(path, gzipped(_payload(context, case, panels, volume)))
    return _PageCase(facts, gzipped(_payload(context, case, panels, None)), path)


def _write_volume(path: Path, content: bytes) -> Mapping[str, Any]:
    """Write a case's file and return what the page says of it."""
    with written(path) as file:
        file.write(content)
    digest = hashlib.sha256(content).hexdigest()
    return {"folder": path.parent.name, "name": path.name, "sha256": digest, "bytes": len(content)}


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
        volume = None if case.volume is None else _volume(context, case, panels)
    except OutputError:
        return f"The file of pictures {case.panels} is missing or cannot be read; the scores do not need it."
    return (panels, volume) if panels.views else "The file of panels holds no view."


def _volume(context: Context, case: CaseEntry, panels: CasePanels) -> CaseVolume:
    if not _STUDY.fullmatch(case.study) or case.volume != volume_name(case.study):
        raise OutputError(f"{case.volume}: is none of this study's files")
    volume = load_volume(context.run / case.volume)
    if not set(panels.ranges) <= set(volume.maps):
        raise OutputError(f"{case.volume}: lacks a map that the panels have")
    return volume
