"""Whether what arrives in an archive has arrived: it lies still, and all headers that are new can be read.

Files are copied one by one, and a series is a study only when its last slice is there. Nothing tells which that is, so
the whole archive has to lie still for a while. A file that is cut off or locked keeps the archive waiting, but not for
ever: it may be broken, and the audit then names it.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pipeline.errors import Reason, StudyError
from pipeline.studies.index.scan import describe_file
from pipeline.studies.readers import BUILT_IN, Readers
from pipeline.studies.untrusted.workers import HEADERS, WorkerPool, isolated_map

__all__ = ["ArrivalWatch", "Listing", "file_listing", "folder_listing", "headers_readable"]

Listing = Mapping[str, tuple[int, int, int]]
"""Each file's path to its size, time of change in ns and inode; or each study of a server to its instances, 0 and 0."""

_NOT_YET = frozenset({Reason.TRUNCATED, Reason.NOT_READABLE})
_PATIENCE = 10
"""After so many times the quiet time without a change, what cannot be read is left to the audit."""


def folder_listing(root: Path, *others: Path) -> Listing:
    """Return the regular files below a folder, and ``others`` beside it, as they are now; links are not followed."""
    return dict(_files(root)) | dict(file_listing(others))


def file_listing(paths: Iterable[Path]) -> Listing:
    """Return those of ``paths`` that are files, as they are now."""
    return {os.fspath(path): _stamp(path.stat()) for path in paths if path.is_file()}


def _files(root: Path) -> Iterator[tuple[str, tuple[int, int, int]]]:
    for parent, _, names in os.walk(root):
        for name in names:
            path = os.path.join(parent, name)  # noqa: PTH118 - a million of them
            try:
                status = os.lstat(path)
            except OSError:
                continue  # gone since
            yield path, _stamp(status)


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino


def headers_readable(paths: Iterable[str], *, readers: Readers = BUILT_IN, pool: WorkerPool | None = None) -> bool:
    """Tell whether no file is one that may still be written; one that ends its reader is left to the audit."""
    describe = partial(describe_file, readers=readers)
    answers = isolated_map(describe, map(Path, paths), workers=1, limits=HEADERS, pool=pool)
    return not any(_is_under_way(answer) for answer in list(answers))


def _is_under_way(answer: object) -> bool:
    if isinstance(answer, StudyError) or not isinstance(answer, dict):
        return False
    return answer.get("reason") in _NOT_YET


@dataclass
class ArrivalWatch:
    """Looks at an archive again and again. ``known`` is what the last audit began with (empty: there was none yet).

    ``quiet`` are the seconds for which it has to lie still.

    ``look`` lists it, ``are_whole`` tells of what is new whether it can be read, ``clock`` counts seconds.
    """

    known: Listing
    quiet: float
    look: Callable[[], Listing]
    are_whole: Callable[[Iterable[str]], bool]
    clock: Callable[[], float]
    _last: Listing = field(init=False)
    _since: float = field(init=False)

    def __post_init__(self) -> None:
        """Begin to count."""
        self._last, self._since = self.known, self.clock()

    def has_arrived(self) -> bool:
        """Look; tell whether there is something new that is whole. What is there then is known from now on.

        Raises:
            ArchiveError: ``look``'s; the archive counts as not looked at.
        """
        now, listing = self.clock(), self.look()
        if listing != self._last:
            self._last, self._since = listing, now
            return False
        still = now - self._since
        if listing == self.known or still < self.quiet:
            return False
        if still < _PATIENCE * self.quiet and not self._is_whole(listing):
            return False
        self.known = listing
        return True

    def _is_whole(self, listing: Listing) -> bool:
        if not self.known:
            return True  # the first audit reads them all anyway
        return self.are_whole(path for path, stamp in listing.items() if self.known.get(path) != stamp)
