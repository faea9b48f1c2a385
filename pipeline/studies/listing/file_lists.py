"""An image whose files are not one file or one folder: a list of them, read through a private folder.

A scan finds series that share a folder with others, are scattered over several, or lie in a zip or tar archive. Its
manifest names such an image by a list (``*.files``, beside the manifest): a JSON array of arrays, each a path relative
to the archive's root and, for a file in a container, the member's name. To be read, the plain files are linked into a
temporary folder of the owner's alone, and the members are streamed into it; it is removed when the study has been read.
"""

import hashlib
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pipeline.errors import ArchiveError, Reason
from pipeline.studies.listing.study_row import inside, is_list
from pipeline.studies.readers import BUILT_IN
from pipeline.studies.readers.shared.base import check_size, refused
from pipeline.studies.untrusted.containers import opened_members

__all__ = ["gathered", "list_digests", "read_list"]

_CAP = 64 * 1024**2
_CHUNK = 1024**2
_LONGEST = 12  # characters of a file's ending


def read_list(path: Path, root: Path) -> tuple[tuple[Path, str], ...]:
    """Return a list's files, each with its member's name (empty for a plain file); none leads out of ``root``.

    Raises:
        ArchiveError: when the list cannot be read, is empty, or a line leads out of the archive.
    """
    try:
        if path.stat().st_size > _CAP:
            raise ArchiveError(f"{path}: the list is longer than {_CAP >> 20} MiB")
        places = [(str(name), str(*member)) for name, *member in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise ArchiveError(f"{path}: the list of files cannot be read") from error
    if not places:
        raise ArchiveError(f"{path}: the list of files is empty")
    real_root = root.resolve()
    return tuple(
        (inside(real_root, root / name, f"{path}: entry {number}"), member)
        for number, (name, member) in enumerate(places, start=1)
    )


@contextmanager
def gathered(path: Path, root: Path | None, members: dict[tuple[Path, str], str] | None = None) -> Iterator[Path]:
    """Yield what a reader can read: the path itself, or a folder (a file, for a list of one) of what a list names.

    ``members`` takes the SHA-256 of each file that was streamed, by its container and name.

    Raises:
        StudyError: MISSING_FILE or NOT_READABLE when the list or what it names is not there; TOO_LARGE beyond the cap.
    """
    if root is None or not is_list(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="camaudit-") as name:  # mode 0700
        folder = Path(name)
        files = _listed(path, root)
        for number, (file, member) in enumerate(files):
            if not member:
                (folder / _name(number, file.name)).symlink_to(file.absolute())
        _stream(folder, files, {} if members is None else members)
        yield next(folder.iterdir()) if len(files) == 1 else folder


def _listed(path: Path, root: Path) -> tuple[tuple[Path, str], ...]:
    try:
        return read_list(path, root)
    except ArchiveError:
        pass  # its message names files
    raise refused(Reason.MISSING_FILE, "the list of the image's files is not there, or leads out of the archive")


def _name(number: int, name: str) -> str:
    """Return a name of our own with the ending, by which some formats are told."""
    suffixes = Path(name.lower()).suffixes  # a name of UIDs has many
    fitting = ("".join(suffixes[-count:]) for count in (2, 1))
    return f"{number:06d}{next((ending for ending in fitting if ending.isascii() and len(ending) < _LONGEST), '')}"


def _stream(folder: Path, files: Sequence[tuple[Path, str]], digests: dict[tuple[Path, str], str]) -> None:
    """Write the members that are named into the folder, up to the cap of what is decoded, and note their hashes."""
    for container, numbers in _by_container(files).items():
        total = 0
        with opened_members(container, frozenset(numbers)) as streams:
            for member, stream in streams:
                target, digest = folder / _name(numbers.pop(member), member), hashlib.sha256()
                with target.open("xb") as file:
                    while chunk := stream.read(_CHUNK):
                        total += len(chunk)
                        check_size(total)
                        file.write(chunk)
                        digest.update(chunk)
                digests[container, member] = digest.hexdigest()
        if numbers:
            raise refused(
                Reason.MISSING_FILE, f"{len(numbers)} of the image's files are not in their zip or tar archive"
            )


def _by_container(files: Sequence[tuple[Path, str]]) -> dict[Path, dict[str, int]]:
    by_container: dict[Path, dict[str, int]] = defaultdict(dict)
    for number, (path, member) in enumerate(files):
        if member:
            by_container[path][member] = number
    return by_container


def list_digests(
    path: Path, root: Path, sha256: Callable[[Path], str], known: Mapping[tuple[Path, str], str]
) -> list[str]:
    """Return the sorted SHA-256 of the contents that a list names; ``sha256`` is asked for those of plain files.

    ``known``: those of files in containers that need not be read for it, by container and name.

    Raises:
        ArchiveError: as ``read_list``.
        OSError: when a file cannot be read.
        StudyError: when a container cannot.
    """
    files = read_list(path, root)
    digests = []
    for plain, member in files:
        if not member:
            digests += [sha256(file) for file in (plain, *BUILT_IN.files_beside(plain))]
    for container, numbers in _by_container(files).items():
        if all((container, member) in known for member in numbers):
            digests += [known[container, member] for member in numbers]
            continue
        with opened_members(container, frozenset(numbers)) as streams:
            digests += [_digest(stream) for _, stream in streams]
    return sorted(digests)


def _digest(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
