"""NRRD, one file (.nrrd, .seg.nrrd): pynrrd reads, the space is checked here.

``space directions`` and ``space origin`` are given in the file's own ``space``; three of these are read.
"""

import io
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Reason
from pipeline.studies.geometry import Geometry, lps_to_ras
from pipeline.studies.readers.masks.slicer_segments import placed, segments_of, union
from pipeline.studies.readers.shared.base import (
    CAP_BYTES,
    GZIP,
    ImageFile,
    MaskFile,
    MaskRequest,
    ReadOptions,
    check_size,
    chosen,
    first_bytes,
    inflates_within,
    on_grid,
    refused,
    volume_of,
)
from pipeline.studies.readers.shared.reader_facts import ImageNotes, MaskNotes, ReaderFacts
from pipeline.studies.readers.shared.sidecars import where_meant

__all__ = ["FACTS", "accepts", "read", "read_mask"]

FACTS = ReaderFacts(
    title="NRRD, one file, raw or gzip",
    kind="nrrd",
    reads="both",
    endings=(".nrrd",),
    mask_endings=(".seg.nrrd",),
    magic=tuple((0, b"NRRD000%d" % version) for version in range(1, 6)),
    told_by_name=True,
    image=ImageNotes("i, j, k as stored", "as stored", "space directions and origin in LPS, RAS or LAS"),
    mask=MaskNotes(
        "volumes",
        "segment name (.seg.nrrd, also in layers), or as NIfTI",
        "its label value in its layer; else not 0, or the value",
    ),
)

_TO_LPS = {"left-posterior-superior": (1, 1, 1), "right-anterior-superior": (-1, -1, 1),
           "left-anterior-superior": (1, -1, 1)}  # fmt: skip
_SHORT = {"lps": "left-posterior-superior", "ras": "right-anterior-superior", "las": "left-anterior-superior"}
_SPATIAL = {"domain", "space"}
_VOLUMES = {"list", "time"}
_WIDEST = 8  # bytes a voxel of NRRD's widest type
_FLOAT = 4  # and of the image as it travels


def accepts(path: Path) -> bool:
    """Tell by the magic bytes whether the file is NRRD."""
    return FACTS.begins(first_bytes(path, 10))


def check_header(head: bytes, size: int) -> tuple[int, ...]:  # noqa: ARG001 - voxels are counted when inflated
    """Return the shape that a file's beginning tells, or refuse it by that, without decoding it.

    Raises:
        StudyError: for whatever in the header keeps the file from being read.
    """
    header = nrrd.read_header(io.BytesIO(head))
    check_layout(header)
    return geometry_of(header).shape


def read(path: Path, options: ReadOptions) -> ImageFile:
    """Read an image: array (i, j, k) as stored, the first axis fastest; of four axes, the chosen volume.

    Raises:
        StudyError: SEVERAL_VOLUMES of which none is chosen; without anatomical space, with axes that are not
            spatial, with its voxels in another file.
    """
    values, geometry, header = _load(path)
    axis = _volume_axis(header)
    if axis is None:
        return ImageFile(volume_of(values, geometry))
    volume, choice = chosen(values.shape[axis], options, "volumes")
    return ImageFile(volume_of(np.take(values, volume, axis), geometry), choice)


def read_mask(path: Path, image: ImageFile, wanted: MaskRequest) -> MaskFile:
    """Read a label map, or the segment named as wanted of a .seg.nrrd, onto the image's grid.

    Segments that overlap lie in layers along a fourth axis, as 3D Slicer writes them.
    """
    values, geometry, header = _load(path)
    axis = _volume_axis(header)
    layers = values[None] if axis is None else np.moveaxis(values, axis, 0)
    segments = segments_of(header, len(layers))
    if segments and (wanted.value is None or len(segments) > 1):
        marked, facts = union(layers, segments, wanted)
        on_image, extent = placed(marked, geometry, image.volume.geometry, header, wanted)
        return MaskFile(on_image, facts | extent)
    if len(layers) > 1:
        message = f"the mask has {len(layers)} layers, and nothing tells which is meant; one 3D volume is read"
        raise refused(Reason.UNSUPPORTED_FORMAT, message)
    marked, facts = where_meant(layers[0], path, wanted)
    on_image, resampled = on_grid(marked, geometry, image.volume.geometry, wanted)
    return MaskFile(on_image, facts | resampled)


def _load(path: Path) -> tuple[NDArray[np.generic], Geometry, dict[str, Any]]:
    with path.open("rb") as file:
        header: dict[str, Any] = nrrd.read_header(file)
        check_layout(header)
        voxels = int(np.prod([int(axis) for axis in header["sizes"]], dtype=object))
        check_size(voxels * _FLOAT)
        if header["encoding"] in ("gzip", "gz"):
            start = file.tell()
            if not inflates_within(file, min(voxels * _WIDEST, CAP_BYTES), GZIP):
                raise refused(Reason.NOT_READABLE, "the voxels are far more than the header announces")
            file.seek(start)
        geometry = geometry_of(header)
        values: NDArray[np.generic] = nrrd.read_data(header, file, str(path), index_order="F")
    return values, geometry, header


def check_layout(header: dict[str, Any]) -> None:
    """Refuse a header whose voxels are not one 3D volume in the same file.

    Raises:
        StudyError: ``unsupported_format``.
    """
    if "data file" in header or "datafile" in header:
        message = "the voxels lie in another file than the NRRD header; store both in one file"
        raise refused(Reason.UNSUPPORTED_FORMAT, message)
    if header["encoding"] not in ("raw", "gzip", "gz"):
        raise refused(Reason.UNSUPPORTED_FORMAT, "the voxels are neither raw nor gzip; store them as one of these")
    axis = _volume_axis(header)
    kinds = {kind for place, kind in enumerate(header.get("kinds", ())) if place != axis} - _SPATIAL
    if header["dimension"] != (3 if axis is None else 4) or kinds:
        message = f"the file has {header['dimension']} axes, {len(kinds)} kinds not spatial; one 3D volume is read"
        raise refused(Reason.UNSUPPORTED_FORMAT, message)


def _volume_axis(header: dict[str, Any]) -> int | None:
    """Return the axis along which several volumes lie: the fourth, which states no direction in space."""
    directions = header.get("space directions")
    if header["dimension"] != 4 or directions is None:
        return None
    aimless = np.flatnonzero(np.isnan(np.asarray(directions, dtype=np.float64)).all(axis=1))
    kinds = header.get("kinds", ["list"] * 4)
    return int(aimless[0]) if len(aimless) == 1 and kinds[aimless[0]] in _VOLUMES else None


def geometry_of(header: dict[str, Any]) -> Geometry:
    """Return where the voxels lie, in RAS+ millimetres.

    Raises:
        StudyError: ``no_geometry``, when the header does not say, or not in millimetres.
    """
    space = str(header.get("space", "")).lower()
    signs = _TO_LPS.get(_SHORT.get(space, space))
    directions, origin = header.get("space directions"), header.get("space origin")
    if signs is None or directions is None or origin is None:
        message = "the file states no anatomical space with directions and origin: nothing tells where it lies"
        raise refused(Reason.NO_GEOMETRY, message)
    if {str(unit).strip('"').lower() for unit in header.get("space units", ())} - {"mm", ""}:
        raise refused(Reason.NO_GEOMETRY, "the file's space units are not mm")
    axis = _volume_axis(header)
    spatial = [place for place in range(header["dimension"]) if place != axis]
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(directions, dtype=np.float64)[spatial].T  # one row a voxel axis in the file
    affine[:3, 3] = np.asarray(origin, dtype=np.float64)
    return Geometry(tuple(header["sizes"][place] for place in spatial), lps_to_ras(np.diag([*signs, 1.0]) @ affine))
