"""NIfTI-1 and -2, one file (.nii, .nii.gz): nibabel reads, the affine is checked here.

nibabel takes the sform even when it is zero or contradicts the qform, and makes an affine up when there is
neither. All three are refused here: a wrong affine is a shifted mask.
"""

import gzip
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Reason
from pipeline.studies.geometry import CORNER_TOLERANCE_MM, Geometry
from pipeline.studies.readers.base import (
    AS_STORED,
    CAP_BYTES,
    ImageFile,
    MaskFile,
    ReadOptions,
    Wanted,
    carry,
    check_size,
    chosen,
    first_bytes,
    is_gzip,
    refused,
    volume_of,
)
from pipeline.studies.readers.sidecars import where_meant

__all__ = ["accepts", "read", "read_mask"]

_MM_PER_UNIT = {"unknown": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 0.001}
_SLACK = 1024**2  # header and extensions around the voxels


def accepts(path: Path) -> bool:
    """Tell by the magic bytes whether the file is NIfTI (or half of a pair, which ``read`` refuses)."""
    start = first_bytes(path, 348)
    return start[344:348] in (b"n+1\0", b"ni1\0") or start[4:8] in (b"n+2\0", b"ni2\0")


def read(path: Path, options: ReadOptions) -> ImageFile:
    """Read an image: array (i, j, k) as stored, scaled by its slope and intercept; of four axes, the chosen volume.

    Raises:
        StudyError: SEVERAL_VOLUMES of which none is chosen; without geometry, with a contradictory one, colour, or
            too few bytes.
    """
    values, geometry, header = _load(path, options)
    return ImageFile(volume_of(values, geometry), header)


def read_mask(path: Path, image: ImageFile, wanted: Wanted) -> MaskFile:
    """Read a label map onto the image's grid: a binary one, or of several labels with the value that is meant."""
    values, geometry, _ = _load(path)
    return MaskFile(carry(where_meant(values, path, wanted), geometry, image.volume.geometry))


def _load(path: Path, options: ReadOptions = AS_STORED) -> tuple[NDArray[np.generic], Geometry, dict[str, str]]:
    start = first_bytes(path, 348)
    if start[344:347] == b"ni1" or start[4:7] == b"ni2":
        raise refused(
            Reason.UNSUPPORTED_FORMAT, "a NIfTI pair (.hdr and .img) is not read; store header and voxels in one file"
        )
    kind = nibabel.Nifti2Image if start[4:7] == b"n+2" else nibabel.Nifti1Image
    found = kind.from_bytes(_content(path, kind))
    shape, volumes = _axes(found.shape)
    volume, choice = chosen(volumes, options, "volumes")
    if found.get_data_dtype().fields:
        raise refused(Reason.NOT_A_SINGLE_CHANNEL, "the file holds colours, not one value a voxel")
    affine, facts = _affine(found.header, shape)
    values = np.asanyarray(found.dataobj[:, :, :, volume] if volumes > 1 else found.dataobj).reshape(shape)
    if np.iscomplexobj(values):
        raise refused(Reason.NOT_A_SINGLE_CHANNEL, "the file holds complex numbers, not one value a voxel")
    return values, Geometry(shape, affine), facts | choice


def _content(path: Path, kind: type[nibabel.Nifti1Image]) -> bytes:
    """Return the whole file, inflated to its announced end so that gzip's checksum is verified."""
    with gzip.open(path) if is_gzip(path) else path.open("rb") as file:
        header = kind.header_class.from_fileobj(file, check=False)
        voxels = int(np.prod(header.get_data_shape(), dtype=object)) * header.get_data_dtype().itemsize
        check_size(voxels)
        needed = int(header["vox_offset"]) + voxels
        file.seek(0)
        content: bytes = file.read(min(needed, CAP_BYTES) + _SLACK)
    if len(content) < needed:
        raise refused(Reason.TRUNCATED, f"the file holds {len(content)} bytes of the {needed} its header announces")
    if len(content) >= needed + _SLACK:
        raise refused(Reason.NOT_READABLE, "the file is far longer than its header announces")
    return content


def _axes(shape: tuple[int, ...]) -> tuple[tuple[int, int, int], int]:
    """Return the spatial axes, with one slice when there are two, and the number of volumes along the fourth."""
    padded = (*shape, 1, 1, 1)[: max(4, len(shape))]
    if len(shape) < 2 or any(size != 1 for size in padded[4:]):
        raise refused(Reason.UNSUPPORTED_FORMAT, f"the file has shape {shape}; one 3D volume is read")
    return (int(padded[0]), int(padded[1]), int(padded[2])), int(padded[3])


def _affine(header: nibabel.Nifti1Header, shape: tuple[int, int, int]) -> tuple[NDArray[np.float64], dict[str, str]]:
    forms = [form for form in (header.get_sform(coded=True)[0], header.get_qform(coded=True)[0]) if form is not None]
    if not forms:
        raise refused(Reason.NO_GEOMETRY, "neither sform nor qform is set: nothing tells where the voxels lie")
    unit = header.get_xyzt_units()[0]
    scale = np.diag([*[_MM_PER_UNIT[unit]] * 3, 1.0])
    grids = [Geometry(shape, scale @ form) for form in forms]
    apart = float(np.linalg.norm(grids[0].corners - grids[-1].corners, axis=1).max())
    if apart > CORNER_TOLERANCE_MM:
        raise refused(Reason.NO_GEOMETRY, f"sform and qform disagree by {apart:.2f} mm: nothing tells which is right")
    return grids[0].affine, {"length unit": "not stated, taken as mm" if unit == "unknown" else str(unit)}
