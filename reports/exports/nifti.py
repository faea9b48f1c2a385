"""NIfTI-1 on the image's own grid, with a JSON companion; the affine is the image's, sheared or not."""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np

from pipeline.files import written
from pipeline.findings.exported.study import ExportedStudy
from pipeline.findings.results import Results
from reports.exports.outcome import WrittenStudy
from reports.exports.unique_names import StableNames
from reports.exports.volumes import VolumePart, plain_name, volume_parts

__all__ = ["NiftiFolder", "nifti_bytes", "write_companion"]

_SCANNER = 1  # the code of "scanner anatomical" coordinates
_ORTHOGONAL = 1e-6


@dataclass(frozen=True)
class NiftiFolder:
    """A folder for each study, by its pseudonym."""

    folder: Path
    results: Results
    option: str = "--nifti"

    def write(self, study: ExportedStudy) -> WrittenStudy:
        """Write a study's maps, regions and masks.

        Raises:
            OutputError: when a file cannot be written, or a map not be read.
        """
        names, files = StableNames(plain_name), []
        for part in volume_parts(study, self.results):
            path = self.folder / study.study / f"{names.of(part.text)}.nii.gz"
            with written(path) as file:
                file.write(nifti_bytes(part, study))
            files += [path, write_companion(path.with_name(path.name.replace(".nii.gz", ".json")), part.facts)]
        return WrittenStudy(tuple(files))


def nifti_bytes(part: VolumePart, study: ExportedStudy) -> bytes:
    """Return a part as a packed NIfTI file; a picture is a volume of one slice. The same part gives the same bytes."""
    array = part.array if part.array.ndim == 3 else part.array[..., None]
    image = nibabel.Nifti1Image(array, None)
    image.set_sform(study.affine, code=_SCANNER)
    directions = study.affine[:3, :3] / np.linalg.norm(study.affine[:3, :3], axis=0)
    if np.abs(directions.T @ directions - np.eye(3)).max() < _ORTHOGONAL:  # a quaternion cannot say that axes lean
        image.set_qform(study.affine, code=_SCANNER)
    image.header.set_xyzt_units("mm" if study.scaled else "unknown")
    return gzip.compress(image.to_bytes(), compresslevel=6, mtime=0)


def write_companion(path: Path, facts: dict[str, object]) -> Path:
    """Write a file's facts as JSON beside it.

    Raises:
        OutputError: when it cannot be written.
    """
    with written(path) as file:
        file.write(json.dumps(facts, indent=1, sort_keys=True, allow_nan=False).encode())
    return path
