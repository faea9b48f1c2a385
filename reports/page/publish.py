"""A document's pages, typeset beside their target and given its name once they are whole."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from io import BufferedIOBase
from pathlib import Path

from reportlab.platypus import Flowable
from reportlab.platypus.doctemplate import LayoutError

from pipeline.errors import OutputError
from pipeline.findings.spec import FONTS_FOLDER
from reports.page.archive_pdf import ArchiveParts, claim_what_holds
from reports.page.document import ReportDocument
from reports.page.fonts import fallback_fonts
from reports.page.paper import Paper
from reports.page.pictures import picture_file

__all__ = ["fonts_of", "publish"]


def fonts_of(run: Path) -> AbstractContextManager[object]:
    """Return a context in which text is set with a run's own fonts where DejaVu lacks a character."""
    fonts = sorted((run / FONTS_FOLDER).glob("*.ttf"))
    return fallback_fonts(fonts) if fonts else nullcontext()


def publish(
    context: Paper, story: Sequence[Flowable], target: Path, files: Mapping[str, BufferedIOBase], made: datetime
) -> None:
    """Write a document that embeds ``files``, open ones; it is complete or absent, and a reader never sees half of it.

    Raises:
        OutputError: when a page cannot be laid out, or the file not be written.
    """
    try:
        # beside the target: the same disk, and nobody sees it who does not see the run
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
            whole = Path(folder, target.name)
            carried = ArchiveParts(files, context.described(made), made)
            _draw(context, story, whole, carried)
            claim_what_holds(whole, carried.description)
            with whole.open("rb") as file:
                os.fsync(file.fileno())
            whole.replace(target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror})") from error


def _draw(context: Paper, story: Sequence[Flowable], target: Path, carried: ArchiveParts) -> None:
    """Draw the pages into a file, with the pictures that wait for its end beside it."""
    with target.open("w+b") as file, picture_file(target.with_name("pictures")) as pictures:
        document = ReportDocument(file, context, pictures, carried.write)
        try:
            document.multiBuild(list(story))
        except LayoutError as error:
            raise OutputError(f"{context.run}: the report cannot be laid out: {str(error)[:200]}") from error
