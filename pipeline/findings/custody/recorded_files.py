"""Files of a run as its ledger knows them: each is an event with its SHA-256 before anything uses it."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.findings.custody.ledger import Ledger, LedgerEntry, read_ledger

__all__ = ["check_file", "digest_of_file", "files_told_by", "record_files", "recorded_files"]


def record_files(ledger: Ledger, event: str, folder: Path, names: Iterable[str], **body: object) -> None:
    """Add an event that holds the SHA-256 of files of a run, by their names relative to its folder, if any.

    Raises:
        OutputError: when a file cannot be read or the ledger not be written.
    """
    hashes = {name: digest_of_file(folder / name) for name in names}
    ledger.append(event, **({"files": hashes} if hashes else {}), **body)


def files_told_by(ledger: Path, *, public: str | None = None) -> dict[str, str]:
    """Return ``recorded_files`` of a ledger's file; ``public`` is the key that must have signed it.

    Raises:
        LedgerError: when the ledger does not hold.
    """
    return recorded_files(read_ledger(ledger, public=public))


def recorded_files(entries: Iterable[LedgerEntry]) -> dict[str, str]:
    """Return the SHA-256 of each file that a ledger tells of; where it was written again, the newest.

    A file that an event tells to be ``removed`` is none of the run's any more, until it is written again.
    """
    hashes: dict[str, str] = {}
    for entry in entries:
        files = entry.body.get("files")
        if isinstance(files, Mapping):
            hashes |= {str(name): str(sha256) for name, sha256 in files.items()}
        removed = entry.body.get("removed")
        for name in removed if isinstance(removed, list) else ():
            hashes.pop(str(name), None)
    return hashes


def check_file(folder: Path, name: str, recorded: Mapping[str, str]) -> None:
    """Hold a file against what its run's ledger says of it.

    Raises:
        OutputError: when the ledger does not tell of it, it cannot be read, or it is not the file that was written.
    """
    if name not in recorded:
        raise OutputError(f"{folder / name}: the run's ledger does not tell of this file; it was put there or cut out")
    if digest_of_file(folder / name) != recorded[name]:
        raise OutputError(f"{folder / name}: is not the file that the run wrote; it was altered or damaged")


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
        OutputError: when it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise OutputError(f"{path}: cannot be read: {error.strerror or error}") from error
