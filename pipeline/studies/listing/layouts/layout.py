"""What a layout says of itself, and what it needs to look at a folder."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ArchiveError
from pipeline.studies.listing.study_row import StudyRow
from pipeline.studies.readers import BUILT_IN
from pipeline.studies.readers.masks.annotations import image_key

__all__ = ["DETECTED", "Folder", "Layout", "LayoutChoice", "chosen_modalities", "stem_of", "visible", "volumes"]


@dataclass(frozen=True)
class LayoutChoice:
    """What the user says of the archive: the layout's name, and which of a subject's images are studies (None: all)."""

    layout: str | None = None
    modalities: tuple[str, ...] | None = None


DETECTED = LayoutChoice()
"""Nothing is said: the marks decide, and every image is a study."""


@dataclass(frozen=True)
class Folder:
    """A folder with its visible entries: names, each with whether it is a folder."""

    path: Path
    entries: Mapping[str, bool]

    @property
    def folders(self) -> list[Path]:
        """The sub-folders by name."""
        return [self.path / name for name, is_folder in sorted(self.entries.items()) if is_folder]

    def has_folder(self, name: str) -> bool:
        """Tell whether a sub-folder is there."""
        return self.entries.get(name, False)

    def has_file(self, name: str) -> bool:
        """Tell whether a file is there."""
        return self.entries.get(name) is False


@dataclass(frozen=True)
class Layout:
    """One layout: ``name`` in ``archive.layout``, ``title`` for people.

    ``is_here`` tells by marks alone whether a folder is laid out so; ``rows`` yields its studies, None where the
    headers of its files have to tell them (DICOM). ``has_modalities``: a subject has several images to choose from.
    """

    name: str
    title: str
    is_here: Callable[[Folder], bool]
    rows: Callable[[Path, LayoutChoice], Iterable[StudyRow]] | None
    has_modalities: bool = False


def visible(path: Path) -> Folder:
    """Return a folder's entries that are not hidden; links count as what they lead to.

    Raises:
        OSError: when it cannot be listed.
    """
    with os.scandir(path) as entries:
        return Folder(path, {entry.name: _is_folder(entry) for entry in entries if not entry.name.startswith(".")})


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links
        return False


def volumes(path: Path) -> list[Path]:
    """Return a folder's volumes and pictures by name; none when there is no such folder."""
    if not path.is_dir():
        return []
    return [path / name for name in sorted(visible(path).entries) if _is_volume(path / name)]


def _is_volume(path: Path) -> bool:
    return path.name.lower().endswith(BUILT_IN.image_endings) and not path.is_dir()


def stem_of(path: Path) -> str:
    """Return a file's name without the ending of its format."""
    return image_key(path.name, BUILT_IN.image_endings)


def chosen_modalities(root: Path, there: Iterable[str], choice: LayoutChoice) -> list[str]:
    """Return those of the modalities that are there which are wanted, in their order.

    Raises:
        ArchiveError: for a wanted one that no subject has.
    """
    known = list(dict.fromkeys(there))
    if choice.modalities is None:
        return known
    lacking = [name for name in choice.modalities if name not in known]
    if lacking:
        raise ArchiveError(
            f"{root}: no subject has the modality {lacking[0]!r}; there are {', '.join(known) or 'none'}"
        )
    return [name for name in known if name in choice.modalities]
