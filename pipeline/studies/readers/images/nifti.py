"""NIfTI-1 and -2, one file (.nii, .nii.gz) or a pair (.hdr with its .img, also gzip).

nibabel reads the voxels, where they lie is told by ``nifti_forms``.
A header that contradicts itself or the file's length is refused: a wrong offset shifts every voxel.
"""

import gzip
import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import nibabel
import numpy as np
from isal import isal_zlib
from nibabel.arrayproxy import ArrayProxy
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from pipeline.errors import Reason
from pipeline.studies.geometry import Geometry
from pipeline.studies.readers.images.nifti_forms import grid_of
from pipeline.studies.readers.regions.plain_numbers import plain_number
from pipeline.studies.readers.shared.base import (
    AS_STORED,
    GZIP,
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
from pipeline.studies.readers.shared.detached import VoxelFiles, joined
from pipeline.studies.readers.shared.reader_facts import ImageNotes, MaskNotes, ReaderFacts
from pipeline.studies.readers.shared.sidecars import where_meant

__all__ = [
    "FACTS",
    "HEADER_BYTES",
    "NiftiFile",
    "accepts",
    "b_value_file",
    "detached",
    "parsed_header",
    "read",
    "read_mask",
]

FACTS = ReaderFacts(
    title="NIfTI-1 and -2, one file or a pair, also gzip",
    kind="nifti",
    reads="both",
    endings=(".nii.gz", ".nii", ".hdr.gz", ".hdr"),
    header_endings=(".hdr.gz", ".hdr"),
    magic=((344, b"n+1\0"), (344, b"ni1\0"), (4, b"n+2\0"), (4, b"ni2\0")),
    told_by_name=True,
    image=ImageNotes(
        "i, j, k as stored",
        "after slope and intercept",
        "sform and qform, which may not disagree by more than 0.05 mm; a quaternion up to a thousandth longer than 1 "
        "and a `qfac` of 0 are read with a fact",
    ),
    mask=MaskNotes("volumes", "a stated value, a sidecar, or binary", "not 0, or the value"),
)

HEADER_BYTES = 544
"""As many bytes as the longer of the two headers has, with what tells of extensions."""

_LOWEST_OFFSET = {348: 352, 540: 544}  # by the header's size
_HEADER, _VOXELS = ("hdr", "HDR"), ("img", "IMG")  # how the two files of a pair end
_MOST_AXES = 7
_MOST_OVERHEAD = 1024**2  # bytes by which a gzip stream may exceed what it holds
_MOST_WEIGHTS = 1024**2  # bytes of a file of b-values


@dataclass(frozen=True)
class NiftiFile:
    """What a header says: shape (with volumes as a fourth axis), type, place of the voxels, scale, grid and facts."""

    shape: tuple[int, int, int]
    volumes: int
    dtype: np.dtype[np.generic]
    offset: int
    scale: tuple[float, float]
    geometry: Geometry
    facts: dict[str, str]
    is_pair: bool = False

    @property
    def size(self) -> int:
        """The bytes of the file that holds the voxels, inflated."""
        return self.offset + int(np.prod([*self.shape, self.volumes], dtype=object)) * self.dtype.itemsize


def accepts(path: Path) -> bool:
    """Tell by the magic bytes whether the file is NIfTI, or the header of a pair."""
    return FACTS.begins(first_bytes(path, 348))


def check_header(head: bytes, size: int) -> tuple[int, ...]:
    """Return the shape that a file's beginning tells; refuse it by that and its size, without decoding it.

    Raises:
        StudyError: as ``parsed_header``; SEVERAL_VOLUMES, TRUNCATED or NOT_READABLE.
    """
    packed = head.startswith(GZIP_MAGIC)
    header = parsed_header(inflated(head, HEADER_BYTES) if packed else head)
    chosen(header.volumes, AS_STORED, "volumes")
    if not packed and not header.is_pair and header.size != size:
        reason = Reason.TRUNCATED if size < header.size else Reason.NOT_READABLE
        raise refused(reason, f"the file holds {size} bytes of the {header.size} its header announces")
    return header.shape


def detached(head: bytes, name: str) -> VoxelFiles | None:
    """Return the file that holds a pair's voxels, named as its header is; None for one file.

    Raises:
        StudyError: as ``parsed_header``; UNSUPPORTED_FORMAT for a header of a pair that is not named as one.
    """
    packed = head.startswith(GZIP_MAGIC)
    header = parsed_header(inflated(head, HEADER_BYTES) if packed else head)
    if not header.is_pair:
        return None
    stem, dot, ending = (name[:-3] if name.lower().endswith(".gz") else name).rpartition(".")
    if not dot or ending not in _HEADER:
        message = "the file is the header of a NIfTI pair, and is not called .hdr: nothing names its voxels' file"
        raise refused(Reason.UNSUPPORTED_FORMAT, message)
    own = f"{stem}.{_VOXELS[_HEADER.index(ending)]}"
    return VoxelFiles((f"{own}{name[-3:]}",), None) if name.lower().endswith(".gz") else VoxelFiles((own,), header.size)


def read(path: Path, options: ReadOptions) -> ImageFile:
    """Read an image: array (i, j, k) as stored, scaled by its slope and intercept; of four axes, the chosen volume.

    Raises:
        StudyError: SEVERAL_VOLUMES of which none is chosen; without geometry, with a contradictory one, colour, or
            another number of bytes than the header announces.
    """
    values, geometry, header = _load(path, options)
    return ImageFile(volume_of(values, geometry), header)


def read_mask(path: Path, image: ImageFile, wanted: MaskRequest) -> MaskFile:
    """Read a label map onto the image's grid: a binary one, or of several labels with the value that is meant."""
    values, geometry, _ = _load(path)
    marked, facts = where_meant(values, path, wanted)
    placed, resampled = on_grid(marked, geometry, image.volume.geometry, wanted)
    return MaskFile(placed, facts | resampled)


def parsed_header(start: bytes) -> NiftiFile:
    """Return what the first bytes of a file (inflated) say.

    Raises:
        StudyError: for whatever in a header keeps the file from being read.
    """
    is_pair = start[344:347] == b"ni1" or start[4:7] == b"ni2"
    kind = nibabel.Nifti2Header if start[4:7] in (b"n+2", b"ni2") else nibabel.Nifti1Header
    length = kind.template_dtype.itemsize
    if len(start) < length:
        raise refused(Reason.TRUNCATED, f"the file holds {len(start)} bytes of a header of {length}")
    header = kind(start[:length], check=False)
    shape, volumes = _axes(header)
    dtype = _type(header)
    check_size(int(np.prod([*shape, volumes], dtype=object)) * dtype.itemsize)
    grid, facts = grid_of(header, shape)
    offset = _offset(header, 0 if is_pair else _LOWEST_OFFSET[length])
    return NiftiFile(shape, volumes, dtype, offset, _scale(header), grid, facts, is_pair)


def _axes(header: nibabel.Nifti1Header) -> tuple[tuple[int, int, int], int]:
    """Return the spatial axes, with one slice when there are two, and the number of volumes along the fourth."""
    dim = [int(size) for size in header["dim"]]
    if not 1 <= dim[0] <= _MOST_AXES or min(dim[1 : dim[0] + 1]) < 1:
        raise refused(Reason.NOT_READABLE, f"dim states {dim[0]} axes of {dim[1:]} voxels: that is no array")
    shape = dim[1 : dim[0] + 1]
    padded = (*shape, 1, 1, 1)[: max(4, len(shape))]
    if len(shape) < 2 or any(size != 1 for size in padded[4:]):
        raise refused(Reason.UNSUPPORTED_FORMAT, f"the file has shape {tuple(shape)}; one 3D volume is read")
    return (padded[0], padded[1], padded[2]), padded[3]


def _type(header: nibabel.Nifti1Header) -> np.dtype[np.generic]:
    try:
        dtype: np.dtype[np.generic] | None = header.get_data_dtype()
    except (HeaderDataError, KeyError):
        dtype = None
    if dtype is None or not dtype.itemsize:
        raise refused(Reason.NOT_READABLE, f"datatype {int(header['datatype'])} is no type of NIfTI's that is read")
    if dtype.fields:
        raise refused(Reason.NOT_A_SINGLE_CHANNEL, "the file holds colours, not one value a voxel")
    if dtype.kind == "c":
        raise refused(Reason.NOT_A_SINGLE_CHANNEL, "the file holds complex numbers, not one value a voxel")
    if int(header["bitpix"]) != 8 * dtype.itemsize:
        message = (
            f"bitpix is {int(header['bitpix'])}, and datatype {int(header['datatype'])} takes {8 * dtype.itemsize}"
        )
        raise refused(Reason.NOT_READABLE, f"{message} bits: nothing tells which is right")
    return dtype


def _offset(header: nibabel.Nifti1Header, lowest: int) -> int:
    """Return where the voxels begin; in one file they cannot before the header's end."""
    offset = float(header["vox_offset"])
    if not np.isfinite(offset) or not offset.is_integer() or offset < lowest:
        message = f"vox_offset is {offset:g}: the voxels begin at {lowest} or later"
        raise refused(Reason.NOT_READABLE, message)
    return int(offset)


def _scale(header: nibabel.Nifti1Header) -> tuple[float, float]:
    """Return slope and intercept; a slope of 0, or none that is a number, says that there is no scale."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or not np.isfinite(slope):
        return 1.0, 0.0
    if not np.isfinite(intercept):
        raise refused(Reason.NOT_READABLE, f"scl_inter is {intercept:g} beside a scl_slope of {slope:g}")
    return slope, intercept


def _load(path: Path, options: ReadOptions = AS_STORED) -> tuple[NDArray[np.generic], Geometry, dict[str, str]]:
    file = parsed_header(first_bytes(path, HEADER_BYTES))
    by_weight = options.choice is not None and options.choice.b_value is not None and file.volumes > 1
    volume, choice = chosen(file.volumes, options, "volumes", _b_values(path, file.volumes) if by_weight else None)
    content = (
        _content_of_pair(path, file) if file.is_pair else _content(lambda: path.open("rb"), is_gzip(path), file.size)
    )
    shape = (*file.shape, file.volumes) if file.volumes > 1 else file.shape
    data = ArrayProxy(io.BytesIO(content), (shape, file.dtype, file.offset, *file.scale), mmap=False)
    values = np.asanyarray(data[:, :, :, volume] if file.volumes > 1 else data)
    return values, file.geometry, file.facts | choice


def b_value_file(path: Path) -> Path | None:
    """Return the file of b-values (.bval, as FSL and BIDS have it) beside an image; None for none, or for a link."""
    if not FACTS.bears(path):
        return None
    image = path.resolve()
    ending = next((ending for ending in FACTS.endings if image.name.lower().endswith(ending)), "")
    weights = image.with_name(f"{image.name[: len(image.name) - len(ending)]}.bval")
    return weights if weights.is_file() and not weights.is_symlink() else None


def _b_values(path: Path, volumes: int) -> list[float] | None:
    """Return the b-value of each volume (s/mm2); None without a file of them.

    Raises:
        StudyError: NOT_READABLE when the file does not hold a number for each volume.
    """
    file = b_value_file(path)
    if file is None:
        return None
    text = file.read_text(encoding="utf-8-sig") if file.stat().st_size <= _MOST_WEIGHTS else ""
    weights = [plain_number(part, "a b-value beside the image") for part in text.split()]
    if len(weights) != volumes:
        message = f"the file of b-values beside the image holds {len(weights)} numbers for {volumes} volumes"
        raise refused(Reason.NOT_READABLE, message)
    return weights


def _content_of_pair(path: Path, file: NiftiFile) -> bytes:
    parts = detached(first_bytes(path, HEADER_BYTES), path.resolve().name)
    content = joined(path, parts) if parts else b""
    return _content(lambda: io.BytesIO(content), content.startswith(GZIP_MAGIC), file.size)


def _content(opened: Callable[[], BinaryIO], packed: bool, size: int) -> bytes:
    """Return the whole file, inflated to its end so that gzip's checksum is verified; it has just this size.

    Raises:
        StudyError: TRUNCATED, or NOT_READABLE for a file longer than announced or a damaged gzip stream.
    """
    content = _single_member(opened, size) if packed else b""
    if content:
        return content
    try:
        with opened() as file:
            content = gzip.GzipFile(fileobj=file).read(size + 1) if packed else file.read(size + 1)
    except (gzip.BadGzipFile, zlib.error):
        content = b""
    if not content:
        raise refused(Reason.NOT_READABLE, "the gzip stream is damaged: its checksum or its blocks are wrong")
    if len(content) < size:
        raise refused(Reason.TRUNCATED, f"the file holds {len(content)} bytes of the {size} its header announces")
    if len(content) > size:
        message = f"the file is longer than the {size} bytes its header announces: dim or vox_offset may be wrong"
        raise refused(Reason.NOT_READABLE, message)
    return content


def _single_member(opened: Callable[[], BinaryIO], size: int) -> bytes:
    """Return what a gzip stream of one member holds where that is ``size`` bytes and its checksum is right, at once.

    Empty for every other stream: several members, padding, damage, another size. Python's own reader, which knows them
    all, takes five times as long.
    """
    with opened() as file:
        packed = file.read(size + _MOST_OVERHEAD)
        if file.read(1):
            return b""
    inflator = isal_zlib.decompressobj(GZIP)
    try:
        content = inflator.decompress(packed, size + 1)
    except isal_zlib.error:  # type: ignore[misc]  # its stub takes the class for an instance
        return b""
    return content if inflator.eof and not inflator.unused_data and len(content) == size else b""
