"""The archive that a configuration names: a folder, or a DICOMweb server whose files are fetched into one."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from pipeline.config import ArchiveConfig, AuditConfig, digest_of
from pipeline.errors import StudyError
from pipeline.findings.carried import Carried
from pipeline.studies.dicomweb.cache import make_folder, open_cache, read_fetched, served_digest
from pipeline.studies.dicomweb.client import open_server
from pipeline.studies.file_hashes import FileHashes, open_file_hashes
from pipeline.studies.pseudonyms import Pseudonyms
from pipeline.studies.read_study import StudyRow, list_studies, source_digest
from pipeline.studies.study import Study

__all__ = ["StudySource", "archive_rows", "find_sources", "image_digest", "read_rows", "row_digest"]

_GIB = 1024**3
_SHA256_DIGITS = 64
Argument = TypeVar("Argument")


class Mapped(Protocol):
    """A way to read studies one by one, as ``isolated_map`` with its limits set."""

    def __call__(
        self, function: Callable[[Argument], Study], arguments: Iterable[Argument], /
    ) -> Iterator[Study | StudyError]:
        """Yield each argument's study or its fault, in order."""


@dataclass(frozen=True)
class StudySource:
    """A row of the archive with its pseudonyms and the hash of its files; ``image_sha256`` is the image's alone.

    ``carried`` is what earlier runs have answered of it: only what it lacks is computed, and only what is stale is
    measured again, from the maps that ``kept_in`` (a run's folder) or the runs beside it keep.
    """

    row: StudyRow
    study: str
    patient: str
    sha256: str
    image_sha256: str = ""
    carried: Carried | None = None
    kept_in: Path | None = None


def find_sources(config: AuditConfig, pseudonyms: Pseudonyms, *, deep: bool = False) -> tuple[StudySource, ...]:
    """List the archive's studies with pseudonyms and the hashes of their files.

    Hashes of files that look unchanged are those that were kept in ``run.output``, unless ``deep``.

    Raises:
        ArchiveError: when the archive or its manifest cannot be used.
        OutputError: when ``run.output`` cannot be written.
    """
    archive = config.archive
    with open_file_hashes(config.run.output, deep=deep) as hashes:
        return tuple(
            StudySource(
                row,
                pseudonyms.study(row.patient, row.study),
                pseudonyms.patient(row.patient),
                row_digest(archive, row, hashes),
                image_digest(archive, row, hashes),
            )
            for row in archive_rows(archive)
        )


def archive_rows(archive: ArchiveConfig) -> tuple[StudyRow, ...]:
    """Return the archive's studies as listed; of a server's, nothing is fetched.

    Raises:
        ArchiveError: one line that says what is missing or wrong.
    """
    if archive.dicomweb is not None:
        open_server(archive.dicomweb)  # refuses a URL that must not get into the lock
        make_folder(archive.path)
    return list_studies(archive.path, archive.manifest, archive.label)


def row_digest(archive: ArchiveConfig, row: StudyRow, hashes: FileHashes) -> str:
    """Return the SHA-256 of what a study is read from: its files' contents, or a server's instances by name."""
    if archive.dicomweb is None:
        return source_digest(row, hashes.contents)
    return served_digest(row, archive.path)


def image_digest(archive: ArchiveConfig, row: StudyRow, hashes: FileHashes) -> str:
    """Return the SHA-256 of what an image is read from, '' where nothing of it is here: a server's."""
    contents = hashes.contents(row.image, row.root) if archive.dicomweb is None else []
    known = [digest for digest in contents if len(digest) == _SHA256_DIGITS]
    return digest_of(known) if known else ""


def read_rows(
    archive: ArchiveConfig, rows: Iterable[StudyRow], read: Callable[[StudyRow], Study], mapped: Mapped
) -> Iterator[Study | StudyError]:
    """Read studies in order; a server's are fetched as they are asked for."""
    if archive.dicomweb is None:
        return mapped(read, rows)
    cache = open_cache(open_server(archive.dicomweb), archive.path, int(archive.cache_gib * _GIB))
    return cache.through(rows, partial(mapped, partial(read_fetched, read=read)))
