"""NIfTI-1 on the image's own grid, with a JSON companion; the affine is the image's, sheared or not."""

import json
from pathlib import Path

import nibabel
import numpy as np

from pipeline.files import gzipped, written
from pipeline.findings.exported.study import ExportedStudy
from reports.exports.volumes import VolumePart

__all__ = ["nifti_bytes", "write_companion", "write_nifti"]

_SCANNER = 1  # the code of "scanner anatomical" coordinates
_ORTHOGONAL = 1e-6


def write_nifti(part: VolumePart, study: ExportedStudy, stem: Path) -> tuple[Path, Path]:
    """Write a part, and its facts beside it; ``stem`` is its path without the ending.

    Raises:
        OutputError: when a file cannot be written.
    """
    path = Path(f"{stem}.nii.gz")
    with written(path) as file:
        file.write(nifti_bytes(part, study))
    return path, write_companion(Path(f"{stem}.json"), part.facts)


def nifti_bytes(part: VolumePart, study: ExportedStudy) -> bytes:
    """Return a part as a packed NIfTI file; a picture is a volume of one slice. The same part gives the same bytes."""
    array = part.array if part.array.ndim == 3 else part.array[..., None]
    image = nibabel.Nifti1Image(array, None)
    image.set_sform(study.affine, code=_SCANNER)
    directions = study.affine[:3, :3] / np.linalg.norm(study.affine[:3, :3], axis=0)
    if np.abs(directions.T @ directions - np.eye(3)).max() < _ORTHOGONAL:  # a quaternion cannot say that axes lean
        image.set_qform(study.affine, code=_SCANNER)
    image.header.set_xyzt_units("mm" if study.scaled else "unknown")
    return gzipped(image.to_bytes())


def write_companion(path: Path, facts: dict[str, object]) -> Path:
    """Write a file's facts as JSON beside it.

    Raises:
        OutputError: when it cannot be written.
    """
    with written(path) as file:
        file.write(json.dumps(facts, indent=1, sort_keys=True, allow_nan=False).encode())
    return path
