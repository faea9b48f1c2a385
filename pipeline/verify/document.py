"""The report against the run's folder: what it carries, and its pages rendered again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from cryptography import x509

from pipeline.errors import OutputError
from pipeline.findings.signed.signatures import SignedReport
from pipeline.program import camaudit_version
from pipeline.verify.failure import Failure, FailureKind
from pipeline.verify.run_folder import RunFolder

__all__ = ["ALTERED_REPORT", "REPORT_FILE", "PrintedPages", "ReadSignatures", "ReportTools", "check_report"]

REPORT_FILE, ALTERED_REPORT = "report.pdf", "report-altered.pdf"


class PrintedPages(Protocol):
    """A report that was read back: its attachments by name, and the words of each page without white space."""

    @property
    def files(self) -> Mapping[str, bytes]:
        """The attachments."""

    @property
    def pages(self) -> Sequence[str]:
        """The words of each page."""


ReadSignatures = Callable[[Path, Sequence[x509.Certificate]], SignedReport]
"""Reads the signatures of a report and checks them; the certificates are those that are trusted.

It raises OutputError for what is no PDF.
"""


@dataclass(frozen=True)
class ReportTools:
    """How a report is read back, and rendered from a folder to a file; both are lent by whoever knows documents.

    ``signatures`` reads and checks those of a file; None where what it needs is not installed.
    """

    read: Callable[[Path], PrintedPages]
    render: Callable[[Path, Path], object]
    carried: Sequence[str]
    signatures: ReadSignatures | None = None


def check_report(run: RunFolder, tools: ReportTools) -> Iterator[Failure]:
    """Yield what the report carries otherwise than the folder, and whether its pages come out again, byte for byte."""
    path = run.path / REPORT_FILE
    if not path.is_file():
        return  # where the run wrote one, the files' check misses it
    try:
        files = tools.read(path).files
    except OutputError:
        yield Failure(FailureKind.PDF_UNREADABLE, f"{REPORT_FILE} is no PDF that can be read", REPORT_FILE)
        return
    wrong = list(_attachments(run.path, files, tools.carried))
    yield from wrong
    if not wrong and run.results is not None:
        yield from _pages(run, path, tools)


def _attachments(folder: Path, files: Mapping[str, bytes], carried: Sequence[str]) -> Iterator[Failure]:
    expected = [name for name in carried if (folder / name).is_file()]
    for name in expected:
        if files.get(name) != (folder / name).read_bytes():
            sentence = f"{REPORT_FILE} does not carry the {name} of the folder"
            yield Failure(FailureKind.PDF_ATTACHMENT, sentence, REPORT_FILE)
    if set(files) - set(expected):
        sentence = f"{REPORT_FILE} carries a file that is none of the run's"
        yield Failure(FailureKind.PDF_ATTACHMENT, sentence, REPORT_FILE)


def _pages(run: RunFolder, path: Path, tools: ReportTools) -> Iterator[Failure]:
    with TemporaryDirectory(prefix="camaudit-verify-") as folder:
        again = Path(folder) / REPORT_FILE
        try:
            tools.render(run.path, again)
        except OutputError:
            sentence = f"{REPORT_FILE} cannot be rendered again: a picture of the folder cannot be read"
            yield Failure(FailureKind.PDF_PAGES, sentence, REPORT_FILE)
            return
        if again.read_bytes() != path.read_bytes():
            made = run.results.provenance.camaudit if run.results else ""
            other = "" if made == camaudit_version() else f" (by camaudit {camaudit_version()}; the run's is {made})"
            sentence = f"{REPORT_FILE} is not, byte for byte, what is rendered from the folder{other}"
            yield Failure(FailureKind.PDF_PAGES, sentence, REPORT_FILE)
