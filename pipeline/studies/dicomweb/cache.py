"""The files of a DICOMweb archive: fetched before a study is read, kept in a folder of bounded size.

An instance lies at ``<study UID>/<series UID>/<instance UID>.dcm``, complete or absent. Whole studies are evicted, the
least recently used first, never one that is being read. What else lies in the folder is the user's own: masks that the
server does not hold may lie there. One run at a time may use a folder.
"""

import contextlib
import os
import shutil
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, TypeVar

from pipeline.errors import ArchiveError, Reason, StudyError
from pipeline.studies.content_digest import contents, source_digest
from pipeline.studies.dicomweb.client import DicomWebServer, Instance, instance_at, is_uid, open_client, retrieve
from pipeline.studies.listing.file_lists import read_list
from pipeline.studies.listing.study_row import StudyRow, is_list
from pipeline.studies.readers.shared.base import refused

if TYPE_CHECKING:
    import httpx

__all__ = ["Cache", "instance_names", "make_folder", "read_fetched", "served_digest"]

_CONNECTIONS = 4
_MOST_FAILED_IN_A_ROW = 20
"""Studies in a row that could not be fetched, after which each is asked for only once: the server is away."""

Answer = TypeVar("Answer")


def make_folder(folder: Path) -> None:
    """Make the folder of fetched files, the owner's alone, where it is absent.

    Raises:
        ArchiveError: when it cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ArchiveError(f"{folder}: the folder of fetched files cannot be made: {error.strerror}") from error


def served_digest(row: StudyRow, folder: Path) -> str:
    """Return the digest of a study by its instances' names, whether or not they have been fetched.

    A name stands for the content: DICOM gives changed pixels a new UID. The user's own files count by content.
    """

    def counted(path: Path, root: Path | None) -> list[str]:
        names = instance_names(path, root, folder=folder)
        return contents(path, root) if names is None else names

    return source_digest(row, counted)


def instance_names(path: Path, root: Path | None, *, folder: Path) -> list[str] | None:
    """Return the sorted names of the instances that a path stands for; None for the user's own files."""
    try:
        instances = _instances_at(path, root, folder)
    except StudyError:
        return ["no instance"]
    return sorted(instance.name for instance in instances) or None


def _instances_at(path: Path, root: Path | None, folder: Path) -> list[Instance]:
    """Return the instances that a path of a row stands for; none for the user's own file, or a list of such.

    Raises:
        StudyError: MISSING_FILE when it leads into a study and names no instance: what lies there comes and goes.
    """
    files = [path]
    if root is not None and is_list(path):
        try:
            files = [file for file, _ in read_list(path, root)]
        except ArchiveError:
            return []  # the study's reader refuses it
    below = [PurePath(os.path.relpath(file, folder)) for file in files]
    instances = [instance for file in below if (instance := instance_at(file))]
    own = [file for file in below if not instance_at(file)]
    if own and (instances or any(file.parts and is_uid(file.parts[0]) for file in own)):
        raise refused(Reason.MISSING_FILE, "the manifest names more, or less, of a study than instances of the server")
    return instances


def _instances(row: StudyRow, folder: Path) -> list[Instance]:
    return sorted(
        {instance for path in row.files for instance in _instances_at(path, row.root, folder)},
        key=lambda instance: instance.name,
    )


class Cache:
    """The fetched files of a server in ``folder``, up to ``limit`` bytes; who reads a server's studies owns one.

    Raises:
        ArchiveError: as ``make_folder``.
    """

    def __init__(self, server: DicomWebServer, folder: Path, limit: int) -> None:
        make_folder(folder)
        self.folder = folder
        self._server, self._limit = server, limit
        self._bytes = _sizes(folder)  # by study, the least recently used first
        self._held = Counter[str]()
        self._failed_in_a_row = 0

    def through(
        self,
        rows: Iterable[StudyRow],
        read: Callable[[Iterator[StudyRow | StudyError]], Iterator[Answer]],
    ) -> Iterator[Answer]:
        """Yield what ``read`` answers to each row, in order; a row's files are fetched when ``read`` asks for it.

        A row that cannot be fetched is handed to ``read`` as its fault.
        """
        out: deque[frozenset[str]] = deque()

        def handed_out() -> Iterator[StudyRow | StudyError]:
            for row in rows:
                out.append(frozenset())
                try:
                    wanted = _instances(row, self.folder)
                    out[-1] = frozenset(instance.study for instance in wanted)
                    self._held.update(out[-1])
                    self._fetch(wanted)
                except StudyError as fault:
                    yield fault
                except OSError as error:
                    why = error.strerror or type(error).__name__
                    yield refused(Reason.NOT_FETCHED, f"the folder of fetched files cannot be used: {why}")
                else:
                    yield row

        try:
            for answer in read(handed_out()):
                self._held.subtract(out.popleft())
                yield answer
        finally:
            for studies in out:
                self._held.subtract(studies)

    def _fetch(self, wanted: Sequence[Instance]) -> None:
        """Bring what is missing; a study that has been used is evicted later than those that have not.

        Raises:
            StudyError: NOT_FETCHED, or TOO_LARGE for a study that is larger than the cache may be.
            OSError: when the folder cannot be written.
        """
        missing = [instance for instance in wanted if not (self.folder / instance.name).is_file()]
        try:
            if missing:
                self._make_room()
                self._fetch_all(missing)
        finally:
            for study in dict.fromkeys(instance.study for instance in wanted):
                self._bytes.pop(study, None)
                self._bytes[study] = _size(self.folder / study)
                with contextlib.suppress(OSError):
                    os.utime(self.folder / study)

    def _fetch_all(self, missing: Sequence[Instance]) -> None:
        server, total = self._server, 0
        if self._failed_in_a_row >= _MOST_FAILED_IN_A_ROW:
            server = replace(server, patience=replace(server.patience, tries=1))
        self._failed_in_a_row += 1
        with open_client(server) as client, ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="fetch") as threads:
            sizes = threads.map(partial(self._fetch_one, server, client), missing)
            try:
                for size in sizes:
                    total += size
                    if total > self._limit:
                        raise refused(Reason.TOO_LARGE, "the study is larger than archive.cache_gib")
            finally:
                threads.shutdown(cancel_futures=True)
        self._failed_in_a_row = 0

    def _fetch_one(self, server: DicomWebServer, client: "httpx.Client", instance: Instance) -> int:
        target, temporary = self.folder / instance.name, None
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".")
            temporary = Path(name)
            with os.fdopen(descriptor, "wb") as file:
                size = retrieve(server, client, instance, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            if temporary is not None:
                temporary.unlink(missing_ok=True)
        return size

    def _make_room(self) -> None:
        for study in list(self._bytes):
            if sum(self._bytes.values()) <= self._limit:
                return
            if not self._held[study]:
                shutil.rmtree(self.folder / study, ignore_errors=True)
                del self._bytes[study]


def _sizes(folder: Path) -> dict[str, int]:
    """Return the bytes of each fetched study, the least recently used first."""
    studies = [entry for entry in folder.iterdir() if is_uid(entry.name) and not entry.is_symlink()]
    studies.sort(key=lambda entry: entry.stat().st_mtime_ns)
    return {study.name: _size(study) for study in studies}


def _size(study: Path) -> int:
    return sum(path.lstat().st_size for path in study.rglob("*") if not path.is_dir())


def read_fetched(row: StudyRow | StudyError, read: Callable[[StudyRow], Answer]) -> Answer:
    """Read a study that was fetched, or say why it was not; runs in a worker.

    Raises:
        StudyError: why it was not fetched, or ``read``'s own.
    """
    if isinstance(row, StudyError):
        raise row
    return read(row)
