"""The archive that a configuration names: a folder, or a DICOMweb server whose files are fetched into one."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from pipeline.config import ArchiveConfig, AuditConfig, digest_of
from pipeline.errors import Reason, Stage, StudyError
from pipeline.findings.carried import Carried
from pipeline.findings.context.cohort import TrainingOverlap
from pipeline.packed.items import PackedItems
from pipeline.studies.dicomweb.cache import Cache, instance_names, make_folder, read_fetched, served_digest
from pipeline.studies.dicomweb.client import open_server
from pipeline.studies.file_hashes import FileHashes, open_file_hashes
from pipeline.studies.list_studies import Discovery, list_studies
from pipeline.studies.listing.layouts.layout import LayoutChoice
from pipeline.studies.listing.training_hashes import read_training_hashes
from pipeline.studies.pseudonyms import Pseudonyms
from pipeline.studies.read_study import StudyRow, source_digest
from pipeline.studies.readers.third_parties import load_readers
from pipeline.studies.study import Study

__all__ = [
    "ArchiveReader",
    "StudySource",
    "archive_rows",
    "bound",
    "find_sources",
    "image_digest",
    "row_digest",
    "training_overlap",
]

_GIB = 1024**3
_SCANS = "archives"  # in run.output
_SHA256_DIGITS = 64
Argument = TypeVar("Argument")
Answer = TypeVar("Answer")


class Mapped(Protocol):
    """A way to read studies one by one, as ``isolated_map`` with its limits set."""

    def __call__(
        self, function: Callable[[Argument], Answer], arguments: Iterable[Argument], /
    ) -> Iterator[Answer | StudyError]:
        """Yield each argument's study or its fault, in order."""


@dataclass(frozen=True)
class StudySource:
    """A row of the archive with its pseudonyms and the hash of its files; ``image_sha256`` is the image's alone.

    ``in_training`` tells whether a file of the image is among those that the model was trained on; None where no list
    of their hashes was given, or the files are not here to be looked up.

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
    in_training: bool | None = None


def find_sources(config: AuditConfig, pseudonyms: Pseudonyms, *, deep: bool = False) -> Sequence[StudySource]:
    """List the archive's studies with pseudonyms and the hashes of their files; few are objects at a time.

    Hashes of files that look unchanged are those that were kept in ``run.output``, unless ``deep``.

    Raises:
        ArchiveError: when the archive or its manifest cannot be used.
        OutputError: when ``run.output`` cannot be written.
    """
    archive, listed = config.archive, config.model.training_hashes
    trained_on = None if listed is None else read_training_hashes(listed).hashes
    with open_file_hashes(config.run.output, deep=deep) as hashes:
        return PackedItems(
            StudySource(
                row,
                pseudonyms.study(row.patient, row.study),
                pseudonyms.patient(row.patient),
                row_digest(archive, row, hashes),
                image_digest(archive, row, hashes),
                in_training=None if trained_on is None else _is_among(archive, row, hashes, trained_on),
            )
            for row in archive_rows(archive, pseudonyms, config.run.output)
        )


def archive_rows(
    archive: ArchiveConfig, pseudonyms: Pseudonyms | None = None, output: Path | None = None
) -> Sequence[StudyRow]:
    """Return the archive's studies as listed; of a server's, nothing is fetched.

    With ``pseudonyms``, no two of them may bear the same one. ``output`` is ``run.output``, where a scan of DICOM that
    has no manifest keeps its index.

    Raises:
        ArchiveError: one line that says what is missing or wrong.
    """
    if archive.dicomweb is not None:
        open_server(archive.dicomweb)  # refuses a URL that must not get into the lock
        make_folder(archive.path)
    choice = LayoutChoice(archive.layout, archive.modalities)
    found_by = Discovery(choice, None if output is None else output / _SCANS)
    rows = list_studies(archive.path, archive.manifest, archive.label, load_readers(), found_by)
    if pseudonyms is not None:
        pseudonyms.check_distinct((row.patient, row.study) for row in rows)
    return rows


def row_digest(archive: ArchiveConfig, row: StudyRow, hashes: FileHashes) -> str:
    """Return the SHA-256 of what a study is read from: its files' contents, or a server's instances by name."""
    if archive.dicomweb is None:
        return source_digest(row, hashes.contents)
    return served_digest(row, archive.path)


def image_digest(archive: ArchiveConfig, row: StudyRow, hashes: FileHashes) -> str:
    """Return the SHA-256 of what an image is read from, '' where nothing of it is here: a server's."""
    known = _image_hashes(archive, row, hashes)
    return digest_of(known) if known else ""


def _image_hashes(archive: ArchiveConfig, row: StudyRow, hashes: FileHashes) -> list[str]:
    """Return the SHA-256 of each file of an image that is here."""
    contents = hashes.contents(row.image, row.root) if archive.dicomweb is None else []
    return [digest for digest in contents if len(digest) == _SHA256_DIGITS]


def _is_among(archive: ArchiveConfig, row: StudyRow, hashes: FileHashes, trained_on: frozenset[str]) -> bool | None:
    known = _image_hashes(archive, row, hashes)
    return not trained_on.isdisjoint(known) if known else None


def training_overlap(config: AuditConfig, sources: Sequence[StudySource]) -> TrainingOverlap | None:
    """Return which studies the model was trained on, by the hashes of their files; None where no list was given.

    Raises:
        ConfigError: when the list cannot be read.
    """
    if config.model.training_hashes is None:
        return None
    listed = read_training_hashes(config.model.training_hashes)
    overlap = [(source.study, source.patient) for source in sources if source.in_training]
    return TrainingOverlap(
        hashes=len(listed.hashes),
        list_sha256=listed.list_sha256,
        checked=sum(source.in_training is not None for source in sources),
        studies=tuple(study for study, _ in overlap),
        patients=len({patient for _, patient in overlap}),
    )


class ArchiveReader:
    """Reads the studies of an archive, and keeps account of a server's fetched files as long as it lives."""

    def __init__(self) -> None:
        self._cache: Cache | None = None
        self._of: ArchiveConfig | None = None

    def read(
        self, archive: ArchiveConfig, rows: Iterable[StudyRow], read: Callable[..., Answer], mapped: Mapped
    ) -> Iterator[Answer | StudyError]:
        """Read studies in order; a server's are fetched as they are asked for, and counted by their names.

        Raises:
            ArchiveError: when a server's URL or folder cannot be used.
        """
        if archive.dicomweb is None:
            return mapped(read, rows)
        if self._cache is None or self._of != archive:
            server = open_server(archive.dicomweb)
            self._cache, self._of = Cache(server, archive.path, int(archive.cache_gib * _GIB)), archive
        named = partial(read, named=partial(instance_names, folder=archive.path))
        return self._cache.through(rows, partial(mapped, partial(read_fetched, read=named)))


def bound(study: Study | StudyError, sha256: str) -> Study | StudyError:
    """Return what was read of a study, or its fault when its files were not those of this hash any more.

    A fault that follows from the machine, and one that took no hash, stays what it is.
    """
    if study.source_sha256 == sha256 or (isinstance(study, StudyError) and not study.source_sha256):
        return study
    message = "the study's files are not those that the run began with"
    return StudyError(Stage.READ, Reason.CHANGED_DURING_RUN, message)
