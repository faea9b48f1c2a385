"""One study as the archive names it, before any file is read; paths that must not leave the archive."""

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import ArchiveError, Reason

__all__ = ["LIST", "MaskSource", "StudyRow", "inside", "is_list"]

LIST = ".files"
"""The ending of the name of a list of files (see ``gathering``)."""


def is_list(path: Path) -> bool:
    """Tell by its name whether a path of a manifest is a list of files."""
    return path.suffix == LIST


@dataclass(frozen=True)
class MaskSource:
    """Where one reader's mask lies, and the label it annotates when that is stated.

    ``value`` is the label's number in a label map that shows several; ``key`` the image's name in a file that
    covers many images, when it is not the image file's own. ``refused`` tells why it must not be read again: an
    earlier attempt ended the process that read it.
    """

    reader: str
    label: str | None
    path: Path = field(repr=False)
    value: int | None = None
    key: str | None = field(default=None, repr=False)
    refused: tuple[Reason, str] | None = None


@dataclass(frozen=True)
class StudyRow:
    """One study as listed. ``study`` and ``patient`` are the archive's own names: they stay in the loader.

    ``reference`` holds the labels that are present (empty: none), or None when the archive does not say. ``root`` is
    the archive's, where a path may be a list of files in it (see ``gathering``). ``avoid`` are masks of what must not
    be leaned on (a tube, a marker), each with the region's name as its label: no reader's finding, and in no score.
    """

    study: str = field(repr=False)
    patient: str = field(repr=False)
    image: Path = field(repr=False)
    masks: tuple[MaskSource, ...]
    reference: tuple[str, ...] | None
    strata: Mapping[str, str]
    root: Path | None = field(default=None, repr=False)
    avoid: tuple[MaskSource, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """The paths of the image and of every mask."""
        return (self.image, *(mask.path for mask in (*self.masks, *self.avoid)))


def inside(root: Path, path: Path, where: str) -> Path:
    """Return ``path`` when it, and what lies in it, stay under ``root``, also through symbolic links.

    ``root`` is resolved already; ``where`` names the place for the error (line and column), not the value.

    Raises:
        ArchiveError: when something leads out of the archive, or cannot be followed.
    """
    try:
        targets = [_followed(path)]
        if targets[0].is_dir():
            targets += [_followed(entry) for entry in path.iterdir() if entry.is_symlink()]
    except (OSError, ValueError) as error:  # a loop of links; a character no path can have
        raise ArchiveError(f"{where}: the path cannot be followed") from error
    if not all(target.is_relative_to(root) for target in targets):
        raise ArchiveError(f"{where}: the path leads out of the archive")
    return path


def _followed(path: Path) -> Path:
    """Return where a path leads, which need not be there; a loop of links is an OSError."""
    target = Path(os.path.realpath(path))  # Path.resolve() takes a loop for a place from Python 3.13 on
    try:
        target.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise
    return target
