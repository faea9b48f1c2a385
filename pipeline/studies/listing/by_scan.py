"""Studies of a folder of DICOM, found by its headers: a scan whose manifest nobody has to make or to name.

What the scan keeps lies in a folder of the owner's alone: its index, which makes the next scan a short one, and for
each state of the archive a manifest with its lists of files. It holds the archive's own names and may be deleted at any
time. Headers are read in processes with limits, as by every scan.
"""

import hashlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import IO

from pipeline.errors import ArchiveError
from pipeline.files import written
from pipeline.studies.index.catalogue import Catalogue, open_catalogue
from pipeline.studies.index.scan import scan
from pipeline.studies.listing.manifest import read_manifest
from pipeline.studies.listing.study_row import StudyRow
from pipeline.studies.listing.write_manifest import write_manifest
from pipeline.studies.readers import Readers

__all__ = ["scanned_rows"]

_WORKERS = 2
_SHORT = 16  # digits of a digest


class _OwnNames:
    """Keeps the archive's names in a manifest that stays private: pseudonyms are given where the rows are used."""

    def study(self, patient: str, study: str) -> str:  # noqa: ARG002 - a study is named within its patient
        return study.replace("\0", "!")

    def patient(self, patient: str) -> str:
        return patient or "unnamed"


def scanned_rows(root: Path, private: Path, readers: Readers) -> tuple[StudyRow, ...]:
    """Return the studies of a folder by its files' headers, with the masks that belong to them.

    An image that is no DICOM is none of them: beside DICOM it is what somebody has made of one, and would count as
    another patient.

    Raises:
        ArchiveError: when there is no usable image, or the folder or ``private`` cannot be used.
    """
    real_root = root.resolve()
    place = private / hashlib.sha256(os.fsencode(real_root)).hexdigest()[:_SHORT]
    index = place / "index.sqlite"
    before = os.umask(0o077)
    try:
        place.mkdir(parents=True, exist_ok=True)
        apart = frozenset(index.with_name(f"{index.name}{ending}").resolve() for ending in ("", "-wal", "-shm"))
        with open_catalogue(index, real_root) as catalogue:
            scan(real_root, catalogue, workers=_WORKERS, apart=apart, on_files=_untold, readers=readers)
            manifest = place / f"{_state(catalogue)}.csv"
            if not manifest.is_file():  # written last, when its lists are complete
                write_manifest(real_root, catalogue, manifest, _OwnNames(), _private)
            others = _without_headers(real_root, catalogue, readers)
    except OSError as error:
        raise ArchiveError(f"{place}: cannot be written: {error.strerror}") from error
    finally:
        os.umask(before)
    return tuple(row for row in read_manifest(real_root, manifest) if row.image not in others)


def _without_headers(root: Path, catalogue: Catalogue, readers: Readers) -> frozenset[Path]:
    """Return the used images that are no DICOM."""
    kinds = ", ".join(f"'{kind}'" for kind in readers.told_by_name)
    query = f"SELECT path FROM files WHERE kind IN ({kinds}) AND role IS NULL AND outcome = '' AND member = ''"
    return frozenset(root / row["path"] for row in catalogue.select(query))


def _untold(files: int) -> None:
    """Show nothing: the run's own bar begins behind the listing."""


_private: Callable[[Path], AbstractContextManager[IO[bytes]]] = partial(written, private=True)


def _state(catalogue: Catalogue) -> str:
    """Return a digest of what the catalogue holds: an archive that has not changed has the manifest it had."""
    digest = hashlib.sha256()
    query = "SELECT id, path, member, size, mtime_ns, inode, image, outcome, role, labels FROM files ORDER BY id"
    for row in catalogue.select(query):
        digest.update(repr(tuple(row.values())).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:_SHORT]
