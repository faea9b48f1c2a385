"""FreeSurfer's MGH and MGZ (gzip): nibabel reads the header, we check what it says against the file.

Behind the voxels lie the scanner's parameters and FreeSurfer's own tags: a file may be longer than its voxels.
"""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nibabel.freesurfer.mghformat import MGHError, MGHHeader
from numpy.typing import NDArray

from pipeline.errors import Reason
from pipeline.studies.geometry import Geometry
from pipeline.studies.readers.shared.base import (
    AS_STORED,
    GZIP_MAGIC,
    ImageFile,
    MaskFile,
    MaskRequest,
    ReadOptions,
    check_size,
    chosen,
    first_bytes,
    inflated,
    is_gzip,
    on_grid,
    refused,
    volume_of,
)
from pipeline.studies.readers.shared.reader_facts import ImageNotes, MaskNotes, ReaderFacts
from pipeline.studies.readers.shared.sidecars import where_meant

__all__ = ["FACTS", "accepts", "check_header", "read", "read_mask"]

FACTS = ReaderFacts(
    title="FreeSurfer MGH, MGZ",
    kind="mgh",
    reads="both",
    endings=(".mgz", ".mgh"),
    magic=((0, b"\0\0\0\1"),),  # the version, big endian: there has been one
    told_by_name=True,
    image=ImageNotes("i, j, k as stored", "as stored", "`Mdc`, `delta` and the centre, where `goodRASFlag` is set"),
    mask=MaskNotes("volumes", "as NIfTI", "not 0, or the value"),
)

_VOXELS_AT = 284
_HEADER = 90  # bytes that are used; zeros follow
_GOOD_RAS = slice(28, 30)  # nibabel sets the flag where it is not set, and invents directions
_MOST_BEHIND = 64 * 1024**2  # bytes of FreeSurfer's tags, which hold transforms and command lines
_TYPES = {0: "u1", 1: ">i4", 3: ">f4", 4: ">i2"}
_UNIT_TOLERANCE = 1e-3


@dataclass(frozen=True)
class MghFile:
    """What a header says: shape, volumes along the fourth axis, type and grid."""

    shape: tuple[int, int, int]
    volumes: int
    dtype: np.dtype[np.generic]
    geometry: Geometry

    @property
    def size(self) -> int:
        """The bytes up to the voxels' end, inflated."""
        return _VOXELS_AT + int(np.prod([*self.shape, self.volumes], dtype=object)) * self.dtype.itemsize


def accepts(path: Path) -> bool:
    """Tell by the version at its beginning whether the file is MGH, also in gzip."""
    return FACTS.begins(first_bytes(path, 4))


def check_header(head: bytes, size: int) -> None:
    """Refuse a file by its beginning and its size, without decoding it.

    Raises:
        StudyError: as ``_parsed``; SEVERAL_VOLUMES or TRUNCATED.
    """
    packed = head.startswith(GZIP_MAGIC)
    header = _parsed(inflated(head, _VOXELS_AT) if packed else head)
    chosen(header.volumes, AS_STORED, "volumes")
    if not packed and size < header.size:
        raise refused(Reason.TRUNCATED, f"the file holds {size} bytes of the {header.size} its header announces")


def read(path: Path, options: ReadOptions) -> ImageFile:
    """Read an image: array (i, j, k) as stored; of four axes, the chosen volume.

    Raises:
        StudyError: SEVERAL_VOLUMES of which none is chosen; as ``_parsed``; TRUNCATED.
    """
    values, header = _load(path)
    volume, choice = chosen(header.volumes, options, "volumes")
    return ImageFile(volume_of(values[..., volume], header.geometry), choice)


def read_mask(path: Path, image: ImageFile, wanted: MaskRequest) -> MaskFile:
    """Read a label map onto the image's grid: a binary one, or of several labels with the value that is meant."""
    values, header = _load(path)
    chosen(header.volumes, AS_STORED, "volumes")
    marked, facts = where_meant(values[..., 0], path, wanted)
    on_image, resampled = on_grid(marked, header.geometry, image.volume.geometry, wanted)
    return MaskFile(on_image, facts | resampled)


def _parsed(start: bytes) -> MghFile:
    """Return what the first bytes of a file (inflated) say.

    Raises:
        StudyError: TRUNCATED, NOT_READABLE; NO_GEOMETRY where the header states no directions.
    """
    if len(start) < _VOXELS_AT:
        raise refused(Reason.TRUNCATED, f"the file holds {len(start)} bytes of a header of {_VOXELS_AT}")
    try:
        header = MGHHeader(start[:_HEADER], check=False)
        dims, code = [int(size) for size in header["dims"]], int(header["type"])
    except (MGHError, ValueError, KeyError):
        dims, code = [0], -1
    if min(dims) < 1 or code not in _TYPES:
        message = "the header states no sizes above 0, or a type that FreeSurfer does not write"
        raise refused(Reason.NOT_READABLE, message)
    dtype = np.dtype(_TYPES[code])
    check_size(int(np.prod(dims, dtype=object)) * dtype.itemsize)
    if int.from_bytes(start[_GOOD_RAS], signed=True) <= 0:
        raise refused(Reason.NO_GEOMETRY, "goodRASFlag is not set: nothing tells where the voxels lie")
    return MghFile((dims[0], dims[1], dims[2]), dims[3], dtype, _geometry(header, dims[:3]))


def _geometry(header: MGHHeader, shape: list[int]) -> Geometry:
    """Return the grid; directions are unit vectors, one a row, and the centre of the volume is stated.

    Raises:
        StudyError: NO_GEOMETRY for sizes or directions that are none.
    """
    sizes, directions = np.asarray(header["delta"], np.float64), np.asarray(header["Mdc"], np.float64)
    lengths = np.linalg.norm(directions, axis=1)
    if not (np.isfinite(sizes).all() and sizes.min() > 0 and np.abs(lengths - 1).max() < _UNIT_TOLERANCE):
        message = "the header's voxel sizes are not above 0, or its directions are no unit vectors"
        raise refused(Reason.NO_GEOMETRY, message)
    return Geometry(tuple(shape), np.asarray(header.get_affine(), dtype=np.float64))


def _load(path: Path) -> tuple[NDArray[np.generic], MghFile]:
    """Return values (i, j, k, volume), the first axis fastest in the file."""
    header = _parsed(first_bytes(path, _VOXELS_AT))
    content = _content(path, header.size)
    if len(content) < header.size:
        raise refused(
            Reason.TRUNCATED, f"the file holds {len(content)} bytes of the {header.size} its header announces"
        )
    voxels = np.frombuffer(content, header.dtype, count=(header.size - _VOXELS_AT) // header.dtype.itemsize,
                           offset=_VOXELS_AT)  # fmt: skip
    return voxels.reshape((*header.shape, header.volumes), order="F"), header


def _content(path: Path, size: int) -> bytes:
    """Return the file up to its voxels' end; of gzip also the rest of the stream, so that its checksum is verified.

    Raises:
        StudyError: NOT_READABLE for a damaged stream, or one that goes on far behind the voxels.
    """
    if not is_gzip(path):
        with path.open("rb") as file:
            return file.read(size)
    try:
        with gzip.open(path) as file:
            content: bytes = file.read(size)
            behind = len(file.read(_MOST_BEHIND + 1))
    except (gzip.BadGzipFile, zlib.error):
        content, behind = b"", _MOST_BEHIND + 1
    except EOFError:
        content, behind = b"", 0
    if behind > _MOST_BEHIND:
        message = "the gzip stream is damaged, or holds far more than the voxels that its header announces"
        raise refused(Reason.NOT_READABLE, message)
    return content
