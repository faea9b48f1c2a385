"""Where a NIfTI file's voxels lie: its sform and its qform, read by the standard's own formulas.

A form may be zero, or contradict the other one; which of two is right, nothing tells, and a wrong affine is a shifted
mask: all of that is refused. What the reference library (``nifti_quatern_to_mat44`` of nifticlib) takes without loss is
taken here too, with a fact: a quaternion slightly longer than 1, and a ``qfac`` of 0.
"""

import nibabel
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Reason
from pipeline.studies.geometry import CORNER_TOLERANCE_MM, Geometry, GeometryError
from pipeline.studies.readers.shared.base import refused

__all__ = ["grid_of"]

_MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
_UNITS = {1: "meter", 2: "mm", 3: "micron"}
_SPATIAL_BITS = 0x07
_LONGEST = 1e-3  # beyond 1: what float32 and decimal text lose is a thousandth of it
_SHORT = 1e-7  # as in nifticlib: a rotation of 180 degrees

Affine = NDArray[np.float64]


def grid_of(header: nibabel.Nifti1Header, shape: tuple[int, int, int]) -> tuple[Geometry, dict[str, str]]:
    """Return the grid of voxels (i, j, k), RAS+ mm, and what was taken for granted.

    Raises:
        StudyError: NO_GEOMETRY without a form, or with forms that are impossible or disagree.
    """
    code = int(header["xyzt_units"]) & _SPATIAL_BITS
    if code not in _MM_PER_UNIT:
        raise refused(Reason.NO_GEOMETRY, f"xyzt_units states the unit of length {code}, which NIfTI does not know")
    facts = {"length unit": _UNITS.get(code, "not stated, taken as mm")}
    scale = np.diag([*[_MM_PER_UNIT[code]] * 3, 1.0])
    grids = []
    if int(header["sform_code"]) > 0:
        grids.append(_grid("sform", shape, scale @ _sform(header)))
    if int(header["qform_code"]) > 0:
        form, qform_facts = _qform(header)
        grids.append(_grid("qform", shape, scale @ form))
        facts |= qform_facts
    if not grids:
        raise refused(Reason.NO_GEOMETRY, "neither sform nor qform is set: nothing tells where the voxels lie")
    apart = float(np.linalg.norm(grids[0].corners - grids[-1].corners, axis=1).max())
    if apart > CORNER_TOLERANCE_MM:
        raise refused(Reason.NO_GEOMETRY, f"sform and qform disagree by {apart:.2f} mm: nothing tells which is right")
    return grids[0], facts


def _grid(name: str, shape: tuple[int, int, int], affine: Affine) -> Geometry:
    try:
        return Geometry(shape, affine)
    except GeometryError:
        pass
    raise refused(Reason.NO_GEOMETRY, f"the {name} is set and is zero, singular or not finite: it places no voxel")


def _sform(header: nibabel.Nifti1Header) -> Affine:
    rows = [np.asarray(header[f"srow_{axis}"], dtype=np.float64) for axis in "xyz"]
    return np.stack([*rows, np.array([0.0, 0.0, 0.0, 1.0])])


def _qform(header: nibabel.Nifti1Header) -> tuple[Affine, dict[str, str]]:
    """Return the qform's affine in its own unit (nifti1.h, method 2)."""
    zooms = np.asarray(header["pixdim"], dtype=np.float64)
    quaternion = np.array([float(header[f"quatern_{part}"]) for part in "bcd"])
    offset = [float(header[f"qoffset_{axis}"]) for axis in "xyz"]
    if not (zooms[1:4] > 0).all() or not np.isfinite([*zooms[1:4], *quaternion, *offset]).all():
        message = "the qform is set, and pixdim, quatern or qoffset holds a value that is not finite or not above 0"
        raise refused(Reason.NO_GEOMETRY, message)
    turn, facts = _rotation(quaternion)
    affine = np.eye(4)
    affine[:3, :3] = turn * zooms[1:4]
    affine[:3, 2] *= -1.0 if zooms[0] < 0 else 1.0
    affine[:3, 3] = offset
    if abs(zooms[0]) != 1:
        facts["qfac"] = f"{zooms[0]:g}, taken as {-1 if zooms[0] < 0 else 1}"
    return affine, facts


def _rotation(quaternion: NDArray[np.float64]) -> tuple[NDArray[np.float64], dict[str, str]]:
    """Return the rotation (3, 3) of a unit quaternion's last three parts; a longer one is shortened to 1."""
    length = float(np.linalg.norm(quaternion))
    if length > 1 + _LONGEST:
        raise refused(Reason.NO_GEOMETRY, f"the qform's quaternion is {length:.4g} long: it is no rotation")
    real = 1.0 - length**2
    if real < _SHORT:
        real, quaternion = 0.0, quaternion / length
    a, (b, c, d) = np.sqrt(real), quaternion
    turn = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * b * c - 2 * a * d, 2 * b * d + 2 * a * c],
            [2 * b * c + 2 * a * d, a * a + c * c - b * b - d * d, 2 * c * d - 2 * a * b],
            [2 * b * d - 2 * a * c, 2 * c * d + 2 * a * b, a * a + d * d - c * c - b * b],
        ]
    )
    longer = {"qform quaternion": f"longer than 1 by {length - 1:.1g}, shortened to 1"}
    return turn, longer if length - 1 > _SHORT else {}
