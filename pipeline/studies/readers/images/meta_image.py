"""MetaImage (.mha; .mhd with its voxels in files beside it), as ITK writes it: volumes, and pictures of two axes.

The header is our own reading (``meta_image_header``): a library would follow whatever path it names. Geometry and
values are held against SimpleITK by the tests.
"""

import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Reason
from pipeline.studies.geometry import Geometry
from pipeline.studies.readers.images.meta_image_header import HEADER_CAP, MetaHeader, parsed_meta_header
from pipeline.studies.readers.shared.base import (
    AS_STORED,
    ImageFile,
    MaskFile,
    MaskRequest,
    ReadOptions,
    check_size,
    chosen,
    first_bytes,
    on_grid,
    refused,
    volume_of,
)
from pipeline.studies.readers.shared.detached import VoxelFiles, joined
from pipeline.studies.readers.shared.flat import NO_SPACING, check_same_size, flat_geometry
from pipeline.studies.readers.shared.reader_facts import ImageNotes, MaskNotes, ReaderFacts
from pipeline.studies.readers.shared.sidecars import where_meant

__all__ = ["FACTS", "accepts", "check_header", "detached", "read", "read_mask"]

FACTS = ReaderFacts(
    title="MetaImage (MHA, MHD), raw or zlib",
    kind="metaimage",
    reads="both",
    endings=(".mha", ".mhd"),
    header_endings=(".mhd",),
    magic=((0, b"ObjectType"), (0, b"NDims = "), (0, b"Comment = ")),
    told_by_name=True,
    image=ImageNotes(
        "i, j, k as stored; row, column of a picture",
        "as stored",
        "`TransformMatrix`, `Offset` and `ElementSpacing` in LPS; of a picture its spacing alone",
    ),
    mask=MaskNotes("volumes, pictures", "as NIfTI", "not 0, or the value"),
)


def accepts(path: Path) -> bool:
    """Tell by the first field's name whether the file is MetaImage."""
    return FACTS.begins(first_bytes(path, 16))


def check_header(head: bytes, size: int) -> None:
    """Refuse a file by its beginning and its size, without decoding it.

    Raises:
        StudyError: for whatever in the header keeps the file from being read.
    """
    header = parsed_meta_header(head)
    chosen(header.volumes, AS_STORED, "volumes")
    _geometry(header)
    if header.detached is None and header.begins is not None:
        _check_length(header, size - header.begins)


def detached(head: bytes, name: str) -> VoxelFiles | None:  # noqa: ARG001 - the header names its files itself
    """Return the files that hold the voxels of a header; None where they lie behind it.

    Raises:
        StudyError: as ``parsed_meta_header``.
    """
    return parsed_meta_header(head).detached


def read(path: Path, options: ReadOptions) -> ImageFile:
    """Read an image: array (i, j, k) as stored, the first axis fastest; a picture as (row, column).

    Raises:
        StudyError: SEVERAL_VOLUMES of which none is chosen; NO_GEOMETRY; another number of bytes than the header
            announces; as ``joined`` for voxels in other files.
    """
    values, header = _load(path)
    volume, choice = chosen(header.volumes, options, "volumes")
    return ImageFile(volume_of(_oriented(values[..., volume]), _geometry(header)), {**_facts(header), **choice})


def read_mask(path: Path, image: ImageFile, wanted: MaskRequest) -> MaskFile:
    """Read a label map onto the image's grid; of a picture, only the size can be compared."""
    values, header = _load(path)
    chosen(header.volumes, AS_STORED, "volumes")
    marked, facts = where_meant(_oriented(values[..., 0]), path, wanted)
    if header.affine is None:
        check_same_size(marked.shape, image.volume.geometry)
        return MaskFile(marked, facts)
    on_image, resampled = on_grid(marked, _geometry(header), image.volume.geometry, wanted)
    return MaskFile(on_image, facts | resampled)


def _oriented(values: NDArray[np.generic]) -> NDArray[np.generic]:
    return values.T if values.ndim == 2 else values


def _geometry(header: MetaHeader) -> Geometry:
    if header.affine is not None:
        return Geometry(header.shape, header.affine)
    return flat_geometry(header.shape[::-1], np.array(header.spacing or (1.0, 1.0))[::-1], None, _source(header))


def _source(header: MetaHeader) -> str:
    """Return what states a picture's spacing; 1 mm both ways is what writers put where they know none."""
    return NO_SPACING if header.spacing in (None, (1.0, 1.0)) else "ElementSpacing"


def _facts(header: MetaHeader) -> Mapping[str, str]:
    return header.facts if header.affine is not None else {**header.facts, "pixel spacing": _source(header)}


def _load(path: Path) -> tuple[NDArray[np.generic], MetaHeader]:
    """Return values (i, j[, k], volume), the first axis fastest in the file."""
    with path.open("rb") as file:
        header = parsed_meta_header(file.read(HEADER_CAP))
    if header.detached is None:
        check_size(path.stat().st_size)
        content = path.read_bytes()
    elif not path.name.lower().endswith(FACTS.header_endings):
        message = f"the header's voxels lie in another file, and its name does not end in {FACTS.header_endings[0]}"
        raise refused(Reason.UNSUPPORTED_FORMAT, message)
    else:
        content = joined(path, header.detached)
    begins = len(content) - header.bytes_ if header.begins is None else header.begins
    _check_length(header, len(content) - begins)
    voxels = _inflated(header, content[begins:]) if header.packed else content[begins:]
    return np.frombuffer(voxels, header.dtype).reshape((*header.shape, header.volumes), order="F"), header


def _check_length(header: MetaHeader, left: int) -> None:
    """Refuse another number of bytes than the header announces, as far as it announces one."""
    expected = header.packed_size if header.packed else header.bytes_
    if expected is None and left > 0:
        return
    if expected is None or left < expected:
        raise refused(Reason.TRUNCATED, f"the file holds {left} bytes of voxels, fewer than its header announces")
    if left > expected:
        raise refused(Reason.NOT_READABLE, f"the file holds {left - expected} bytes more than its header announces")


def _inflated(header: MetaHeader, packed: bytes) -> bytes:
    """Return the voxels of a zlib stream that holds just as many bytes as they take; no more is ever inflated."""
    inflator = zlib.decompressobj()
    voxels = inflator.decompress(packed, header.bytes_ + 1)
    if len(voxels) < header.bytes_ or (len(voxels) == header.bytes_ and not _ends(inflator)):
        raise refused(Reason.TRUNCATED, f"the stream inflates to fewer than the {header.bytes_} bytes announced")
    if len(voxels) > header.bytes_ or inflator.unused_data:
        raise refused(Reason.NOT_READABLE, "the stream inflates to more than its header announces")
    return voxels


def _ends(inflator: "zlib._Decompress") -> bool:
    """Tell whether a stream that has given all its voxels ends there, its checksum verified."""
    return inflator.eof or (not inflator.decompress(inflator.unconsumed_tail, 1) and inflator.eof)
