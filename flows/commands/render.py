"""``camaudit report``: a sound run's report as it was, and that of any other with ALTERED on every page."""

from pathlib import Path

import typer

from flows.commands.verify import alterations
from pipeline.findings.custody.ledger import Ledger, public_key, read_ledger
from pipeline.findings.custody.recorded_files import digest_of_file, record_files, recorded_files
from pipeline.findings.custody.site_key import fingerprint_of, load_site_key, site_fingerprint
from pipeline.findings.signed.attestation import attest
from pipeline.findings.spec import LEDGER_FILE
from pipeline.verify.document import ALTERED_REPORT, REPORT_FILE
from pipeline.verify.failure import exit_code
from reports.pdf import render
from reports.sheets import render_sheets

__all__ = ["render_again"]


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
            _record(run)
    for failure in failures:
        typer.echo(f"camaudit: ALTERED: {failure.sentence}", err=True)
    typer.echo(path)
    return exit_code(failures)


def _record(run: Path) -> None:
    """Tell the ledger of a report that it does not know yet, where this site's key is the ledger's."""
    entries = read_ledger(run / LEDGER_FILE)
    if recorded_files(entries).get(REPORT_FILE) == digest_of_file(run / REPORT_FILE):
        return
    if site_fingerprint() == fingerprint_of(public_key(entries)):
        record_files(Ledger(run / LEDGER_FILE, load_site_key()), "report.rendered", run, [REPORT_FILE])
        attest(run, load_site_key())
