"""Zip and tar archives of studies: members are read as streams, nothing is extracted, every announcement is checked.

Refused with a reason: names that are absolute or hold ``..``, links and devices, encrypted members, archives inside
archives, members larger or denser than the caps, and containers that hold too many or grow too large.
"""

import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

from pipeline.errors import Reason
from pipeline.studies.readers.shared.base import refused

__all__ = ["ENDINGS", "MEMBER_CAP", "MOST_MEMBERS", "PackedFile", "members", "opened_members"]

ENDINGS = (".zip", ".tar", ".tgz", ".tar.gz")
"""Of containers' names; a zip of another name is some program's document."""

MOST_MEMBERS = 50_000
"""Members that one container may hold."""

MEMBER_CAP = 4 * 1024**3
"""Bytes that one member may hold."""

_RATIO, _RATIO_FROM = 250, 4 * 1024**2
_GROWTH_FROM = 1024**3
_LINK = 0o120000
_KIND = 0o170000


@dataclass(frozen=True)
class PackedFile:
    """One entry: its name, unique in its container, its announced size, and the reason why it is not read."""

    name: str
    size: int
    reason: Reason | None


def members(path: Path) -> Iterator[tuple[PackedFile, BinaryIO | None]]:
    """Yield a container's entries in order, folders left out, with a stream of each that may be read.

    A stream holds until the next entry is asked for.

    Raises:
        StudyError: TOO_LARGE beyond the caps, UNSUPPORTED_FORMAT for what is neither zip nor tar.
    """
    seen: set[str] = set()
    for number, (name, size, reason, stream) in enumerate(_zip(path) if zipfile.is_zipfile(path) else _tar(path)):
        if number >= MOST_MEMBERS:
            raise refused(Reason.TOO_LARGE, f"the container holds more than {MOST_MEMBERS} members")
        reason = _leads_out(name) or (Reason.DUPLICATE if name in seen else reason)
        reason = reason or (Reason.TOO_LARGE if size > MEMBER_CAP else None)
        seen.add(name)
        unique = f"{name}\0{number}" if reason is Reason.DUPLICATE else name
        yield PackedFile(unique, size, reason), None if reason else stream


@contextmanager
def opened_members(path: Path, names: frozenset[str]) -> Iterator[Iterator[tuple[str, BinaryIO]]]:
    """Yield the streams of the named members that may be read, in the container's order."""
    yield ((member.name, stream) for member, stream in members(path) if stream is not None and member.name in names)


_Entry = tuple[str, int, Reason | None, BinaryIO | None]


def _zip(path: Path) -> Iterator[_Entry]:
    with zipfile.ZipFile(path) as container:
        for info in container.infolist():
            if info.is_dir():
                continue
            reason = _zip_reason(info)
            stream = None if reason else _stream(container, info)
            yield info.filename, info.file_size, reason or (None if stream else Reason.NOT_READABLE), stream
            if stream:
                stream.close()


def _stream(container: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO | None:
    """Return a member's stream, or None where its own header is damaged or its compression unknown."""
    try:
        return cast(BinaryIO, container.open(info))
    except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError):
        return None


def _zip_reason(info: zipfile.ZipInfo) -> Reason | None:
    kind = (info.external_attr >> 16) & _KIND
    if kind == _LINK or "\0" in info.orig_filename:
        return Reason.LEADS_OUT
    if info.flag_bits & 1:
        return Reason.NOT_READABLE  # encrypted
    dense = info.file_size > _RATIO_FROM and info.file_size > _RATIO * max(info.compress_size, 1)
    return Reason.TOO_LARGE if dense else None


def _tar(path: Path) -> Iterator[_Entry]:
    allowed = max(_GROWTH_FROM, _RATIO * path.stat().st_size)
    with tarfile.open(path, "r:*") as container:
        for info in container:
            setattr(container, "members", [])  # noqa: B010 - it would keep them all, and its type says nothing of it
            if info.offset_data + info.size > allowed:
                raise refused(Reason.TOO_LARGE, f"the container inflates to more than {_RATIO} times its size")
            if info.isdir():
                continue
            if not info.isreg() or info.issparse():
                yield info.name, 0, Reason.LEADS_OUT if info.issym() or info.islnk() else Reason.NOT_REGULAR, None
                continue
            with cast(IO[bytes], container.extractfile(info)) as stream:
                yield info.name, info.size, None, cast(BinaryIO, stream)


def _leads_out(name: str) -> Reason | None:
    """Refuse a name that would leave the folder it were extracted to, on any system."""
    plain = name.replace("\\", "/")
    absolute = plain.startswith("/") or plain[1:2] == ":"
    return Reason.LEADS_OUT if absolute or "\0" in name or ".." in PurePosixPath(plain).parts else None
