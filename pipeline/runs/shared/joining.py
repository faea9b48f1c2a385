"""Whether a process that joins a run would write the rows that the run's own process writes."""

from pathlib import Path

from pipeline.errors import ConfigError, OutputError
from pipeline.findings.custody.ledger import Ledger, LedgerError, LedgerFault
from pipeline.findings.custody.site_key import load_site_key
from pipeline.findings.spec import LEDGER_FILE, Program
from pipeline.program import library_versions, program_digest
from pipeline.runs.run import Run
from pipeline.runs.start import device_name

__all__ = ["check_joinable"]


def check_joinable(run: Run) -> None:
    """Hold this process against the one that began a run: its key, program, libraries, device and view of files.

    Raises:
        OutputError: when the run is finished, or its archive is not where the run found it.
        ConfigError: when another key, another program, other libraries or another kind of device would compute here.
    """
    if run.status.finished:
        raise OutputError(f"{run.folder}: this run is finished; there is nothing left to work")
    _check_key(run)
    began = run.spec.program
    _check_program(run.folder, began)  # before the model is loaded: another program may not even read it
    here = device_name(run.auditor.device)
    if _kind(here) != _kind(began.device):
        raise ConfigError(f"{run.folder}: was begun on {began.device}, not on {here}; name a device of that kind")
    _check_archive(run)


def _check_key(run: Run) -> None:
    key = load_site_key()
    try:
        Ledger(run.folder / LEDGER_FILE, key)
    except LedgerError as error:
        if error.fault is not LedgerFault.KEY:
            raise
        raise ConfigError(
            f"{run.folder}: was begun with another site's key than this machine's {key.fingerprint}; "
            "give both the same state folder (CAMAUDIT_STATE)"
        ) from error


def _check_program(folder: Path, began: Program) -> None:
    if program_digest() != began.digest:
        raise ConfigError(
            f"{folder}: was begun by another camaudit ({began.camaudit}) than works here; install the same"
        )
    here = library_versions()
    for name, version in began.libraries.items():
        if here.get(name) != version:
            raise ConfigError(f"{folder}: was begun with {name} {version}, not {here.get(name)}; install the same")


def _kind(device: str) -> str:
    """Return the kind of a device by its name: that of a processor says so, every other is a CUDA device's own."""
    return device.partition(" ")[0] if device.startswith(("cpu", "mps")) else "cuda"


def _check_archive(run: Run) -> None:
    """Look for a study that is to be worked: where the archive is not mounted, every study would fail instead."""
    for member in run.members_of(0):
        row = run.sources.studies[member.study].row
        roots = [row.root] if row.root is not None else [row.image.parent]
        if not any(root.exists() for root in roots):
            raise OutputError(
                f"{run.folder}: this machine does not see the archive of the run (study {member.study}); "
                "mount it at the same path as the machine that began the run"
            )
        return
