"""The files that one study is read from, hashed by the process that decodes them, and watched while it does.

A hash that was taken earlier describes another moment. Here a file is hashed just before it is decoded (its second
reading comes from the system's cache), and every file's identity is taken before its hash and again behind the last
decoder: the hash is that of the decoded bytes, or the study is not read.

The time of change cannot be set by a program, so an edit that restores size and time of modification shows. Two edits
within one step of the file system's clock would not: a file that was changed less than two seconds ago is hashed a
second time. What is not seen is a folder above the study's own that is renamed away and back meanwhile.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import Reason
from pipeline.studies.content_digest import contents, sha256_of, source_digest
from pipeline.studies.listing.file_lists import gathered
from pipeline.studies.listing.study_row import StudyRow
from pipeline.studies.readers import BUILT_IN
from pipeline.studies.readers.shared.base import refused
from pipeline.studies.readers.shared.kept_files import FileIdentity, KeptFiles, identity_of, is_recent
from pipeline.studies.readers.shared.sidecars import sidecar_of

__all__ = ["FilesRead"]

_MOST_LINKS = 40  # as many as a system follows


InstanceNames = Callable[[Path, Path | None], list[str] | None]
"""What a path, and its archive's root, counts as: a server's instances by name; None for files, by their content."""


class FilesRead:
    """The files of one study. ``kept`` holds the hashes of those that many studies are read from."""

    def __init__(self, row: StudyRow, kept: KeptFiles, named: InstanceNames | None = None) -> None:
        self.kept = kept
        self._row, self._named = row, named
        self._states: dict[Path, tuple[FileIdentity | None, ...]] = {}
        self._hashes: dict[Path, str] = {}
        self._members: dict[tuple[Path, str], str] = {}
        self._contents: dict[Path, list[str]] = {}
        self._recent: set[Path] = set()
        self._sidecars: dict[Path, Path | None] = {}

    @contextmanager
    def opened(self, path: Path) -> Iterator[Path]:
        """Yield what a reader can read of an image's or a mask's path (see ``gathered``), its content hashed.

        Raises:
            StudyError: as ``gathered``.
        """
        self._watch(path)
        with gathered(path, self._row.root, self._members) as readable:
            self._contents_of(path, self._row.root)
            if any(mask.path == path and mask.value is None for mask in (*self._row.masks, *self._row.avoid)):
                self._hash_sidecar(path)
            yield readable

    def checked_digest(self) -> str:
        """Return the digest of the study's source, of files that are still what they were when they were hashed.

        Raises:
            StudyError: CHANGED_DURING_RUN.
        """
        digest = source_digest(self._row, self._named_or_contents, self._sidecar)
        same = all(_state(path) == state for path, state in self._states.items())
        same = same and all(sidecar_of(path) == sidecar for path, sidecar in self._sidecars.items())
        if not same or any(sha256_of(path) != self._hashes[path] for path in self._recent):
            raise refused(Reason.CHANGED_DURING_RUN, "a file of the study was changed while it was read")
        return digest

    def content_digest(self) -> str:
        """Return the digest by content alone, whatever a server's instances are called."""
        return source_digest(self._row, self._contents_of, self._sidecar)

    def _named_or_contents(self, path: Path, root: Path | None) -> list[str]:
        names = self._named(path, root) if self._named else None
        return self._contents_of(path, root) if names is None else names

    def _contents_of(self, path: Path, root: Path | None) -> list[str]:
        """Return the sorted hashes that a path stands for, as they were when they were first asked for."""
        if path not in self._contents:
            self._watch(path)
            self._contents[path] = contents(path, root, self._sha256, self._members)
        return self._contents[path]

    def _sha256(self, path: Path) -> str:
        if path not in self._hashes:
            self._watch(path)
            shared = BUILT_IN.covers_many(path)
            self._hashes[path] = self.kept.of(sha256_of, path) if shared else sha256_of(path)
            identity = self._states[path][0]
            if identity is not None and is_recent(identity, time.time_ns()):
                self._recent.add(path)
        return self._hashes[path]

    def _hash_sidecar(self, path: Path) -> None:
        sidecar = self._sidecar(path)
        if sidecar is not None:
            self._contents_of(sidecar, None)

    def _sidecar(self, path: Path) -> Path | None:
        if path not in self._sidecars:
            self._sidecars[path] = sidecar_of(path)
        return self._sidecars[path]

    def _watch(self, path: Path) -> None:
        if path not in self._states:
            self._states[path] = _state(path)


def _state(path: Path) -> tuple[FileIdentity | None, ...]:
    """Return the identity of what a path leads to, and of every link on the way."""
    identities = [identity_of(path)]
    for _ in range(_MOST_LINKS):
        if not path.is_symlink():
            break
        identities.append(identity_of(path, follow=False))
        path = path.parent / path.readlink()
    return tuple(identities)
