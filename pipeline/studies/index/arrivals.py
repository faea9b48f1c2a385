"""Whether what arrives in an archive has arrived: its files lie still, and all headers that are new can be read.

Files are copied one by one, and a series is a study only when its last slice is there. Nothing tells which that is, so
the whole folder has to lie still for a while. A file that is cut off or locked keeps the archive waiting, but not for
ever: it may be broken, and the audit then names it.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pipeline.errors import Reason, StudyError
from pipeline.studies.index.scan import describe_file
from pipeline.studies.readers import BUILT_IN, Readers
from pipeline.studies.untrusted.workers import HEADERS, WorkerPool, isolated_map

__all__ = ["ArrivalWatch", "folder_listing"]

Listing = Mapping[str, tuple[int, int, int]]
"""Each file's path below the folder to its size, time of change in ns, and inode."""

_NOT_YET = frozenset({Reason.TRUNCATED, Reason.NOT_READABLE})
_PATIENCE = 10
"""After so many times the quiet time without a change, what cannot be read is left to the audit."""


def folder_listing(root: Path, *others: Path) -> Listing:
    """Return the regular files below a folder, and ``others`` beside it, as they are now; links are not followed."""
    return dict(_files(root)) | {os.fspath(path): _stamp(path.stat()) for path in others if path.is_file()}


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


@dataclass
class ArrivalWatch:
    """Looks at a folder again and again. ``known`` is what the last audit began with (empty: there was none yet).

    ``quiet`` are the seconds for which it has to lie still.

    ``look`` lists the folder, ``clock`` counts seconds.
    """

    known: Listing
    quiet: float
    look: Callable[[], Listing]
    clock: Callable[[], float]
    pool: WorkerPool | None = None
    readers: Readers = BUILT_IN
    _last: Listing = field(init=False)
    _since: float = field(init=False)

    def __post_init__(self) -> None:
        """Begin to count."""
        self._last, self._since = self.known, self.clock()

    def has_arrived(self) -> bool:
        """Look; tell whether there is something new that is whole. What is there then is known from now on."""
        now, listing = self.clock(), self.look()
        if listing != self._last:
            self._last, self._since = listing, now
            return False
        still = now - self._since
        if listing == self.known or still < self.quiet:
            return False
        if still < _PATIENCE * self.quiet and not self._is_readable(listing):
            return False
        self.known = listing
        return True

    def _is_readable(self, listing: Listing) -> bool:
        if not self.known:
            return True  # the first audit reads them all anyway
        new = [Path(path) for path, stamp in listing.items() if self.known.get(path) != stamp]
        describe = partial(describe_file, readers=self.readers)
        answers = isolated_map(describe, new, workers=1, limits=HEADERS, pool=self.pool)
        return not any(_is_under_way(answer) for answer in list(answers))


def _is_under_way(answer: object) -> bool:
    """Tell whether a file is one that may still be written; one that ends its reader is left to the audit."""
    if isinstance(answer, StudyError) or not isinstance(answer, dict):
        return False
    return answer.get("reason") in _NOT_YET
