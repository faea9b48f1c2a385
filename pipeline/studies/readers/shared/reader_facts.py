"""What a reader says of its format, once: its name, file endings, first bytes, and what it reads."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import Literal

__all__ = ["ImageNotes", "MaskNotes", "ReaderFacts"]


@dataclass(frozen=True)
class ImageNotes:
    """What the page of formats says of an image as it is read: the array's axes, its values, what tells its place."""

    axes: str
    values: str
    place: str


@dataclass(frozen=True)
class MaskNotes:
    """What the page of formats says of a mask: of which images, which label is meant, and what is inside."""

    images: str
    label: str
    inside: str


@dataclass(frozen=True)
class ReaderFacts:
    """A reader module's ``FACTS``.

    ``title`` is the format in words; ``kind`` the word for it in the index of a scan. ``endings`` are those of its
    files' names, lower case with the dot; of several readers of one format the first declares them, so that each
    ending stands once. ``mask_endings`` are borne by masks alone, ``header_endings`` are those of ``endings`` whose
    voxels may lie in files beside the header (the module's ``detached`` names them). ``magic`` are the bytes, each with
    its offset, of which a file has one; none for text, or where the class inside of DICOM tells. ``told_by_name``:
    nothing in a file says whether it is an image or a mask. ``may_be_preview``: such a file in a study's folder may be
    no part of the study. ``covers_many``: one file states masks of many images, or tells by their names which image it
    is of. ``may_be_empty``: a file without a byte says that nothing is marked. ``image`` and ``mask`` are what the
    table of formats tells.
    """

    title: str
    kind: str
    reads: Literal["image", "mask", "both"]
    endings: tuple[str, ...] = ()
    mask_endings: tuple[str, ...] = ()
    header_endings: tuple[str, ...] = ()
    magic: tuple[tuple[int, bytes], ...] = ()
    told_by_name: bool = False
    may_be_preview: bool = False
    covers_many: bool = False
    may_be_empty: bool = False
    image: ImageNotes | None = None
    mask: MaskNotes | None = None

    def begins(self, head: bytes) -> bool:
        """Tell whether the beginning of a file, inflated when it is gzip, has one of the format's magic bytes."""
        return any(head[offset : offset + len(magic)] == magic for offset, magic in self.magic)

    def bears(self, path: PurePath) -> bool:
        """Tell whether a file's name has one of the format's endings."""
        return path.name.lower().endswith(self.every_ending)

    @cached_property
    def every_ending(self) -> tuple[str, ...]:
        """The endings of its files' names, those of masks alone too."""
        return (*self.endings, *self.mask_endings)
