"""NRRD, one file (.nrrd, .seg.nrrd): pynrrd reads, the space is checked here.

``space directions`` and ``space origin`` are given in the file's own ``space``; three of these are read.
"""

import re
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Reason
from pipeline.studies.geometry import Geometry, lps_to_ras
from pipeline.studies.readers.base import (
    CAP_BYTES,
    ImageFile,
    MaskFile,
    carry,
    check_size,
    first_bytes,
    inflates_within,
    label_map,
    refused,
    volume_of,
)

__all__ = ["accepts", "read", "read_mask"]

_TO_LPS = {"left-posterior-superior": (1, 1, 1), "right-anterior-superior": (-1, -1, 1),
           "left-anterior-superior": (1, -1, 1)}  # fmt: skip
_SHORT = {"lps": "left-posterior-superior", "ras": "right-anterior-superior", "las": "left-anterior-superior"}
_SPATIAL = {"domain", "space"}
_GZIP = 31  # zlib's window bits for a gzip stream
_WIDEST = 8  # bytes a voxel of NRRD's widest type
_FLOAT = 4  # and of the image as it travels


def accepts(path: Path) -> bool:
    """Tell by the magic bytes whether the file is NRRD."""
    return re.match(rb"NRRD000[1-5]\r?\n", first_bytes(path, 10)) is not None


def read(path: Path) -> ImageFile:
    """Read an image: array (i, j, k) as stored, the first axis fastest.

    Raises:
        StudyError: without anatomical space, with axes that are not spatial, with its voxels in another file.
    """
    values, geometry, _ = _load(path)
    return ImageFile(volume_of(values, geometry))


def read_mask(path: Path, image: ImageFile, label: str | None) -> MaskFile:
    """Read a binary label map, or the segment named ``label`` of a .seg.nrrd, onto the image's grid."""
    values, geometry, header = _load(path)
    segments = _segments(header)
    if len(segments) > 1:
        wanted = [value for name, value in segments if label is not None and name.lower() == label.lower()]
        if not wanted and values.any():
            message = f"none of the mask's {len(segments)} segments bears the wanted label"
            raise refused(Reason.MASK_MISSING_LABEL, message, excluded=True)
        marked = np.isin(values, wanted)
    else:
        marked = label_map(values)
    return MaskFile(carry(marked, geometry, image.volume.geometry))


def _segments(header: dict[str, Any]) -> list[tuple[str, int]]:
    """Return names and values of a .seg.nrrd's segments; empty for a plain label map."""
    keys = [key for key in header if re.fullmatch(r"Segment\d+_LabelValue", key)]
    return [(str(header.get(key.replace("_LabelValue", "_Name"), "")).strip(), int(header[key])) for key in keys]


def _load(path: Path) -> tuple[NDArray[np.generic], Geometry, dict[str, Any]]:
    with path.open("rb") as file:
        header: dict[str, Any] = nrrd.read_header(file)
        _check_layout(header)
        voxels = int(np.prod([int(axis) for axis in header["sizes"]], dtype=object))
        check_size(voxels * _FLOAT)
        if header["encoding"] in ("gzip", "gz"):
            start = file.tell()
            if not inflates_within(file, min(voxels * _WIDEST, CAP_BYTES), _GZIP):
                raise refused(Reason.NOT_READABLE, "the voxels are far more than the header announces")
            file.seek(start)
        geometry = _geometry(header)
        values: NDArray[np.generic] = nrrd.read_data(header, file, str(path), index_order="F")
    return values, geometry, header


def _check_layout(header: dict[str, Any]) -> None:
    if "data file" in header or "datafile" in header:
        message = "the voxels lie in another file than the NRRD header; store both in one file"
        raise refused(Reason.UNSUPPORTED_FORMAT, message)
    if header["encoding"] not in ("raw", "gzip", "gz"):
        raise refused(Reason.UNSUPPORTED_FORMAT, "the voxels are neither raw nor gzip; store them as one of these")
    kinds = set(header.get("kinds", ())) - _SPATIAL
    if header["dimension"] != 3 or kinds:
        message = f"the file has {header['dimension']} axes, {len(kinds)} kinds not spatial; one 3D volume is read"
        raise refused(Reason.UNSUPPORTED_FORMAT, message)


def _geometry(header: dict[str, Any]) -> Geometry:
    space = str(header.get("space", "")).lower()
    signs = _TO_LPS.get(_SHORT.get(space, space))
    directions, origin = header.get("space directions"), header.get("space origin")
    if signs is None or directions is None or origin is None:
        message = "the file states no anatomical space with directions and origin: nothing tells where it lies"
        raise refused(Reason.NO_GEOMETRY, message)
    if {str(unit).strip('"').lower() for unit in header.get("space units", ())} - {"mm", ""}:
        raise refused(Reason.NO_GEOMETRY, "the file's space units are not mm")
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(directions, dtype=np.float64).T  # one row a voxel axis in the file
    affine[:3, 3] = np.asarray(origin, dtype=np.float64)
    return Geometry(tuple(header["sizes"]), lps_to_ras(np.diag([*signs, 1.0]) @ affine))
