"""Two runs whose pseudonyms have different keys: which studies are the same, where names and keys are at hand.

A run's private file tells the archive's own names of its studies; under the other run's key they give the other run's
pseudonyms. Neither names nor what links the two leaves this file's caller: nothing of it is written.
"""

from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import ConfigError, OutputError
from pipeline.findings.custody.recorded_files import check_file, files_told_by
from pipeline.findings.spec import LEDGER_FILE, SOURCES_FILE
from pipeline.runs.private_sources import read_sources
from pipeline.studies.pseudonyms import KEY_FILE, Pseudonyms, read_key

__all__ = ["relinked"]

Pair = tuple[str, str]
"""The pseudonyms of a study and of its patient."""


def relinked(a: Path, b: Path, key_a: Path | None = None, key_b: Path | None = None) -> dict[str, Pair]:
    """Return, from each study of run a to its (study, patient) in run b, those that both archives name alike.

    Keys are looked for where the runs were written (``run.output``), unless their files are given.

    Raises:
        AuditError: when the private files of both runs, or a key that is needed, are not here, or a key is not the one
            that a run was made with.
    """
    if (a / SOURCES_FILE).exists():
        key = _key(b, key_b, "--key-b")
        return {own: (key.study(*name), key.patient(name[0])) for own, name in _names(a).items()}
    if (b / SOURCES_FILE).exists():
        key = _key(a, key_a, "--key-a")
        patients = _patients(b)
        return {key.study(*name): (own, patients[own]) for own, name in _names(b).items()}
    raise OutputError(
        f"{a}: shares no pseudonym with {b}, and neither run has its {SOURCES_FILE}: without the archive's own names "
        "of one of them two keys cannot be joined"
    )


def _names(run: Path) -> Mapping[str, Pair]:
    """Return the archive's own (patient, study) of each pseudonym."""
    check_file(run, SOURCES_FILE, files_told_by(run / LEDGER_FILE))
    studies = read_sources(run).studies
    return {pseudonym: (source.row.patient, source.row.study) for pseudonym, source in studies.items()}


def _patients(run: Path) -> Mapping[str, str]:
    return {pseudonym: source.patient for pseudonym, source in read_sources(run).studies.items()}


def _key(run: Path, given: Path | None, option: str) -> Pseudonyms:
    path = given or run.resolve().parent.parent / KEY_FILE
    if not path.is_file():
        raise ConfigError(f"{option}: the pseudonym key of {run.name} is not at {path}; name its file with {option}")
    return Pseudonyms(read_key(path))
