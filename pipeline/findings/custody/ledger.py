"""An append-only log: each line is chained to the one before by its hash, and signed with the site's key.

An edit, a deletion or a reordering breaks the chain, and whoever lacks the key cannot mend it. Cutting off the end
breaks nothing: whoever holds the head's hash finds it. The owner of the key can write another chain from the start;
that it is another shows where the head has left the machine.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.file_lock import locked, read_unlocked
from pipeline.findings.custody.chain import (
    ChainEnd,
    LedgerEntry,
    LedgerError,
    LedgerFault,
    entry_line,
    public_key,
    signed_entry,
    split_lines,
    verified_entries,
)
from pipeline.findings.custody.site_key import SiteKey

__all__ = ["Ledger", "LedgerEntry", "LedgerError", "LedgerFault", "public_key", "read_ledger"]

_OPENED = "ledger.opened"


class Ledger:
    """A log to add to. Several processes may: each entry is added under a lock on the file, behind all others."""

    def __init__(self, path: Path, key: SiteKey, *, opening: str = _OPENED) -> None:
        """Open the log at ``path``: verify what it holds, or begin it with the event ``opening`` and the public key.

        Raises:
            LedgerError: when what it holds cannot be trusted, or was signed with another key.
            OutputError: when it cannot be opened.
        """
        self.path = path
        self._key = key
        self._tail = ChainEnd(public=key.public)
        self._bytes = 0
        self._last_line = b""
        with locked(path, create=True) as descriptor:
            self._catch_up(descriptor)
            if self.length == 0:
                body = {"public": key.public, "chain": secrets.token_hex(16)}
                self._write(descriptor, signed_entry(self._tail, opening, body, key))

    @property
    def head(self) -> str:
        """The hash of the newest entry that this object has seen."""
        return self._tail.hash

    @property
    def length(self) -> int:
        """How many entries this object has seen."""
        return self._tail.length

    def append(self, event: str, **body: object) -> LedgerEntry:
        """Add an event, flush it to the disk and return it.

        ``body`` holds hashes, counts and names that JSON can, never a patient's data. Entries that others added
        meanwhile are verified first; those that were verified before are not verified again. Where the clock is more
        than a second behind the entry before, ``time`` is just after that entry, and the clock's goes into ``body`` as
        ``clock``.

        Raises:
            LedgerError: when the log was changed since.
            OutputError: when it cannot be written; then nothing is added.
        """
        with self.appending(event, **body) as entry:
            return entry

    @contextmanager
    def appending(self, event: str, **body: object) -> Iterator[LedgerEntry]:
        """Yield the entry that ``append`` would add, and add it at the end; after an exception nothing is added.

        Raises:
            LedgerError, OutputError: as ``append``.
        """
        with locked(self.path) as descriptor:
            self._catch_up(descriptor)
            entry = signed_entry(self._tail, event, body, self._key)
            yield entry
            self._write(descriptor, entry)

    def _catch_up(self, descriptor: int) -> None:
        """Verify what is new in the file; what was seen before must still lie before it."""
        seen = len(self._last_line)
        content = _read(self.path, descriptor, self._bytes - seen)
        if len(content) < seen:
            raise LedgerError(LedgerFault.MISSING, f"{self.path}: entries were removed while it was in use")
        if content[:seen] != self._last_line:
            raise LedgerError(LedgerFault.EDITED, f"{self.path}: entries were changed while it was in use")
        lines = split_lines(self.path, content[seen:], self._bytes)
        entries = verified_entries(self.path, lines, self._tail)
        if entries:
            self._seen(entries[-1], lines[-1] + b"\n", self._bytes + len(content) - seen)

    def _write(self, descriptor: int, entry: LedgerEntry) -> None:
        line = entry_line(entry) + b"\n"
        try:
            _write_whole(descriptor, line, self._bytes)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror or error}") from error
        self._seen(entry, line, self._bytes + len(line))

    def _seen(self, newest: LedgerEntry, line: bytes, size: int) -> None:
        self._tail = ChainEnd(newest.sequence + 1, newest.hash, newest.time, self._key.public)
        self._bytes = size
        self._last_line = line


def read_ledger(path: Path, *, public: str | None = None) -> tuple[LedgerEntry, ...]:
    """Read a log and verify all of it: every hash, link, time and signature.

    ``public`` is the key that must have signed it; without it, any key that signed all of it.

    Raises:
        LedgerError: naming the first line that cannot be trusted, and why.
    """
    try:
        content = read_unlocked(path)
    except OSError as error:
        raise LedgerError(LedgerFault.UNREADABLE, f"{path}: cannot be read: {error.strerror or error}") from error
    lines = split_lines(path, content)
    if not lines:
        raise LedgerError(LedgerFault.UNREADABLE, f"{path}: is empty; a log begins with its key")
    return tuple(verified_entries(path, lines, ChainEnd(public=public)))


def _read(path: Path, descriptor: int, offset: int) -> bytes:
    try:
        with os.fdopen(os.dup(descriptor), "rb") as file:
            file.seek(offset)
            return file.read()
    except OSError as error:
        raise OutputError(f"{path}: cannot be read: {error.strerror or error}") from error


def _write_whole(descriptor: int, data: bytes, offset: int) -> None:
    """Write all or nothing: what a full disk leaves of a line is cut off again."""
    try:
        os.lseek(descriptor, offset, os.SEEK_SET)
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, offset)
        raise
