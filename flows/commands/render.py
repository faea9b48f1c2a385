"""``camaudit report``: a sound run's report as it was, and that of any other with ALTERED on every page."""

from pathlib import Path

import typer

from flows.commands.verify import alterations
from pipeline.findings.custody.ledger import Ledger, public_key, read_ledger
from pipeline.findings.custody.recorded_files import digest_of_file, record_files, recorded_files
from pipeline.findings.custody.site_key import fingerprint_of, load_site_key, site_fingerprint
from pipeline.findings.signed.attestation import ATTESTATION_FILE, attest
from pipeline.findings.spec import LEDGER_FILE, PAGE_FILE
from pipeline.verify.document import ALTERED_REPORT, REPORT_FILE
from pipeline.verify.failure import exit_code
from reports.pdf import render
from reports.sheets import render_sheets
from reports.viewer.build import RENDERED, write_page

__all__ = ["render_again", "render_page"]


def render_again(run: Path, output: Path | None, *, sheets: bool = False) -> int:
    """Render a run's report, print its path, and return the exit code: 0, or that of what does not hold.

    Without ``output`` a sound run's report takes its place in the folder; that of an altered run lies beside it. With
    ``sheets``, a page for each study that it shows is written instead, to ``sheets`` or to the folder ``output``.

    Raises:
        AuditError: when the folder holds no finished run, or the report cannot be written.
    """
    failures = alterations(run)
    sentences = [failure.sentence for failure in failures]
    if sheets:
        path = render_sheets(run, output, tuple(sentences))
    elif failures:
        path = render(run, output or run / ALTERED_REPORT, sentences)
    else:
        path = render(run, output)
        if output is None:
            _record(run, REPORT_FILE)
    for failure in failures:
        typer.echo(f"camaudit: ALTERED: {failure.sentence}", err=True)
    typer.echo(path)
    return exit_code(failures)


def render_page(run: Path, output: Path | None) -> int:
    """Write a run's page for a browser, print its path, and return the exit code: 0, or that of what does not hold.

    Without ``output`` it lies in the run's folder, and the ledger of a sound run of this site tells of it.

    Raises:
        AuditError: when the folder holds no finished run, or the page cannot be written.
    """
    failures = tuple(failure for failure in alterations(run) if failure.file != PAGE_FILE)
    path = write_page(run, output or run / PAGE_FILE, [failure.sentence for failure in failures])
    if output is None and not failures:
        _record(run, PAGE_FILE)
    for failure in failures:
        typer.echo(f"camaudit: ALTERED: {failure.sentence}", err=True)
    typer.echo(path)
    return exit_code(failures)


def _record(run: Path, name: str) -> None:
    """Tell the ledger of a document that it does not know yet, where this site's key is the ledger's."""
    entries = read_ledger(run / LEDGER_FILE)
    recorded = recorded_files(entries)
    is_known = recorded.get(name) == digest_of_file(run / name)
    if (is_known and ATTESTATION_FILE in recorded) or site_fingerprint() != fingerprint_of(public_key(entries)):
        return
    if not is_known:
        record_files(Ledger(run / LEDGER_FILE, load_site_key()), RENDERED, run, [name])
    attest(run, load_site_key())
