"""NRRD on the image's own grid, packed; written here, since pynrrd puts the clock's time into each file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.files import gzipped, written
from pipeline.findings.exported.study import ExportedStudy
from reports.exports.volumes import VolumePart

__all__ = ["nrrd_bytes", "write_nrrd"]

_TYPES = {"float32": "float", "uint8": "uint8"}


def write_nrrd(part: VolumePart, study: ExportedStudy, stem: Path) -> tuple[Path]:
    """Write a part; ``stem`` is its path without the ending.

    Raises:
        OutputError: when the file cannot be written.
    """
    path = Path(f"{stem}.nrrd")
    with written(path) as file:
        file.write(nrrd_bytes(part, study))
    return (path,)


def nrrd_bytes(part: VolumePart, study: ExportedStudy) -> bytes:
    """Return a part as an NRRD file (format NRRD0005), its facts as key and value."""
    header = "\n".join([*_header(part, study), "", ""]).encode()
    values = np.asfortranarray(part.array).astype(part.array.dtype.newbyteorder("<"))
    return header + gzipped(values.tobytes(order="F"))


def _header(part: VolumePart, study: ExportedStudy) -> Iterator[str]:
    axes = part.array.ndim
    yield "NRRD0005"
    yield f"type: {_TYPES[part.array.dtype.name]}"
    yield f"dimension: {axes}"
    yield "space: right-anterior-superior"
    yield f"sizes: {' '.join(map(str, part.array.shape))}"
    yield f"space directions: {' '.join(_vector(study.affine[:3, axis]) for axis in range(axes))}"
    yield f"kinds: {' '.join(['domain'] * axes)}"
    yield "endian: little"
    yield "encoding: gzip"
    yield f"space origin: {_vector(study.affine[:3, 3])}"
    if study.scaled:
        yield 'space units: "mm" "mm" "mm"'
    for key, value in part.facts.items():
        yield f"{key}:={str(value).encode('unicode_escape').decode()}"


def _vector(parts: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
    return f"({','.join(repr(float(part)) for part in parts)})"
