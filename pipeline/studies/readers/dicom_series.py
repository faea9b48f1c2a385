"""A classic DICOM series (CT, MR, PT): a folder of slices, or one slice, as one volume through the geometry gate.

Each file's header is parsed once, and its pixels are read from where the header ended once the whole series has
passed the gate.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.tag import Tag

from pipeline.errors import Reason
from pipeline.studies.geometry import Geometry
from pipeline.studies.privacy import allowed_header
from pipeline.studies.readers.base import ImageFile, ReadOptions, check_size, refused, series_files, volume_of
from pipeline.studies.readers.dicom import (
    OpenFile,
    check_grey,
    check_kind,
    is_dicom,
    meta_group,
    open_file,
    open_header,
    real_values,
    rescale_told,
    stored_values,
)
from pipeline.studies.readers.planes import Plane, plane_of, stacked

__all__ = ["accepts", "read"]

# segmentations and registrations; reports and key objects; presentation states; RT; documents; waveforms;
# parametric maps; spectroscopy; real-world values; surfaces
_NO_IMAGES = tuple(
    f"1.2.840.10008.5.1.4.1.1.{kind}"
    for kind in ("66", "88", "11", "481", "104", "9", "30", "4.2", "67", "68")
)  # fmt: skip
_DIRECTORY = "1.2.840.10008.1.3.10"
_FLOAT = 4

_ALIKE = {
    "SeriesInstanceUID": "series", "FrameOfReferenceUID": "frames of reference", "Modality": "modalities",
    "Rows": "heights", "Columns": "widths", "PhotometricInterpretation": "photometric interpretations",
    "EchoTime": "echo times", "DiffusionBValue": "b-values", "TemporalPositionIdentifier": "temporal positions",
}  # fmt: skip
_NEEDED = tuple(
    Tag(keyword)
    for keyword in (
        *_ALIKE, "SOPInstanceUID", "ImageType", "SharedFunctionalGroupsSequence", "ImagePositionPatient",
        "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "BurnedInAnnotation",
    )
)  # fmt: skip


@dataclass(frozen=True)
class _Slice:
    file: OpenFile
    plane: Plane

    @property
    def header(self) -> Dataset:
        return self.file.header


def accepts(path: Path) -> bool:
    """Tell whether the path is a folder, or a DICOM file."""
    return path.is_dir() or is_dicom(path)


def read(path: Path, options: ReadOptions) -> ImageFile:  # noqa: ARG001 - a series leaves no choice
    """Read a series: array (column, row, slice) after each slice's own rescale, slices along the normal.

    Raises:
        StudyError: NOT_AN_IMAGE, MISSING_FILE, MIXED_SERIES, LOCALIZER, MOSAIC, NOT_A_SINGLE_CHANNEL, as
            ``stacked`` for what is no volume, or as ``stored_values``.
    """
    slices = _distinct([_slice(file) for file in _slice_files(path)])
    _check_one_series(slices)
    stack = stacked([one.plane for one in slices])
    slices = [slices[index] for index in stack.order]
    first = slices[0].header
    columns, rows = int(first.Columns), int(first.Rows)
    check_size(columns * rows * len(slices) * _FLOAT)
    frame = first.get("FrameOfReferenceUID")
    geometry = Geometry((columns, rows, len(slices)), stack.affine, str(frame) if frame else None)
    volume = volume_of(_voxels(slices), geometry)
    facts = {**stack.facts, "rescale": rescale_told(one.header for one in slices), "voi lut": "not applied"}
    instances = frozenset(str(one.header.SOPInstanceUID) for one in slices)
    return ImageFile(volume, {**_header(slices), **facts}, instances)


def _header(slices: list[_Slice]) -> dict[str, str]:
    """Return what may leave of the first slice; that nothing is burned in has to be said of every slice."""
    header = allowed_header(open_header(slices[0].file.path))
    said = {str(one.header.get("BurnedInAnnotation") or "") for one in slices}
    if said != {"NO"}:
        header.pop("BurnedInAnnotation", None)
    return {**header, "BurnedInAnnotation": "YES"} if "YES" in said else header


def _slice_files(path: Path) -> list[OpenFile]:
    found, others = [], 0
    for file in series_files(path):
        meta = meta_group(file)
        if meta is None and file.suffix.lower() in (".dcm", ".ima"):
            raise refused(Reason.NOT_READABLE, "a file of the series is named as DICOM and is none")
        if meta is not None and _is_image(str(meta.get("MediaStorageSOPClassUID", ""))):
            found.append(open_file(file, meta, _NEEDED))
        else:
            others += meta is not None
    if not found and others:
        raise refused(Reason.NOT_AN_IMAGE, "the DICOM file holds a report, a plan, a dose, a signal or the like")
    if not found:
        raise refused(Reason.MISSING_FILE, "the folder holds no DICOM slice")
    return found


def _is_image(kind: str) -> bool:
    """Tell by the class in the meta group; a file that states none is a slice, so that it is not lost."""
    return kind != _DIRECTORY and not any(kind == other or kind.startswith(f"{other}.") for other in _NO_IMAGES)


def _slice(file: OpenFile) -> _Slice:
    header = file.header
    if int(header.get("NumberOfFrames") or 1) > 1 or "SharedFunctionalGroupsSequence" in header:
        raise refused(Reason.UNSUPPORTED_FORMAT, "a file holds several frames: it is no slice of a classic series")
    if "Rows" not in header or "Columns" not in header:
        raise refused(Reason.NOT_READABLE, "a DICOM file of the series holds no image")
    check_kind(header)
    check_grey(header)
    return _Slice(file, plane_of(header, header, header))


def _distinct(slices: list[_Slice]) -> list[_Slice]:
    """Return one slice for each SOP instance; copies must be identical to the byte."""
    kept: dict[str, _Slice] = {}
    for one in slices:
        first = kept.setdefault(str(one.header.SOPInstanceUID), one)
        if first is not one and _content(first.file.path) != _content(one.file.path):
            raise refused(Reason.MIXED_SERIES, "two files bear the same instance UID and differ in content")
    return list(kept.values())


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _check_one_series(slices: list[_Slice]) -> None:
    for keyword, what in _ALIKE.items():
        count = len({one.header.get(keyword) for one in slices})
        if count > 1:
            raise refused(Reason.MIXED_SERIES, f"the folder's {len(slices)} slices have {count} different {what}")


def _voxels(slices: list[_Slice]) -> NDArray[np.float32]:
    """Return the voxels (column, row, slice), each slice after its own transform."""
    array = np.empty((len(slices), int(slices[0].header.Rows), int(slices[0].header.Columns)), dtype=np.float32)
    with np.errstate(over="ignore"):  # beyond float32 is infinity, which is refused
        for plane, one in zip(array, slices, strict=True):
            plane[:] = real_values(one.header, stored_values(one.file))
    return array.transpose(2, 1, 0)
