"""What was made of files that cover many studies, so that one is not read again for each of them.

An object's, not the module's: whoever reads several studies owns one, and it ends with that reading.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

__all__ = ["RECENT", "FileIdentity", "KeptFiles", "identity_of", "is_recent"]

RECENT = 2_000_000_000
"""Nanoseconds: a file changed as recently could change again within its clock's step."""

_MOST = 8
Item = TypeVar("Item")


class FileIdentity(NamedTuple):
    """What a file is known by between two looks; bytes, nanoseconds, the file system's numbers."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int


def identity_of(path: Path, *, follow: bool = True) -> FileIdentity | None:
    """Return the identity of what a path leads to, or with ``follow=False`` of a link itself; None when absent."""
    try:
        status = path.stat(follow_symlinks=follow)
    except (OSError, ValueError):
        return None
    return FileIdentity(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)


def is_recent(identity: FileIdentity, now_ns: int) -> bool:
    """Tell whether a file was changed so recently that its times may not show another change."""
    return now_ns - max(identity.mtime_ns, identity.ctime_ns) <= RECENT


class KeptFiles:
    """What functions returned for the last files, as long as these are the same; travels to a process empty."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Callable[[Path], Any], Path, FileIdentity | None], Any] = OrderedDict()

    def of(self, function: Callable[[Path], Item], path: Path) -> Item:
        """Return what ``function`` makes of a file, kept or made now; what it raises is not kept."""
        key = function, path, identity_of(path)
        if key not in self._kept:
            made = function(path)
            if key[2] is None or identity_of(path) != key[2] or is_recent(key[2], time.time_ns()):
                return made
            self._kept[key] = made
        self._kept.move_to_end(key)
        while len(self._kept) > _MOST:
            self._kept.popitem(last=False)
        item: Item = self._kept[key]
        return item

    def __reduce__(self) -> tuple[type["KeptFiles"], tuple[()]]:
        """Travel without what is kept: it can be made again."""
        return KeptFiles, ()
