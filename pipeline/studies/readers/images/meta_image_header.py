"""The header of a MetaImage file (.mha, .mhd): "Key = Value" lines, of which ElementDataFile is the last.

Read is what the format's document names. A field that stands twice, or that two names state differently, is refused:
writers and readers disagree on which counts. Whatever follows from a header follows from ``parsed_meta_header`` alone,
for the scan and for the reader.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from pipeline.errors import Reason
from pipeline.studies.geometry import Affine, lps_to_ras
from pipeline.studies.readers.shared.base import GZIP_MAGIC, check_size, refused
from pipeline.studies.readers.shared.detached import VoxelFiles, check_name
from pipeline.studies.readers.shared.labels import check_distinct

__all__ = ["HEADER_CAP", "MetaHeader", "parsed_meta_header"]

HEADER_CAP = 64 * 1024
"""Bytes: a header is a few hundred, one that lists a file a slice some ten thousand."""

_LAST_KEY = "ElementDataFile"
_LOCAL, _LIST = ("local", "localdata"), "list"
_ALIASES = {
    "Rotation": "TransformMatrix", "Orientation": "TransformMatrix", "Position": "Offset", "Origin": "Offset",
    "ElementByteOrderMSB": "BinaryDataByteOrderMSB",
}  # fmt: skip
_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}  # fmt: skip
_TRUE, _FALSE = ("true", "t", "1"), ("false", "f", "0")
_AXES = (2, 3, 4)
_UNIT_TOLERANCE = 1e-3
_MILLIMETRES = ("mm", "millimeter", "millimeters", "", "?", "unknown")

Fields = Mapping[str, str]


@dataclass(frozen=True)
class MetaHeader:
    """What a header says: axes (volumes as a fourth), type, place of the voxels' bytes, grid, facts.

    ``begins``: the byte at which the voxels begin, in this file or, where ``detached`` names others, in those; None
    when they fill a file's end. ``packed``: they are a zlib stream. ``affine`` maps voxels to RAS+ mm; None for a
    picture of two axes, whose ``spacing`` (x, y) is in mm, or None where the file tells none.
    """

    shape: tuple[int, ...]
    volumes: int
    dtype: np.dtype[np.generic]
    begins: int | None
    packed: bool
    packed_size: int | None
    detached: VoxelFiles | None
    affine: Affine | None
    spacing: tuple[float, ...] | None
    facts: Mapping[str, str]

    @property
    def bytes_(self) -> int:
        """The bytes of all voxels, inflated."""
        return prod((*self.shape, self.volumes)) * self.dtype.itemsize


def parsed_meta_header(head: bytes) -> MetaHeader:
    """Return what the beginning of a file says.

    Raises:
        StudyError: for whatever in the header keeps the file from being read.
    """
    if head.startswith(GZIP_MAGIC):
        message = "the MetaImage file is packed with gzip as a whole; the format has a compression of its own"
        raise refused(Reason.UNSUPPORTED_FORMAT, message)
    fields, listed, end = _fields(head)
    _check_fields(fields)
    sizes = [int(size) for size in _numbers(fields, "DimSize", _axes(fields), whole=True)]
    dtype = _dtype(fields)
    shape, volumes = tuple(sizes[:3]), prod(sizes[3:])
    check_size(prod(sizes) * dtype.itemsize)
    affine, spacing, facts = _place(fields, len(shape), len(sizes))
    packed = _flag(fields, "CompressedData")
    packed_size = (
        int(_numbers(fields, "CompressedDataSize", 1, whole=True)[0]) if _packed_size(fields, packed) else None
    )
    local = fields[_LAST_KEY].lower() in _LOCAL
    begins = _header_size(fields, end, local=local)
    detached = None if local else _detached(fields, listed, (sizes, dtype.itemsize), packed_size if packed else begins)
    if detached is not None and packed and (len(detached.names) > 1 or begins != 0):
        raise refused(Reason.UNSUPPORTED_FORMAT, "compressed voxels are read from one file that holds nothing else")
    return MetaHeader(shape, volumes, dtype, begins, packed, packed_size, detached, affine, spacing, facts)


def _fields(head: bytes) -> tuple[dict[str, str], list[str], int]:
    """Return the fields by their names, the files that are listed behind them, and where the header ends."""
    pairs: list[tuple[str, str]] = []
    at = 0
    while not pairs or pairs[-1][0] != _LAST_KEY:
        end = head.find(b"\n", at, HEADER_CAP)
        if end < 0:
            reason = Reason.TOO_LARGE if len(head) >= HEADER_CAP else Reason.TRUNCATED
            raise refused(reason, f"the MetaImage header does not reach {_LAST_KEY} within its first 64 KiB")
        line, at = head[at:end].decode("latin-1").strip(), end + 1
        name, equals, value = line.partition("=")
        if not equals and line:
            raise refused(Reason.NOT_READABLE, "a line of the MetaImage header is not Key = Value")
        if line:
            pairs.append((name.strip(), value.strip()))
    names = [_ALIASES.get(name, name) for name, _ in pairs]
    check_distinct(names, "the MetaImage header's fields")
    fields = dict(zip(names, (value for _, value in pairs), strict=True))
    is_list = fields[_LAST_KEY].lower().split()[:1] == [_LIST]
    return fields, head[at:].decode("latin-1").splitlines() if is_list else [], at


def _check_fields(fields: Fields) -> None:
    if fields.get("ObjectType", "Image").lower() != "image":
        raise refused(Reason.NOT_AN_IMAGE, "the MetaImage file holds another object than an image")
    if "BinaryData" in fields and not _flag(fields, "BinaryData"):
        raise refused(Reason.UNSUPPORTED_FORMAT, "the voxels are stored as text, which is not read")
    channels = int(_numbers(fields, "ElementNumberOfChannels", 1, whole=True)[0]) if _CHANNELS in fields else 1
    if channels != 1:
        raise refused(Reason.NOT_A_SINGLE_CHANNEL, f"the file holds {channels} values a voxel; one is read")
    if fields.get("DistanceUnits", "").lower() not in _MILLIMETRES:
        raise refused(Reason.NO_GEOMETRY, "the file's DistanceUnits are not mm")


_CHANNELS = "ElementNumberOfChannels"


def _axes(fields: Fields) -> int:
    axes = int(_numbers(fields, "NDims", 1, whole=True)[0])
    if axes not in _AXES:
        raise refused(Reason.UNSUPPORTED_FORMAT, f"NDims is {axes}; pictures, volumes and several volumes are read")
    return axes


def _dtype(fields: Fields) -> np.dtype[np.generic]:
    stated = fields.get("ElementType", "")
    if stated not in _TYPES:
        raise refused(Reason.UNSUPPORTED_FORMAT, "ElementType is none of the types of one number a voxel that are read")
    dtype = np.dtype(_TYPES[stated])
    return dtype.newbyteorder(">" if _flag(fields, "BinaryDataByteOrderMSB") else "<")


def _flag(fields: Fields, name: str) -> bool:
    """Return whether a field says True; False where it does not stand, as in the format's document."""
    said = fields.get(name, "False").lower()
    if said not in (*_TRUE, *_FALSE):
        raise refused(Reason.NOT_READABLE, f"{name} is neither True nor False")
    return said in _TRUE


def _numbers(fields: Fields, name: str, count: int, *, whole: bool = False) -> list[float]:
    """Return ``count`` finite numbers of a field; with ``whole``, positive whole ones."""
    if name not in fields:
        raise refused(Reason.NOT_READABLE, f"the MetaImage header states no {name}")
    try:
        values = [float(part) for part in fields[name].split()]
    except ValueError:
        values = []
    if len(values) != count or not np.isfinite(values).all():
        raise refused(Reason.NOT_READABLE, f"{name} does not hold {count} finite numbers")
    if whole and not all(value.is_integer() and value > 0 for value in values):
        raise refused(Reason.NOT_READABLE, f"{name} does not hold {count} whole numbers above 0")
    return values


def _packed_size(fields: Fields, packed: bool) -> bool:
    """Tell whether the size of the packed voxels is stated; writers also put 0 or -1 where they do not know it."""
    return packed and fields.get("CompressedDataSize", "0") not in ("0", "-1", "")


def _header_size(fields: Fields, end: int, *, local: bool) -> int | None:
    """Return the byte at which the voxels begin; None for -1, which says that they are a file's last bytes."""
    stated = fields.get("HeaderSize", "0")
    if local:
        if stated not in ("0", "-1"):
            raise refused(Reason.NOT_READABLE, "HeaderSize is stated beside voxels that begin behind the header")
        return end
    if stated == "-1":
        return None
    return 0 if stated == "0" else int(_numbers(fields, "HeaderSize", 1, whole=True)[0])


def _detached(fields: Fields, listed: Sequence[str], of: tuple[Sequence[int], int], known: int | None) -> VoxelFiles:
    """Return the files that hold the voxels; ``known``: where these begin, or the size of the packed file."""
    sizes, itemsize = of
    packed = _flag(fields, "CompressedData")
    if fields[_LAST_KEY].lower().split()[:1] != [_LIST]:
        check_name(fields[_LAST_KEY])
        size = known if packed or known is None else known + prod(sizes) * itemsize
        return VoxelFiles((fields[_LAST_KEY],), size)
    names = tuple(name.strip() for name in listed if name.strip())
    if len(fields[_LAST_KEY].split()) > 1 or len(sizes) != 3 or packed or known != 0:
        message = "a list of voxels' files is read for a volume of three axes, a plain file for each slice"
        raise refused(Reason.UNSUPPORTED_FORMAT, message)
    if len(names) != sizes[-1]:
        raise refused(Reason.NOT_READABLE, f"{len(names)} files are listed for {sizes[-1]} slices")
    check_distinct(names, "the list of the voxels' files")
    for name in names:
        check_name(name)
    return VoxelFiles(names, prod(sizes[:-1]) * itemsize)


def _place(fields: Fields, spatial: int, axes: int) -> tuple[Affine | None, tuple[float, ...] | None, dict[str, str]]:
    """Return the affine (RAS+ mm) of a volume or the spacing of a picture, and what was taken for granted.

    A row of TransformMatrix is the direction (LPS+) in which one axis runs; times are an axis of its own.
    """
    stated = "ElementSpacing" if "ElementSpacing" in fields else "ElementSize"
    if stated not in fields:
        if spatial == 2:
            return None, None, {}
        raise refused(Reason.NO_GEOMETRY, "the header states no ElementSpacing: nothing tells how large a voxel is")
    spacing = _numbers(fields, stated, axes)[:spatial]
    if min(spacing) <= 0:
        raise refused(Reason.NO_GEOMETRY, f"{stated} is not above 0")
    if spatial == 2:
        return None, tuple(spacing), {}
    facts = {
        name: "not stated, the format's default taken" for name in ("TransformMatrix", "Offset") if name not in fields
    }
    turn = np.eye(axes)
    if "TransformMatrix" in fields:
        turn = np.array(_numbers(fields, "TransformMatrix", axes * axes)).reshape(axes, axes)
    directions = turn[:3, :3]
    if (np.abs(np.linalg.norm(directions, axis=1) - 1) > _UNIT_TOLERANCE).any() or turn[3:, :3].any():
        raise refused(Reason.NO_GEOMETRY, "the rows of TransformMatrix are no unit vectors in space")
    affine = np.eye(4)
    affine[:3, :3] = directions.T * spacing
    affine[:3, 3] = _numbers(fields, "Offset", axes)[:3] if "Offset" in fields else 0.0
    return lps_to_ras(affine), tuple(spacing), facts
