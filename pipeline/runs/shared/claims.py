"""Shards are claimed, not dealt: whoever sees a run's folder may take one that nobody has, and no two work the same.

A claim is a lock on a file, so it ends with the process that holds it, however that ends. The files lie beside the
run's folder, which holds nothing but what its ledger tells of.
"""

import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.file_lock import is_locked, locked, locked_at_once

__all__ = ["TRIES", "Claims"]

TRIES = 3
"""How often a shard may be begun without being finished: what ends one process after another ends the run instead."""

_CALL = "call"


@dataclass(frozen=True)
class Claims:
    """The claims on a run's shards. ``folder`` holds a file for each shard ever begun, and the call for help."""

    folder: Path

    @classmethod
    def of(cls, run: Path) -> "Claims":
        """Return the claims of the run of a folder."""
        return cls(run.parent / ".claims" / run.name)

    @contextmanager
    def held(self, shard: int) -> Iterator[bool]:
        """Yield whether the shard is this block's alone; it is nobody else's until the block or the process ends.

        Raises:
            OutputError: when the folder cannot be written, or its file system knows no locks.
        """
        self._make_folder()
        with locked_at_once(self._file(shard)) as is_mine:
            yield is_mine

    def is_held(self, shard: int) -> bool:
        """Tell whether a living process has a shard."""
        return is_locked(self._file(shard)) is True

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Call others to the run as long as the block, or this process, lasts.

        Raises:
            OutputError: when the folder cannot be written, or its file system knows no locks.
        """
        self._make_folder()
        with locked(self.folder / _CALL, create=True):
            yield

    @property
    def is_called(self) -> bool:
        """Whether the process that leads the run still wants others to work on it."""
        return is_locked(self.folder / _CALL) is True

    def begin(self, shard: int) -> int:
        """Note that this process begins a shard that it holds; return how often it was begun before.

        Raises:
            OutputError: when it was begun ``TRIES`` times and never finished; says where last.
        """
        path = self._file(shard)
        try:
            begun = path.read_text(encoding="utf-8", errors="replace").splitlines()
            if len(begun) >= TRIES:
                raise OutputError(
                    f"{path}: shard {shard} was begun {len(begun)} times and never finished, "
                    f"last by {_who(begun[-1])}; "
                    "look at what ended that process (memory, a crash of a library), then run again"
                )
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"host": socket.gethostname(), "process": os.getpid(), "since": _now()}) + "\n")
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
        return len(begun)

    def remove(self) -> None:
        """Remove the claims of a run whose shards are done."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make_folder(self) -> None:
        try:
            # not the folders above: where a shared one is away, another in its place would hide it when it is back
            self.folder.parent.mkdir(exist_ok=True)
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.folder}: cannot be made: {error.strerror or error}") from error

    def _file(self, shard: int) -> Path:
        return self.folder / f"{shard:04d}"


def _who(line: str) -> str:
    try:
        holder = json.loads(line)
        return f"process {int(holder['process'])} on {str(holder['host'])[:100]} since {str(holder['since'])[:30]}"
    except (ValueError, KeyError, TypeError):
        return "a process that did not say which"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
