"""A Siemens mosaic: the slices of one volume, tiled into one picture; a folder of them is as many volumes.

How many slices there are, and to which side they follow, stands in the vendor's private header (CSA) alone; a mosaic
without it is refused. Tiles run along the rows. Image Position states where the first pixel would lie of a slice as
large as the picture around the same centre.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.tag import Tag

from pipeline.errors import Reason
from pipeline.studies.geometry import Affine, Geometry, lps_to_ras
from pipeline.studies.pseudonyms import allowed_header
from pipeline.studies.readers.dicom.alike import ALIKE, differing
from pipeline.studies.readers.dicom.data_set import (
    check_encoding,
    check_grey,
    file_kind,
    is_dicom,
    open_file,
    open_header,
    read_header,
    rescaled,
    stored_values,
)
from pipeline.studies.readers.dicom.header import Header, Kind, keyword, kind_of
from pipeline.studies.readers.dicom.pixel_format import PixelFormat, format_of, rescale_of
from pipeline.studies.readers.dicom.planes import plane_of
from pipeline.studies.readers.modalities.csa_header import csa_texts
from pipeline.studies.readers.modalities.volumes import volumes_of
from pipeline.studies.readers.shared.base import ImageFile, ReadOptions, refused, series_files, volume_of
from pipeline.studies.readers.shared.reader_facts import ImageNotes, ReaderFacts
from pipeline.studies.readers.shared.volume_choice import VolumeChoice, choices_told, narrowed

__all__ = ["CSA_TAGS", "FACTS", "Mosaic", "accepts", "checked_mosaic", "read"]

FACTS = ReaderFacts(
    title="Siemens mosaic, one file a volume",
    kind="dicom mosaic",
    reads="image",
    image=ImageNotes(
        "column, row, slice",
        "after slope and intercept",
        "number and side of the slices from CSA, the rest as the series",
    ),
)

_CSA = 0x00291010
_SPACING = "SpacingBetweenSlices"
CSA_TAGS: tuple[str | int, ...] = (0x00290010, _CSA, _SPACING)
"""The elements, besides those of a header, that tell where a mosaic's slices lie."""

_SAME_DIRECTION = 1e-3


@dataclass(frozen=True, eq=False)
class Mosaic:
    """A mosaic's slices: their number, tiles a side, and where their voxels (column, row, slice) lie (RAS+ mm)."""

    layout: PixelFormat
    slices: int
    side: int
    affine: Affine = field(repr=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Columns, rows and slices."""
        return self.layout.columns // self.side, self.layout.rows // self.side, self.slices


def accepts(path: Path) -> bool:
    """Tell whether a file, or the first DICOM file of a folder, is a mosaic."""
    if not path.is_dir():
        return file_kind(path) is Kind.MOSAIC
    first = next((file for file in series_files(path) if is_dicom(file)), None)
    return first is not None and file_kind(first) is Kind.MOSAIC


def read(path: Path, options: ReadOptions) -> ImageFile:
    """Read a mosaic: array (column, row, slice) after its rescale; of several files, the chosen one.

    Raises:
        StudyError: MIXED_SERIES for files of several series; SEVERAL_VOLUMES when none, or not one, of several is
            chosen; as ``checked_mosaic``; as the path of all pixels.
    """
    file, facts = _chosen_file(path, options.choice)
    header = _header_of(file)
    dataset = open_header(file)
    mosaic = checked_mosaic(dataset, header)
    opened = open_file(file, [Tag("ModalityLUTSequence")])
    stored, _ = stored_values(opened, header, mosaic.layout)
    rescale = rescale_of(header)
    values = rescaled(opened.dataset, rescale, stored, mosaic.layout.ends[0])
    geometry = Geometry(mosaic.shape, mosaic.affine, header.get("frame_of_reference") or None)
    facts |= {"mosaic": f"{mosaic.slices} slices of {mosaic.side} x {mosaic.side} tiles", "rescale": str(rescale)}
    instances = frozenset({str(header["instance"])})
    array = _slices(np.asarray(values, dtype=np.float32), mosaic)
    facts = {**allowed_header(dataset), **facts, "voi lut": "not applied"}
    return ImageFile(volume_of(array, geometry), facts, instances)


def checked_mosaic(dataset: Dataset, header: Header, *, from_file: bool = True) -> Mosaic:
    """Return a mosaic's slices; ``dataset`` holds ``CSA_TAGS``.

    Raises:
        StudyError: MOSAIC where the vendor's header does not tell how many slices there are and to which side they
            follow; NO_GEOMETRY for a distance or directions that are none; as ``format_of`` and ``plane_of``.
    """
    layout = format_of(header)
    check_grey(layout)
    check_encoding(header, layout, from_file=from_file)
    rescale_of(header)
    slices, normal = _stated(dataset)
    side = isqrt(slices - 1) + 1
    if layout.frames != 1 or layout.columns % side or layout.rows % side:
        message = f"the mosaic of {layout.rows} x {layout.columns} pixels cannot hold {side} x {side} tiles"
        raise refused(Reason.MOSAIC, message)
    return Mosaic(layout, slices, side, _affine(header, layout, side, (normal, _step(dataset))))


def _stated(dataset: Dataset) -> tuple[int, NDArray[np.float64]]:
    """Return the number of slices, and the direction in which they follow (LPS+)."""
    raw = dataset[_CSA].value if _CSA in dataset else b""
    texts: Mapping[str, Sequence[str]] = csa_texts(raw) if isinstance(raw, bytes) else {}
    try:
        slices = int(texts["NumberOfImagesInMosaic"][0])
        normal = np.array([float(part) for part in texts["SliceNormalVector"]])
    except (KeyError, ValueError):
        slices, normal = 0, np.zeros(0)
    if slices < 1 or normal.shape != (3,) or not np.isfinite(normal).all():
        message = "the mosaic's private header does not state how many slices it holds, or to which side they follow"
        raise refused(Reason.MOSAIC, message)
    return slices, normal


def _step(dataset: Dataset) -> float:
    try:
        step = float(dataset.get(_SPACING) or 0)
    except (ValueError, TypeError):
        step = 0.0
    if not np.isfinite(step) or step <= 0:
        message = f"the mosaic states no {_SPACING} above 0: nothing tells where its slices lie"
        raise refused(Reason.NO_GEOMETRY, message)
    return step


def _affine(header: Header, layout: PixelFormat, side: int, across: tuple[NDArray[np.float64], float]) -> Affine:
    plane, (normal, step) = plane_of(header, header, header), across
    along_row, along_column = plane.orientation[:3] * plane.spacing[1], plane.orientation[3:] * plane.spacing[0]
    own = np.cross(plane.orientation[:3], plane.orientation[3:])
    sense = float(normal @ own)
    if abs(abs(sense) - 1) > _SAME_DIRECTION:
        message = "the mosaic's private header states slices that do not follow across ImageOrientationPatient"
        raise refused(Reason.NO_GEOMETRY, message)
    beside, below = ((size - size // side) / 2 for size in (layout.columns, layout.rows))
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = along_row, along_column, np.sign(sense) * own * step
    affine[:3, 3] = plane.position + along_row * beside + along_column * below
    return lps_to_ras(affine)


def _slices(picture: NDArray[np.float32], mosaic: Mosaic) -> NDArray[np.float32]:
    """Return tiles as voxels (column, row, slice)."""
    columns, rows, slices = mosaic.shape
    tiles = picture.reshape(mosaic.side, rows, mosaic.side, columns).transpose(0, 2, 3, 1)
    return np.moveaxis(tiles.reshape(-1, columns, rows)[:slices], 0, 2)


def _header_of(file: Path) -> dict[str, str | None]:
    with file.open("rb") as content:
        return read_header(content, file.stat().st_size)[0]


def _chosen_file(path: Path, choice: VolumeChoice | None) -> tuple[Path, dict[str, str]]:
    """Return the file of the volume that is meant, with the fact of the choice."""
    files = [file for file in series_files(path) if is_dicom(file)]
    headers = [_header_of(file) for file in files]
    if {kind_of(header) for header in headers} != {Kind.MOSAIC}:
        raise refused(Reason.MIXED_SERIES, "the folder holds mosaics and other DICOM files")
    names = differing(headers, ALIKE)
    if names or len({header.get("instance") for header in headers}) < len(headers):
        what = f"different values of {keyword(names[0])}" if names else "the same SOPInstanceUID"
        raise refused(Reason.MIXED_SERIES, f"the folder's {len(headers)} mosaics have {what}")
    if len(files) == 1:
        return files[0], {}
    datasets = [open_header(file) for file in files]
    checked_mosaic(datasets[0], headers[0])  # what cannot be read is not to be chosen among
    same_place = [plane_of(headers[0], headers[0], headers[0])] * len(files)  # each is a whole volume
    volumes = volumes_of(datasets, same_place)
    traits = [volume.traits for volume in volumes]
    if choice is None or len(volumes) < len(files):
        message = f"the folder holds {len(files)} mosaics, each a volume; archive.volume would choose one"
        raise refused(Reason.SEVERAL_VOLUMES, f"{message}: {choices_told(traits)}")
    number = narrowed(traits, choice, "volumes")
    fact = f"{len(volumes)} volumes ({choices_told(traits)}): {choice} chosen"
    return files[volumes[number].slices[0]], {"volume": fact}
