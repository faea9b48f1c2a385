"""Marks of a centre and a diameter in CSV, as LUNA16 lists nodules: each one a sphere in the patient.

Columns: ``seriesuid`` (the image file's name without its ending), ``coordX``, ``coordY``, ``coordZ`` (mm, LPS+) and
``diameter_mm``. A voxel is marked when its centre lies within half of the diameter. Other columns are passed over.
"""

import csv
import io
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Reason
from pipeline.studies.geometry import Geometry, lps_to_ras
from pipeline.studies.readers.masks.annotations import text_of
from pipeline.studies.readers.masks.boxes import FACTS as CSV
from pipeline.studies.readers.shared.base import ImageFile, MaskFile, MaskRequest, first_bytes, refused
from pipeline.studies.readers.shared.reader_facts import MaskNotes, ReaderFacts

__all__ = ["FACTS", "accepts", "listed_images", "read_mask"]

FACTS = ReaderFacts(
    title="CSV of centres and diameters",
    kind="spheres",
    reads="mask",
    covers_many=True,
    mask=MaskNotes("volumes", "the manifest's", "voxel centres within half of the diameter"),
)

_IMAGE, _CENTRE, _DIAMETER = "seriesuid", ("coordX", "coordY", "coordZ"), "diameter_mm"
_COLUMNS = (_IMAGE, *_CENTRE, _DIAMETER)
_HEAD = 4096
_BEYOND = 1.0  # voxels that a centre may lie outside of the outermost centres
_FLAT = 2  # axes


@dataclass(frozen=True)
class _Sphere:
    """A centre (RAS+ mm) and a radius (mm)."""

    centre: tuple[float, float, float]
    radius: float


def accepts(path: Path) -> bool:
    """Tell by the ending and the columns whether the file is such a table."""
    if not path.is_file() or not CSV.bears(path):
        return False
    head = first_bytes(path, _HEAD).decode("utf-8-sig", "replace").partition("\n")[0]
    return set(_COLUMNS) <= {name.strip().strip('"') for name in head.split(",")}


def listed_images(path: Path) -> frozenset[str]:
    """Return the images of which a table states marks.

    Raises:
        StudyError: as ``read_mask``.
    """
    return frozenset(_spheres(path))


def read_mask(path: Path, image: ImageFile, wanted: MaskRequest) -> MaskFile:
    """Draw the image's marks.

    Raises:
        StudyError: NOT_READABLE for cells that are no numbers; excluded: MASK_MISSING_ENTRY when the table does not
            list the image, OTHER_GRID for a mark outside of it, MASK_WITHOUT_AREA when none holds a voxel's centre.
    """
    listed = wanted.kept.of(_spheres, path)
    spheres = listed.get(wanted.key or "", ())
    if not spheres:
        message = f"the table of marks lists {len(listed)} images, and this one is none of them"
        raise refused(Reason.MASK_MISSING_ENTRY, message, excluded=True)
    grid = image.volume.geometry
    if len(grid.shape) == _FLAT or not grid.scaled or not grid.oriented:
        message = "the marks are spheres in the patient, and the image does not tell where it lies in the patient"
        raise refused(Reason.OTHER_GRID, message, excluded=True)
    marked, lost = np.zeros(grid.shape, dtype=bool), 0
    for sphere in spheres:
        lost += not _draw(marked, grid, sphere)
    if not marked.any():
        message = f"none of the mask's {len(spheres)} spheres holds a voxel's centre"
        raise refused(Reason.MASK_WITHOUT_AREA, message, excluded=True)
    facts = {"mask drawn from": "spheres of a centre and a diameter"}
    return MaskFile(marked, facts | ({"shapes smaller than a voxel": f"{lost} of {len(spheres)}"} if lost else {}))


def _spheres(path: Path) -> Mapping[str, tuple[_Sphere, ...]]:
    """Return the marks by the images' names."""
    table = csv.DictReader(io.StringIO(text_of(path), newline=""), restval="", skipinitialspace=True)
    if not set(_COLUMNS) <= set(table.fieldnames or ()):
        raise refused(Reason.NOT_READABLE, f"the table of marks lacks one of the columns {', '.join(_COLUMNS)}")
    spheres: dict[str, list[_Sphere]] = defaultdict(list)
    for row in table:
        if None in row:
            raise refused(Reason.NOT_READABLE, f"line {table.line_num} of the table has more cells than its head")
        x, y, z, diameter = (_number(row, name) for name in (*_CENTRE, _DIAMETER))
        if diameter <= 0:
            raise refused(Reason.NOT_READABLE, f"line {table.line_num} of the table states no diameter above 0")
        place = lps_to_ras(np.eye(4)) @ (x, y, z, 1.0)
        spheres[row[_IMAGE].strip()].append(_Sphere((float(place[0]), float(place[1]), float(place[2])), diameter / 2))
    return {name: tuple(own) for name, own in spheres.items()}


def _number(row: Mapping[str, str], name: str) -> float:
    try:
        value = float(row[name])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise refused(Reason.NOT_READABLE, f"a line of the table has no number in its column {name}")
    return value


def _draw(marked: NDArray[np.bool_], grid: Geometry, sphere: _Sphere) -> bool:
    """Mark the voxels whose centres lie in a sphere, and tell whether there are any.

    Raises:
        StudyError: OTHER_GRID, excluded, when the sphere's centre lies outside of the image.
    """
    shape = np.array(grid.shape)
    back = np.linalg.inv(grid.affine)
    middle = (back @ (*sphere.centre, 1.0))[:3]
    if (middle < -_BEYOND).any() or (middle > shape - 1 + _BEYOND).any():
        message = f"a mark's centre lies at voxel {np.round(middle, 1).tolist()} of an image of {grid.shape}"
        raise refused(Reason.OTHER_GRID, message, excluded=True)
    reach = sphere.radius * np.linalg.norm(back[:3, :3], axis=1)  # how far a sphere reaches along each index
    low = np.maximum(np.ceil(middle - reach), 0).astype(int)
    high = np.minimum(np.floor(middle + reach), shape - 1).astype(int) + 1
    if (high <= low).any():
        return False
    axes = [np.arange(first, last) for first, last in zip(low, high, strict=True)]
    places = grid.world(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3))
    inside = np.linalg.norm(places - sphere.centre, axis=1) <= sphere.radius
    marked[tuple(slice(*ends) for ends in zip(low, high, strict=True))] |= inside.reshape(tuple(high - low))
    return bool(inside.any())
