"""Lists beside the register, each a file that is named by its own digest: which studies a lock or a look was of."""

import hashlib
import os
import re
from collections.abc import Collection
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.files import written

__all__ = ["LISTS", "list_content", "list_path", "read_study_list", "write_study_list"]

LISTS = "cohorts"
"""The folder of the lists, in that of the register."""

_LINE = re.compile(r"[0-9a-f]{64}(?: [0-9a-f]{64})?")
"""A study by the hash of its image; where a list says as what it was had, a second hash follows."""


def list_path(folder: Path, digest: str) -> Path:
    """Return where the list of a digest lies in a register's folder."""
    return folder / LISTS / f"{digest}.txt"


def list_content(lines: Collection[str]) -> bytes:
    """Return the bytes of a list; neither order nor repetition counts.

    Raises:
        OutputError: when a study stands in it by anything but hashes.
    """
    wrong = sum(_LINE.fullmatch(line) is None for line in lines)
    if wrong:
        raise OutputError(f"the register: a study stands in it by its SHA-256, 64 hex digits; {wrong} do not")
    return "".join(f"{line}\n" for line in sorted(set(lines))).encode("ascii")


def write_study_list(folder: Path, content: bytes) -> str:
    """Write a list, unless it is there, and return its digest.

    Raises:
        OutputError: when it cannot be written.
    """
    digest = hashlib.sha256(content).hexdigest()
    path = list_path(folder, digest)
    if not path.exists():
        with written(path, private=True) as file:
            file.write(content)
    return digest


def read_study_list(folder: Path, digest: str) -> frozenset[bytes] | str:
    """Return the lines of a list, or what keeps them from being known."""
    try:
        content = list_path(folder, digest).read_bytes()
    except OSError as error:
        return f"the list of its studies cannot be read: {error.strerror or os.strerror(error.errno or 0)}"
    if hashlib.sha256(content).hexdigest() != digest:
        return "the list of its studies was altered"
    return frozenset(content.splitlines())
