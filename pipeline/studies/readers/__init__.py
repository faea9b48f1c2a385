"""One file a format, and the ordered list of them: the first that accepts a path reads it.

A reader is a module with ``FACTS`` (see ``ReaderFacts``), ``accepts(path)``, and ``read(path, options)`` for images, or
``read_mask(path, image, wanted)`` for masks, or both; ``check_header(head, size)`` where a file's beginning can tell
that it will be refused; ``detached(head, name)`` where the voxels may lie in files beside it;
``check_file(file, size)`` where a header lies anywhere in its file. Nobody else knows a format's endings or first
bytes: who needs them asks ``Readers``.
This list may import every reader; no reader imports it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path, PurePath
from types import ModuleType

from pipeline.errors import Reason, StudyError
from pipeline.studies.readers.images import (
    dicom_enhanced,
    dicom_mosaic,
    dicom_projection,
    dicom_series,
    meta_image,
    mgh,
    nifti,
    nrrd,
    picture,
    tiff,
)
from pipeline.studies.readers.masks import (
    boxes,
    coco,
    dicom_picture_mask,
    dicom_seg,
    dicom_series_mask,
    png_mask,
    polygons,
    rtstruct,
    spheres,
)
from pipeline.studies.readers.regions import aim, dicom_report, labelme, lidc, pascal_voc, via, yolo
from pipeline.studies.readers.shared.base import (
    AS_STORED,
    ImageFile,
    MaskFile,
    MaskRequest,
    ReadOptions,
    first_bytes,
    guarded,
    refused,
    series_files,
)
from pipeline.studies.readers.shared.detached import companions
from pipeline.studies.readers.shared.reader_facts import ReaderFacts

__all__ = [
    "AS_STORED",
    "BUILT_IN",
    "IMAGE_READERS",
    "MASK_READERS",
    "ImageFile",
    "MaskFile",
    "MaskRequest",
    "ReadOptions",
    "ReaderFacts",
    "Readers",
    "read_image",
    "read_mask",
]

IMAGE_READERS: tuple[ModuleType, ...] = (
    nifti,  # four magic bytes, the cheapest to tell
    nrrd,  # likewise
    meta_image,  # likewise
    tiff,  # likewise
    picture,  # likewise
    mgh,  # the shortest magic: behind those that have more of it
    dicom_enhanced,  # told by the meta group alone, before a reader that parses the header
    dicom_projection,  # before the series, which takes any DICOM file
    dicom_mosaic,  # likewise
    dicom_series,  # last: it takes folders and whatever DICOM is left, and refuses by its own reasons
)

MASK_READERS: tuple[ModuleType, ...] = (
    nifti,  # as above
    nrrd,
    meta_image,
    tiff,
    png_mask,  # likewise
    mgh,  # as above
    dicom_seg,  # reads the meta group to tell a segmentation from other DICOM objects
    rtstruct,  # likewise
    dicom_picture_mask,  # likewise
    dicom_report,  # by its class alone
    dicom_series_mask,  # it takes folders and whatever DICOM slices are left
    spheres,  # a CSV told by its columns, before any other
    boxes,  # text has no magic bytes: told by its ending
    yolo,  # likewise
    pascal_voc,  # XML by its outermost element
    aim,
    lidc,
    labelme,  # JSON by its first key
    via,
    coco,  # before the polygons, which take any other JSON
    polygons,
)


@dataclass(frozen=True)
class Readers:
    """Readers in the order in which they are asked; to another process they travel by their modules' names."""

    images: tuple[ModuleType, ...] = IMAGE_READERS
    masks: tuple[ModuleType, ...] = MASK_READERS

    @cached_property
    def facts(self) -> tuple[ReaderFacts, ...]:
        """What the readers declare, each once."""
        return tuple(reader.FACTS for reader in dict.fromkeys((*self.images, *self.masks)))

    @cached_property
    def image_endings(self) -> tuple[str, ...]:
        """The endings of images' names."""
        return tuple(ending for facts in self.facts if facts.reads != "mask" for ending in facts.endings)

    @cached_property
    def study_endings(self) -> tuple[str, ...]:
        """The endings of files that belong to one study alone: its image, or a mask of it."""
        own = [facts for facts in self.facts if not facts.covers_many]
        return tuple(ending for facts in own for ending in (*facts.mask_endings, *facts.endings))

    @cached_property
    def told_by_name(self) -> tuple[str, ...]:
        """The kinds of files that are images or masks by their names."""
        return tuple(dict.fromkeys(facts.kind for facts in self.facts if facts.told_by_name))

    def covers_many(self, path: PurePath) -> bool:
        """Tell by the ending whether a mask's file states masks of many images."""
        return path.name.lower().endswith(self._of_many)

    @cached_property
    def _of_many(self) -> tuple[str, ...]:
        return tuple(ending for facts in self.facts if facts.covers_many for ending in facts.every_ending)

    def may_be_preview(self, path: PurePath) -> bool:
        """Tell by the ending whether a file in a study's folder may be no part of the study."""
        return path.name.lower().endswith(self._of_previews)

    @cached_property
    def _of_previews(self) -> tuple[str, ...]:
        return tuple(ending for facts in self.facts if facts.may_be_preview for ending in facts.every_ending)

    def files_beside(self, path: Path) -> tuple[Path, ...]:
        """Return the files beside a file that are read with it: those of its voxels, and of its volumes' b-values."""
        weights = nifti.b_value_file(path)
        return (*self.voxel_files(path), *((weights,) if weights else ()))

    def voxel_files(self, path: Path) -> tuple[Path, ...]:
        """Return the files beside a file that hold its voxels; none of a file that holds them itself, or is broken."""
        for reader in self.images:
            if reader.FACTS.header_endings and path.name.lower().endswith(reader.FACTS.header_endings):
                try:
                    parts = reader.detached(first_bytes(path, HEAD_BYTES), path.resolve().name)
                    return companions(path, parts) if parts else ()
                except (StudyError, OSError):
                    return ()
        return ()

    def of_beginning(self, head: bytes) -> ModuleType | None:
        """Return the reader of files that begin so, of those that are told by their names."""
        return next((reader for reader in self.images if reader.FACTS.told_by_name and reader.FACTS.begins(head)), None)

    def __reduce__(self) -> tuple[Callable[..., "Readers"], tuple[tuple[str, ...], tuple[str, ...]]]:
        """Travel to another process."""
        return _imported, (_names(self.images), _names(self.masks))


def _names(readers: Iterable[ModuleType]) -> tuple[str, ...]:
    return tuple(reader.__name__ for reader in readers)


def _imported(images: Iterable[str], masks: Iterable[str]) -> Readers:
    return Readers(tuple(map(import_module, images)), tuple(map(import_module, masks)))


HEAD_BYTES = 64 * 1024
"""As much of a file's beginning as any header of ours takes."""

BUILT_IN = Readers()
"""The readers of this program alone."""


def read_image(path: Path, options: ReadOptions = AS_STORED, readers: Readers = BUILT_IN) -> ImageFile:
    """Read an image: one file, or a folder of DICOM slices (a folder of one file is that file).

    Raises:
        StudyError: stage READ, with the reason; no path, UID or header text in its message.
    """
    return guarded("the image", lambda: _read_image(path, options, readers))


def read_mask(
    path: Path, image: ImageFile, wanted: MaskRequest | str | None = None, readers: Readers = BUILT_IN
) -> MaskFile:
    """Read one label's mask, on the image's own grid; ``wanted`` (a label, or more) chooses among several.

    Raises:
        StudyError: stage READ; ``excluded`` when the mask does not belong to the image.
    """
    meant = wanted if isinstance(wanted, MaskRequest) else MaskRequest(wanted)
    meant = replace(meant, endings=readers.image_endings)
    return guarded("the mask", lambda: _read_mask(path, image, meant, readers))


def _read_image(path: Path, options: ReadOptions, readers: Readers) -> ImageFile:
    _check_there(path, "image")
    files = series_files(path)
    only = files[0] if len(files) == 1 else path
    for reader in readers.images:
        if reader.accepts(only):
            image: ImageFile = reader.read(only, options)
            return image
    raise refused(
        Reason.UNSUPPORTED_FORMAT, "the image is neither DICOM, NIfTI, NRRD, MetaImage, MGH, TIFF, PNG nor JPEG"
    )


def _read_mask(path: Path, image: ImageFile, wanted: MaskRequest, readers: Readers) -> MaskFile:
    may_be_empty = any(reader.FACTS.may_be_empty and reader.FACTS.bears(path) for reader in readers.masks)
    _check_there(path, "mask", may_be_empty=may_be_empty)
    for reader in readers.masks:
        if reader.accepts(path):
            mask: MaskFile = reader.read_mask(path, image, wanted)
            return mask
    message = (
        "the mask is of no format that is read: NIfTI, NRRD, MetaImage, MGH, TIFF, PNG, DICOM, JSON, XML, CSV or YOLO "
    )
    message += "text"
    raise refused(Reason.UNSUPPORTED_FORMAT, message)


def _check_there(path: Path, what: str, *, may_be_empty: bool = False) -> None:
    if not path.exists():
        raise refused(Reason.MISSING_FILE, f"the {what}'s file is not there")
    if not path.is_dir() and not path.is_file():
        raise refused(Reason.NOT_READABLE, f"the {what} is no regular file")
    if path.is_file() and path.stat().st_size == 0 and not may_be_empty:
        raise refused(Reason.TRUNCATED, f"the {what}'s file is empty")
