"""The work of ``camaudit export``: the run is verified, then each study is read once and written in every format."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from flows.commands.exporting.account import ExportAccount
from flows.commands.exporting.request import ExportRequest, checked_request
from flows.commands.exporting.whole_folders import whole_folders
from flows.sending.association import provider_of, store_below
from flows.sending.sent import Sent
from flows.sending.stow import stow_below
from flows.sending.trackers import log_to_mlflow, log_to_wandb, require_tracker
from pipeline.conclusions.reporting_items import reporting_items
from pipeline.errors import ArchiveError, ConfigError, OutputError
from pipeline.files import written
from pipeline.findings.results import Results, load_results
from pipeline.findings.spec import read_members
from pipeline.findings.stored_audits import StoredAudits
from pipeline.program import camaudit_version
from pipeline.studies.dicomweb.client import DicomWebServer, open_server
from pipeline.verify.document import REPORT_FILE
from pipeline.verify.verify import verify_run
from reports.exports.assess_ai import write_registry
from reports.exports.bids import BidsFolder
from reports.exports.dicom.context import ExportContext
from reports.exports.dicom.folder import DicomFolder
from reports.exports.dicom.objects import RunPapers
from reports.exports.model_card import write_model_card
from reports.exports.nifti import write_nifti
from reports.exports.nrrd import write_nrrd
from reports.exports.outcome import StudyWriter, WrittenStudy
from reports.exports.ro_crate import write_crate
from reports.exports.study_folder import StudyFolder
from reports.sheets import render_sheets

__all__ = ["export_run"]

Receiver = Callable[[Path], list[Sent]]
"""Sends what lies in a folder, and says of each object what became of it."""


def export_run(request: ExportRequest) -> ExportAccount:
    """Export a run that holds; one that does not is not exported at all.

    Raises:
        AuditError: when the run does not hold, its archive or key is not here, or a folder cannot be written.
    """
    checked_request(request)
    receivers = _receivers(request)
    results = load_results(request.run)
    report = _sound_report(request.run)
    context, account = ExportContext(results, camaudit_version()), ExportAccount()
    with TemporaryDirectory(prefix="camaudit-") as name, whole_folders(request) as beside:  # mode 0700
        if request.of_studies:
            objects = beside.dicom or Path(name, "objects") if request.of_objects else None
            sheets = Path(name, "sheets")
            if objects is not None:
                render_sheets(request.run, sheets)
            papers = RunPapers(request.run, report, sheets)
            folder = None if objects is None else DicomFolder(objects, papers, context)
            if folder is not None and not request.studies:
                _count(account, request.run.name, folder.write_run())
            bids = None if beside.bids is None else BidsFolder(beside.bids, results, camaudit_version())
            _export_studies(request, _writers(beside, results, folder, bids), account)
            account.files += 0 if bids is None else len(bids.finish())
            for receive in receivers:
                _send(objects, receive, account)
        _write_papers(beside, results, account)
    account.places += [*request.folders, *request.papers]
    return account


def _sound_report(run: Path) -> Path | None:
    """Return the report of a run that holds, where its ledger vouches for it.

    Raises:
        OutputError: when the run does not hold.
    """
    failures = verify_run(run).failures
    wrong = next((failure for failure in failures if failure.file != REPORT_FILE), None)
    if wrong is not None:
        raise OutputError(f"{run}: does not hold ({wrong.sentence}), so nothing is exported; see camaudit verify")
    return None if failures or not (run / REPORT_FILE).is_file() else run / REPORT_FILE


def _writers(
    request: ExportRequest, results: Results, dicom: DicomFolder | None, bids: BidsFolder | None
) -> list[StudyWriter]:
    nifti = None if request.nifti is None else StudyFolder(request.nifti, results, "--nifti", write_nifti)
    nrrd = None if request.nrrd is None else StudyFolder(request.nrrd, results, "--nrrd", write_nrrd)
    return [writer for writer in (dicom, nifti, nrrd, bids) if writer is not None]


def _export_studies(request: ExportRequest, writers: Sequence[StudyWriter], account: ExportAccount) -> None:
    from pipeline.exports.studies import LeftOut, open_exporter  # torch and MONAI

    with open_exporter(request.run, identified=request.identified) as exporter:
        chosen = exporter.chosen(request.studies)
        account.studies = len(chosen)
        for study in exporter.studies(chosen):
            if isinstance(study, LeftOut):
                (account.refused if study.analysed else account.not_analysed).append((study.study, study.reason))
                continue
            outcomes = [(writer, writer.write(study)) for writer in writers]
            for _, outcome in outcomes:
                _count(account, study.study, outcome)
            refused = [f"{writer.option}: {outcome.refused}" for writer, outcome in outcomes if outcome.refused]
            account.refused += [(study.study, reason) for reason in refused]
            account.exported += not refused


def _write_papers(request: ExportRequest, results: Results, account: ExportAccount) -> None:
    """Write what needs the run's folder alone, and log it where that was asked for."""
    files: list[Path] = []
    if request.ro_crate is not None:
        files += write_crate(request.run, results, request.ro_crate)
    if request.model_card is not None:
        files += write_model_card(results, request.model_card)
    if request.assess_ai is not None:
        audits = StoredAudits(request.run, read_members(request.run))
        files.append(write_registry(results, audits, request.assess_ai))
    if request.reporting_items is not None:
        with written(request.reporting_items) as file:
            file.write(reporting_items(results).model_dump_json(indent=1).encode())
        files.append(request.reporting_items)
    account.files += len(files)
    if request.mlflow is not None:
        log_to_mlflow(results, request.mlflow)
    if request.wandb is not None:
        log_to_wandb(results, request.wandb)


def _receivers(request: ExportRequest) -> list[Receiver]:
    """Return who takes the objects; what is wrong with an address or not installed is said before anything is read.

    Raises:
        AuditError: for an address that is none, or where what speaks the protocol is not installed.
    """
    for option, name in (("--mlflow", request.mlflow), ("--wandb", request.wandb)):
        if name is not None:
            require_tracker(option)
    receivers: list[Receiver] = []
    if request.send is not None:
        receivers.append(partial(store_below, provider=provider_of(request.send)))
    if request.stow is not None:
        receivers.append(partial(stow_below, server=_server(request.stow)))
    return receivers


def _server(url: str) -> DicomWebServer:
    try:
        return open_server(url)
    except ArchiveError as error:
        raise ConfigError(f"--stow: {error}") from error


def _send(objects: Path | None, receive: Receiver, account: ExportAccount) -> None:
    for sent in receive(objects) if objects is not None else ():
        if sent.reason is not None:
            account.not_sent.append((sent.name, sent.reason))
            continue
        account.sent += 1
        account.parts += [(sent.name, sent.remark)] if sent.remark else []


def _count(account: ExportAccount, name: str, outcome: WrittenStudy) -> None:
    account.files += len(outcome.files)
    account.parts += [(name, reason) for reason in outcome.left_out]
