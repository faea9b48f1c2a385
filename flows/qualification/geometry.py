"""Marked voxels and known fields: where a file's voxel lies in the patient, and what a map is on another grid."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from flows.qualification.known import compared, tried
from pipeline.findings.signed.qualification import KnownCase
from pipeline.studies.geometry import Geometry, plan, same_grid
from pipeline.studies.readers import read_image
from pipeline.studies.volume import Volume

__all__ = ["geometry_cases"]

_AREA = "Geometry"
_SHAPE, _MARKED = (11, 13, 7), (8, 2, 5)


def _oblique() -> NDArray[np.float64]:
    """Return an affine that turns about two axes, with three spacings, and mirrors one."""
    a, b = np.deg2rad(20.0), np.deg2rad(-35.0)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x @ np.diag([0.9, -1.3, 4.0])
    affine[:3, 3] = (-37.5, 81.25, -640.0)
    return affine


def geometry_cases() -> Iterator[KnownCase]:
    """Yield the marked voxel of each file format, and a linear field that is carried to another grid."""
    for ending in (".nii", ".nii.gz", ".nrrd"):
        yield compared(
            _AREA,
            f"marked_voxel{ending}",
            f"a marked voxel of an oblique {ending} file lies where its affine says (mm off)",
            0.0,
            partial(_off_mark, ending),
            1e-3,
        )
    yield compared(
        _AREA,
        "resampling",
        "a linear field on an oblique grid, carried to another (largest error)",
        0.0,
        _field_error,
        1e-3,
    )
    yield tried(_AREA, "grids", "a grid moved by a tenth of a voxel is another grid", "another", _moved)


def _off_mark(ending: str) -> float:
    """Write a file in which one voxel is marked, read it, and return how many mm off the mark lies."""
    with TemporaryDirectory(prefix="camaudit-qualify-") as folder:
        path = Path(folder, f"marked{ending}")
        _write(path, _oblique())
        volume = read_image(path).volume
    index = np.argwhere(np.asarray(volume.array) == 1000)
    if len(index) != 1:
        return float("inf")
    expected = _oblique() @ np.array([*_MARKED, 1.0])
    return float(np.linalg.norm(volume.geometry.world(index)[0] - expected[:3]))


def _write(path: Path, affine: NDArray[np.float64]) -> None:
    values = np.zeros(_SHAPE, dtype=np.int16)
    values[_MARKED] = 1000
    if path.name.endswith(".nrrd"):
        import nrrd

        turned = np.diag([-1.0, -1.0, 1.0]) @ affine[:3]  # NRRD's own axes run to the left and to the back
        facts = {"space": "left-posterior-superior", "space directions": turned[:, :3].T, "space origin": turned[:, 3]}
        nrrd.write(str(path), values, facts)
    else:
        import nibabel

        nibabel.save(nibabel.Nifti1Image(values, affine), path)


def _field_error() -> float:
    """Carry a field that is linear in space to a coarser grid inside; linear interpolation changes nothing of it."""
    source = Geometry(_SHAPE, _oblique())
    target_affine = _oblique() @ np.diag([2.0, 2.0, 1.5, 1.0])
    target_affine[:3, 3] += _oblique()[:3, :3] @ np.array([1.0, 1.5, 0.5])
    target = Geometry((4, 5, 3), target_affine)
    carried = plan(source, target).apply(_field(source).astype(np.float32))
    return float(np.abs(carried - _field(target)).max())


def _field(geometry: Geometry) -> NDArray[np.float64]:
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), -1).reshape(-1, 3)
    world = geometry.world(index)
    return np.asarray((world @ np.array([0.02, -0.05, 0.01])).reshape(geometry.shape), dtype=np.float64)


def _moved() -> str:
    moved = _oblique()
    moved[0, 3] += 0.13
    grids = [Volume(np.zeros(_SHAPE, np.float32), Geometry(_SHAPE, affine)).geometry for affine in (_oblique(), moved)]
    return "the same" if same_grid(*grids) else "another"
