"""Maps as files that other programs open where they belong."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import OutputError
from pipeline.files import gzipped, written
from pipeline.studies.geometry import Geometry, lps_to_ras

__all__ = ["save_map"]

_ENDINGS = (".nii.gz", ".nii", ".nrrd")
_LEVEL = 1  # as nibabel writes: a map of floats gets hardly smaller by more


def save_map(array: NDArray[np.float32], grid: Geometry, path: Path) -> Path:
    """Write a map on its grid, without a time stamp: the same map gives the same bytes.

    Raises:
        OutputError: for another ending, or when the file cannot be written.
    """
    if not path.name.lower().endswith(_ENDINGS):
        raise OutputError(f"path: a map is saved as {', '.join(_ENDINGS)}, not as {path.name!r}; name such a file")
    volume = array if array.ndim == 3 else array[..., np.newaxis]
    content = _nrrd(volume, grid) if path.suffix.lower() == ".nrrd" else _nifti(volume, grid)
    with written(path) as file:
        file.write(gzipped(content, _LEVEL) if path.suffix.lower() == ".gz" else content)
    return path


def _nifti(volume: NDArray[np.float32], grid: Geometry) -> bytes:
    """Return a NIfTI whose sform and, where the grid is not sheared, qform say where it lies."""
    from nibabel import Nifti1Image

    image = Nifti1Image(volume, grid.affine)
    image.set_qform(grid.affine, code=2, strip_shears=True)
    if not np.allclose(image.get_qform(), grid.affine, atol=1e-3):
        image.set_qform(None, code=0)
    image.header.set_xyzt_units("mm" if grid.scaled else "unknown")
    content: bytes = image.to_bytes()
    return content


def _nrrd(volume: NDArray[np.float32], grid: Geometry) -> bytes:
    """Return a NRRD in the space of DICOM and ITK."""
    import nrrd

    affine = lps_to_ras(grid.affine)  # the turn is its own inverse
    header = {
        "type": "float",
        "space": "left-posterior-superior",
        "space directions": affine[:3, :3].T,
        "space origin": affine[:3, 3],
        "kinds": ["domain"] * 3,
        "encoding": "raw",
    }
    if grid.scaled:
        header["space units"] = ["mm"] * 3
    file = io.BytesIO()
    nrrd.write(file, volume, header, index_order="F")
    return file.getvalue()
