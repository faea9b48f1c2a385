"""``camaudit report``: a sound run's report as it was, and that of any other with ALTERED on every page."""

from pathlib import Path

import typer

from flows.commands.verify import alterations
from pipeline.findings.custody.ledger import Ledger, public_key, read_ledger
from pipeline.findings.custody.recorded_files import digest_of_file, record_files, recorded_files
from pipeline.findings.custody.site_key import fingerprint_of, load_site_key, site_fingerprint
from pipeline.findings.signed.attestation import ATTESTATION_FILE, attest
from pipeline.findings.spec import LEDGER_FILE, PAGE_CASES_FOLDER, PAGE_FILE
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

    Without ``output`` it lies in the run's folder, and the ledger of a sound run of this site tells of it and of the
    whole volumes beside it.

    Raises:
        AuditError: when the folder holds no finished run, or the page cannot be written.
    """
    failures = tuple(failure for failure in alterations(run) if not _is_of_the_page(failure.file))
    page, cases = write_page(run, output or run / PAGE_FILE, [failure.sentence for failure in failures])
    if output is None and not failures:
        _record(run, PAGE_FILE, *(case.relative_to(run).as_posix() for case in cases))
    for failure in failures:
        typer.echo(f"camaudit: ALTERED: {failure.sentence}", err=True)
    typer.echo(page)
    if cases:
        typer.echo(f"{len(cases)} whole volumes in {cases[0].parent}: the page asks for them; hand both on together")
    return exit_code(failures)


def _is_of_the_page(name: str | None) -> bool:
    """Tell whether a file is made again with the page."""
    return name is not None and (name == PAGE_FILE or name.startswith(f"{PAGE_CASES_FOLDER}/"))


def _record(run: Path, *names: str) -> None:
    """Tell the ledger of documents that it does not know yet, where this site's key is the ledger's."""
    entries = read_ledger(run / LEDGER_FILE)
    recorded = recorded_files(entries)
    unknown = [name for name in names if recorded.get(name) != digest_of_file(run / name)]
    if (not unknown and ATTESTATION_FILE in recorded) or site_fingerprint() != fingerprint_of(public_key(entries)):
        return
    if unknown:
        record_files(Ledger(run / LEDGER_FILE, load_site_key()), RENDERED, run, unknown)
    attest(run, load_site_key())
