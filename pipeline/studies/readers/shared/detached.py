"""Voxels in files of their own, beside the file that describes them: .mhd and .raw, .hdr and .img.

What a header names is a stranger's text. It has to be the plain name of a file in the header's own folder: no path,
no pattern, no link. The file that describes them bears an ending of its format, so that whoever hashes it knows to
look.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import Reason
from pipeline.studies.readers.shared.base import check_size, refused

__all__ = ["VoxelFiles", "check_name", "companions", "joined"]

_NO_NAME = re.compile(r"[\x00-\x1f\x7f]|^\s|\s$")


@dataclass(frozen=True)
class VoxelFiles:
    """The names of the files that hold a header's voxels, in order, and the bytes of each where the header tells."""

    names: tuple[str, ...]
    size: int | None


def check_name(name: str) -> None:
    """Refuse what is no plain name of a file.

    Raises:
        StudyError: LEADS_OUT for a path; UNSUPPORTED_FORMAT for a pattern of names; NOT_READABLE for no name at all.
    """
    if "/" in name or "\\" in name or name in (".", ".."):
        message = "the header names its voxels' file by a path; only a file beside the header is read"
        raise refused(Reason.LEADS_OUT, message)
    if "%" in name:
        message = "the header names its voxels' files by a pattern; list them, or store header and voxels in one file"
        raise refused(Reason.UNSUPPORTED_FORMAT, message)
    if not name or _NO_NAME.search(name):
        raise refused(Reason.NOT_READABLE, "the header names no file that could hold its voxels")


def companions(path: Path, detached: VoxelFiles) -> tuple[Path, ...]:
    """Return the files that hold a header's voxels, beside the header itself also where ``path`` is a link to it.

    Raises:
        StudyError: as ``check_name``.
    """
    for name in detached.names:
        check_name(name)
    folder = path.resolve().parent
    return tuple(folder / name for name in detached.names)


def joined(path: Path, detached: VoxelFiles) -> bytes:
    """Return the content of the files that hold a header's voxels, one behind the other.

    Raises:
        StudyError: MISSING_FILE, LEADS_OUT for a link, NOT_REGULAR, TOO_LARGE; TRUNCATED or NOT_READABLE for another
            size than the header announces; as ``companions``.
    """
    files = companions(path, detached)
    for file in files:
        _check_file(file, detached.size)
    check_size(sum(file.stat().st_size for file in files))
    return b"".join(file.read_bytes() for file in files)


def _check_file(file: Path, expected: int | None) -> None:
    if file.is_symlink():
        raise refused(Reason.LEADS_OUT, "the file that should hold the voxels is a link; only a plain file is read")
    if not file.exists():
        raise refused(Reason.MISSING_FILE, "the file that the header names for its voxels is not beside it")
    if not file.is_file():
        raise refused(Reason.NOT_REGULAR, "what the header names for its voxels is no regular file")
    size = file.stat().st_size
    if expected is not None and size != expected:
        reason = Reason.TRUNCATED if size < expected else Reason.NOT_READABLE
        raise refused(reason, f"a file of voxels holds {size} bytes of the {expected} that its header announces")
