"""Hashes of files, kept between runs, so that an archive in which nothing is new is not read again.

A kept hash counts only while the file's path, size, times of modification and of change, inode and device are those
it was taken under. The time of change cannot be set by a program, so an edit that restores the other ones shows. The
folder of kept hashes holds no name: a path is kept as its digest.
"""

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.studies.content_digest import contents, sha256_of
from pipeline.studies.readers.shared.kept_files import FileIdentity, identity_of, is_recent

__all__ = ["FileHashes", "open_file_hashes"]

_FILE = "file-hashes.sqlite"
_SCHEMA = "CREATE TABLE IF NOT EXISTS hashes (path BLOB PRIMARY KEY, state TEXT NOT NULL, sha256 TEXT NOT NULL)"


class FileHashes:
    """The hashes that are kept in a folder. ``deep`` takes every one again."""

    def __init__(self, connection: sqlite3.Connection, *, deep: bool) -> None:
        """Use an open data base; ``open_file_hashes`` makes one."""
        self._connection = connection
        self._deep = deep
        self._recent: dict[tuple[bytes, str], str] = {}  # too new to be kept, asked for again: a list of many images

    def contents(self, path: Path, root: Path | None = None) -> list[str]:
        """Return the sorted hashes of a file, of the files of a folder, or of those that a list names."""
        return contents(path, root, self.sha256)

    def sha256(self, path: Path) -> str:
        """Return the SHA-256 of a file's content, kept or taken now.

        Raises:
            OSError: when it cannot be read.
        """
        key = hashlib.sha256(os.fsencode(path.absolute())).digest()
        identity = identity_of(path)
        if identity is None:
            raise FileNotFoundError
        before = _kept_as(identity)
        if (key, before) in self._recent:
            return self._recent[key, before]
        if not self._deep:
            row = self._connection.execute("SELECT state, sha256 FROM hashes WHERE path = ?", (key,)).fetchone()
            if row is not None and row[0] == before:
                return str(row[1])
        digest = sha256_of(path)
        if identity_of(path) == identity and not is_recent(identity, time.time_ns()):
            self._connection.execute("INSERT OR REPLACE INTO hashes VALUES (?, ?, ?)", (key, before, digest))
        else:
            self._recent[key, before] = digest
        return digest


@contextmanager
def open_file_hashes(folder: Path, *, deep: bool = False) -> Iterator[FileHashes]:
    """Open the hashes that are kept in a folder, the owner's alone; a damaged file is begun anew.

    Raises:
        OutputError: when it cannot be written.
    """
    path = folder / _FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        connection = _connected(path)
    except (OSError, sqlite3.Error) as error:
        raise OutputError(f"{path}: cannot be written: {error}") from error
    with closing(connection):
        try:
            yield FileHashes(connection, deep=deep)
        finally:
            connection.commit()


def _connected(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    path.chmod(0o600)
    try:
        return _prepared(path)
    except sqlite3.DatabaseError:  # not a data base: what it held can be taken again
        path.write_bytes(b"")
        return _prepared(path)


def _prepared(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=60)
    try:
        connection.execute("PRAGMA synchronous = OFF")  # losing it costs time, not truth
        connection.execute(_SCHEMA)
        connection.execute("SELECT state FROM hashes LIMIT 1").fetchone()
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _kept_as(identity: FileIdentity) -> str:
    return " ".join(map(str, identity))
