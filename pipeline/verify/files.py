"""Every file of the folder against the ledger, and every file of the ledger against the folder."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.faults import FAULTS
from pipeline.findings.custody.recorded_files import digest_of_file
from pipeline.findings.custody.register import PLACE_FILE
from pipeline.findings.signed.signatures import SIGNED_REPORT
from pipeline.findings.spec import (
    LEDGER_FILE,
    PAGE_CASES_FOLDER,
    PAGE_FILE,
    REVIEWS_FOLDER,
    SHEETS_FOLDER,
    SOURCES_FILE,
)
from pipeline.verify.document import ALTERED_REPORT
from pipeline.verify.failure import Failure, FailureKind
from pipeline.verify.run_folder import RunFolder

__all__ = ["check_files"]

_UNRECORDED = frozenset({LEDGER_FILE, FAULTS, ALTERED_REPORT, PAGE_FILE, SIGNED_REPORT})
_BESIDE = re.compile(
    rf"{SHEETS_FOLDER}/[A-Za-z0-9-]+\.pdf|{REVIEWS_FOLDER}/[A-Za-z0-9-]+\.json|{PAGE_CASES_FOLDER}/[A-Za-z0-9-]+\.case"
)
"""What people add to a finished run: no part of what it vouches for."""

_MAY_BE_ABSENT = frozenset({SOURCES_FILE, PLACE_FILE})


def check_files(run: RunFolder) -> Iterator[Failure]:
    """Yield files that were altered, are missing, or are unknown; nothing where the ledger itself does not hold."""
    if run.entries is None:
        return
    recorded = run.recorded
    present = dict(_present(run.path))
    for name in sorted(recorded):
        if name in present:
            yield from _compared(run.path, name, recorded[name], is_link=present[name])
        elif name not in _MAY_BE_ABSENT:
            yield Failure(FailureKind.FILE_MISSING, f"{_shown(name)} was written by the run and is not there", name)
    for name in sorted(present):
        if name not in recorded and name not in _UNRECORDED and not _BESIDE.fullmatch(name):
            yield Failure(FailureKind.FILE_UNKNOWN, "a file lies in the folder that the ledger does not tell of", name)


def _present(folder: Path) -> Iterator[tuple[str, bool]]:
    """Yield the name of each file below a folder, and whether it is a link; links are not followed."""
    for parent, folders, files in os.walk(folder):
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        for name in (*files, *links):
            path = Path(parent) / name
            yield path.relative_to(folder).as_posix(), path.is_symlink()


def _compared(folder: Path, name: str, sha256: str, *, is_link: bool) -> Iterator[Failure]:
    if is_link:
        yield Failure(FailureKind.FILE_ALTERED, f"{_shown(name)} was replaced by a link", name)
        return
    try:
        if digest_of_file(folder / name) != sha256:
            yield Failure(FailureKind.FILE_ALTERED, f"{_shown(name)} is not the file that the run wrote", name)
    except OutputError:
        yield Failure(FailureKind.UNREADABLE, f"{_shown(name)} cannot be read", name)


def _shown(name: str) -> str:
    """Return a recorded name for a sentence; whoever has the key can record any."""
    return name if len(name) <= 100 and name.isprintable() else "a file"
