"""Programs that are not ours, and what they make of the same files: values (column, row, slice) and a RAS affine."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import highdicom
import nibabel
import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

from pipeline.studies.volume import Volume

Peer = tuple[NDArray[Any], NDArray[Any]]
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def by_simpleitk(path: Path) -> Peer:
    """Read one file, or a folder of slices in the order that GDCM finds."""
    if path.is_dir():
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(path)))
        image = reader.Execute()
    else:
        image = SimpleITK.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0), LPS @ affine


def by_highdicom(path: Path) -> Peer:
    """Read an enhanced file by its functional groups."""
    volume = highdicom.imread(path).get_volume(apply_real_world_transform=False)
    return volume.array, LPS @ volume.affine


def by_dcm2niix(path: Path, out: Path) -> Peer:
    """Convert one file (its neighbours are left alone) or a folder, which must become one volume."""
    program = shutil.which("dcm2niix")
    if program is None:
        pytest.skip("dcm2niix is not installed")
    out.mkdir()
    single = [] if path.is_dir() else ["-s", "y"]
    subprocess.run(
        [program, "-z", "n", "-b", "n", *single, "-f", "v", "-o", out, path], check=True, capture_output=True
    )
    (found,) = out.iterdir()
    image = nibabel.load(found)
    return np.asarray(image.dataobj), image.affine


def assert_same(ours: Volume, peer: Peer, *, apart: float = 0.05) -> None:
    """Assert that every voxel is equal and that corners lie within ``apart`` mm, in whatever order of axes."""
    array, affine = _canonical(ours.array, ours.geometry.affine)
    other, other_affine = _canonical(*peer)
    np.testing.assert_array_equal(array, other)
    ends = np.array([(i, j, k, 1) for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * [*np.array(array.shape) - 1, 1]
    assert np.linalg.norm((ends @ (affine - other_affine).T)[:, :3], axis=1).max() <= apart


def _canonical(array: NDArray[Any], affine: NDArray[Any]) -> Peer:
    image = nibabel.as_closest_canonical(nibabel.Nifti1Image(np.asarray(array, np.float32), affine))
    return np.asarray(image.dataobj), image.affine
