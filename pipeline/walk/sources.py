"""The archive that a configuration names: a folder, or a DICOMweb server whose files are fetched into one."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Protocol, TypeVar

from pipeline.config import ArchiveConfig, digest_of
from pipeline.errors import StudyError
from pipeline.studies.dicomweb.cache import make_folder, open_cache, read_fetched, served_digest
from pipeline.studies.dicomweb.client import open_server
from pipeline.studies.file_hashes import FileHashes
from pipeline.studies.read_study import StudyRow, list_studies, source_digest
from pipeline.studies.study import Study

__all__ = ["archive_rows", "image_digest", "read_rows", "row_digest"]

_GIB = 1024**3
_SHA256_DIGITS = 64
Argument = TypeVar("Argument")


class Mapped(Protocol):
    """A way to read studies one by one, as ``isolated_map`` with its limits set."""

    def __call__(
        self, function: Callable[[Argument], Study], arguments: Iterable[Argument], /
    ) -> Iterator[Study | StudyError]:
        """Yield each argument's study or its fault, in order."""


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
