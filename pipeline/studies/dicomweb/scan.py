"""The catalogue of a DICOMweb server: its studies page by page, each one's instances by their metadata.

No pixel is fetched. Answers are asked for and parsed in processes with limits. Every scan reads the metadata of every
study again: a server tells no time of change, and one instance may have taken another's place in the same number.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from pipeline.errors import ArchiveError, Reason, StudyError
from pipeline.studies.dicomweb.client import DicomWebServer, is_uid, opaque, study_entries, study_page
from pipeline.studies.index.catalogue import Catalogue, Stamp
from pipeline.studies.index.group_series import group
from pipeline.studies.index.headers import Facts, Kind
from pipeline.studies.listing.layouts.layout import DETECTED
from pipeline.studies.untrusted.workers import Limits, WorkerPool, isolated_map

__all__ = ["METADATA", "paged", "scan_server", "server_root"]

METADATA = Limits(memory_bytes=4 * 1024**3, cpu_seconds=300, wall_seconds=1200.0)
"""For asking for the metadata of one study, trying again, and parsing it."""

Item = TypeVar("Item", bound=Hashable)


def server_root(server: DicomWebServer) -> Path:
    """Return what stands for a server where an index or a message names an archive's root; no file lies there."""
    return Path(server.url)


def scan_server(server: DicomWebServer, catalogue: Catalogue, *, workers: int, on_files: Callable[[int], None]) -> None:
    """Bring the catalogue up to date with a server and group its instances, as ``scan`` does for a folder.

    A study whose metadata cannot be had is one excluded entry.

    Raises:
        ArchiveError: when the server does not list its studies.
    """
    sent: deque[str] = deque()
    read_entries = partial(study_entries, server)
    with WorkerPool() as pool:
        studies = paged(partial(study_page, server), pool, workers=min(workers, 1))
        tasks = _tasks(studies, catalogue, sent, on_files)
        for answer in isolated_map(read_entries, tasks, workers=workers, limits=METADATA, pool=pool):
            study = sent.popleft()
            entries = [(study, _excluded(answer.reason))] if isinstance(answer, StudyError) else answer
            catalogue.add((_stamp(path), facts) for path, facts in entries)
            on_files(len(entries))
    catalogue.forget_unseen()
    if not catalogue.is_decided(repr(DETECTED)):
        group(server_root(server), catalogue)


def _tasks(
    studies: Iterator[str], catalogue: Catalogue, sent: deque[str], on_files: Callable[[int], None]
) -> Iterator[str]:
    """Yield the studies that can be asked for, noting each in ``sent``; exclude the rest."""
    for study in studies:
        if is_uid(study):
            sent.append(study)
            yield study
        else:
            catalogue.add([(_stamp(opaque(study)), _excluded(Reason.NOT_READABLE))])
            on_files(1)


def paged(read_page: Callable[[int], list[Item]], pool: WorkerPool, *, workers: int = 1) -> Iterator[Item]:
    """Yield what a server lists, page by page, until a page brings nothing new: some servers know no pages.

    Raises:
        ArchiveError: when the server does not list its studies.
    """
    seen: set[Item] = set()
    offset = 0
    while True:
        (page,) = isolated_map(read_page, [offset], workers=workers, limits=METADATA, pool=pool)
        if isinstance(page, StudyError):
            raise ArchiveError(str(page))
        new = [item for item in dict.fromkeys(page) if item not in seen]
        if not new:
            return
        seen.update(new)
        offset += len(page)
        yield from new


def _stamp(path: str) -> Stamp:
    return (path, 0, 0, 0)


def _excluded(reason: Reason) -> Facts:
    return {"kind": Kind.OBJECT, "reason": reason}
