"""From a run's folder to its report."""

from collections.abc import Sequence
from pathlib import Path

from reportlab.platypus import NextPageTemplate, PageBreak

import reports.sections  # noqa: F401  # fills the registry
from pipeline.errors import OutputError
from reports.numbers import when
from reports.page.document import IN_COLUMNS
from reports.page.layout import COLUMN, CONTENT, Flowable, heading, note
from reports.page.publish import fonts_of, publish
from reports.registry import Context, Section, sections
from reports.run_files import CARRIED, opened_run

__all__ = ["CARRIED", "render"]


def render(run: Path, target: Path | None = None, altered: Sequence[str] = ()) -> Path:
    """Write a run's report and return its path; ``target`` defaults to ``report.pdf`` in the run's folder.

    The run's ``results.json``, ``per_study.csv`` and ``run.json`` (where there is one) are embedded.
    The same folder gives the same bytes at any time: the document's date is the run's end. The file is
    complete or absent. ``altered`` says in a sentence each what of the run does not hold: every page is stamped then.

    Raises:
        OutputError: when the folder does not hold a finished run, or the report cannot be written.
    """
    target = run / "report.pdf" if target is None else target
    if not run.is_dir():
        raise OutputError(f"{run}: there is no such folder; give the folder of a finished run")
    if not target.parent.is_dir():
        raise OutputError(f"{target}: cannot be written: {target.parent} is not a folder; make it first")
    with opened_run(run) as opened, fonts_of(run):
        digest = opened.hashes["results.json"]
        context = Context(opened.results, run, digest, {}, tuple(altered), opened.hashes)
        made = when(opened.results.provenance.finished_at)
        publish(context, _story(context), target, opened.files, made)
    return target


def _story(context: Context) -> list[Flowable]:
    """Return all sections; the cover, which has no heading, comes first."""
    story: list[Flowable] = []
    number, in_columns = 0, False
    for part in sections():
        if not part.title:
            story += part.build(context)
            continue
        content = part.build(context) if part.package is None else _foreign(part, context)
        if not content:  # nothing to say of this run
            continue
        number += 1
        if part.in_columns and not in_columns:
            in_columns = True
            story += [NextPageTemplate(IN_COLUMNS), PageBreak()]
        story += [PageBreak()] if part.fresh and len(content) > 1 else []  # a sentence needs no page of its own
        width = COLUMN if in_columns else CONTENT
        story += [*heading(f"{number}  {part.title}", 0, part.key, content, width=width), *content]
    return story


def _foreign(part: Section, context: Context) -> list[Flowable]:
    """Return what the section of an installed package builds, behind the sentence that says whose it is."""
    try:
        content = part.build(context)
    except Exception as error:
        said = " ".join(str(error).split())[:160]
        raise OutputError(
            f"the section {part.title!r} of the installed package {part.package} failed ({type(error).__name__}: "
            f"{said}); correct the package, or uninstall it"
        ) from error
    if not isinstance(content, list) or not all(isinstance(flowable, Flowable) for flowable in content):
        raise OutputError(
            f"the section {part.title!r} of the installed package {part.package} gives no list of what stands on a "
            "page; correct the package, or uninstall it"
        )
    return [
        note(f"This section is made by the installed package {part.package}, which is no part of camaudit."),
        *content,
    ]
