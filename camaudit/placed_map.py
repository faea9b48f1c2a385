"""A class activation map of one study, with the place where it lies in the patient."""

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import OutputError
from pipeline.files import written

__all__ = ["PlacedMap"]


@dataclass(frozen=True, eq=False)
class PlacedMap:
    """A raw map at its layer's own resolution.

    ``array`` (2 or 3 axes, float32, read-only) is kept before the ReLU that may end the method's formula: for a method
    that is not signed, what is scored is its positive part. ``affine`` (4, 4) maps an index to RAS+ mm (pixels where
    the image states no physical size).
    """

    study: str
    target: str
    method: str
    layer: str | None
    array: NDArray[np.float32]
    affine: NDArray[np.float64]

    def save(self, path: str | Path) -> Path:
        """Write the map as NIfTI (``.nii`` or ``.nii.gz``) and return the path; a map of 2 axes gets a third of one.

        Raises:
            OutputError: for another ending, or when the file cannot be written.
        """
        target = Path(path)
        if not target.name.endswith((".nii", ".nii.gz")):
            raise OutputError(f"path: a map is saved as .nii or .nii.gz, not as {target.name!r}; name such a file")
        content = self._nifti()
        with written(target) as file:  # without a time stamp: the same map gives the same bytes
            file.write(gzip.compress(content, mtime=0) if target.suffix == ".gz" else content)
        return target

    def _nifti(self) -> bytes:
        from nibabel import Nifti1Image

        array = self.array if self.array.ndim == 3 else self.array[..., np.newaxis]
        image = Nifti1Image(array, self.affine)
        image.header.set_xyzt_units("mm")
        content: bytes = image.to_bytes()
        return content
