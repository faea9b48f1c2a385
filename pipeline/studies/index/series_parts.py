"""The images that the slices of one DICOM series are: one where the readers' gate takes them as one volume.

Where it does not, the series is parted by what differs, but only when each part passes the gate and has more than one
slice: a piece is no image. Otherwise the series is excluded whole, by the gate's reason, with the attributes that
differ. Planning views in directions of their own are set aside first.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.errors import Reason, StudyError
from pipeline.studies.geometry import GeometryError
from pipeline.studies.readers.dicom.alike import ALIKE, BLOCKS, ROUNDED, differing, rounded, volume_of_slices
from pipeline.studies.readers.dicom.header import keyword, numbers
from pipeline.studies.readers.dicom.planes import plane_of

__all__ = ["SeriesImage", "images_of"]

_PARTING = ("acquisition", *ROUNDED, "temporal_position", "image_type")
_TOLERANCE = 1e-4  # of directions, and of spacings in mm
_SOFT = (*BLOCKS, *ROUNDED, "image_type")

Slice = dict[str, Any]
"""A file's row of the index: its header's attributes by our names, ``fault`` and ``doubtful``."""


@dataclass(frozen=True)
class SeriesImage:
    """Slices that are one image, or that are excluded together, and the attributes in which these differ."""

    files: tuple[Slice, ...]
    reason: Reason | None = None
    differing: tuple[str, ...] = ()

    @property
    def stands(self) -> bool:
        """Whether this may be a part of a series: usable, and more than a single slice."""
        return self.reason is None and len(self.files) > 1


def images_of(slices: Sequence[Slice]) -> list[SeriesImage]:
    """Return the images of one series' slices; every slice is in one of them."""
    directions = _by_direction(slices)
    is_planning = [all(header["fault"] == Reason.LOCALIZER for header in part) for part in directions]
    aside = [part for part, planned in zip(directions, is_planning, strict=True) if planned]
    rest = [part for part, planned in zip(directions, is_planning, strict=True) if not planned]
    if not rest:
        return [SeriesImage(tuple(slices), Reason.LOCALIZER)] if slices else []
    planning = [SeriesImage(tuple(header for part in aside for header in part), Reason.LOCALIZER)] if aside else []
    parts = [alike for part in rest for alike in _split(part, _identity)]
    images = [image for part in parts for image in _stacks(part, _PARTING)]
    if len(parts) == 1 or all(image.stands for image in images):
        return planning + images
    whole = tuple(header for part in rest for header in part)
    faults = {header["fault"] for header in whole}
    names = tuple(map(keyword, differing(whole, ALIKE)))
    names += ("ImageOrientationPatient or PixelSpacing",) if len(rest) > 1 else ()
    reason = Reason(faults.pop()) if len(faults) == 1 and None not in faults else Reason.MIXED_SERIES
    return [*planning, SeriesImage(whole, reason, names)]


def _identity(header: Slice) -> tuple[object, ...]:
    return tuple(header.get(name) or None for name in ALIKE)


def _stacks(slices: list[Slice], names: Sequence[str]) -> list[SeriesImage]:
    """Return slices that are alike as one image, parted by the first of the attributes that makes all parts stand."""
    reason = _gate(slices)
    if reason is None:
        return [SeriesImage(tuple(slices))]
    for place, name in enumerate(names):
        parts = _split(slices, lambda header, name=name: rounded(header, name))  # type: ignore[misc]
        if len(parts) > 1:
            images = [image for part in parts for image in _stacks(part, names[place + 1 :])]
            if all(image.stands for image in images):
                return images
    return [SeriesImage(tuple(slices), reason, tuple(map(keyword, differing(slices, _SOFT))))]


def _gate(slices: Sequence[Slice]) -> Reason | None:
    """Return why slices are no volume, by what the series reader refuses; None when they are one."""
    fault = next((header["fault"] for header in slices if header["fault"]), None)
    if fault:
        return Reason(fault)
    if any(header["doubtful"] for header in slices):
        return Reason.MIXED_SERIES
    try:
        volume_of_slices(slices, [plane_of(header, header, header) for header in slices])
    except GeometryError:
        return Reason.NO_GEOMETRY
    except StudyError as error:
        return error.reason
    return None


def _by_direction(slices: Sequence[Slice]) -> list[list[Slice]]:
    """Part slices by direction and spacing, within the tolerance of the gate."""
    groups: list[tuple[np.ndarray[Any, np.dtype[np.float64]], list[Slice]]] = []
    for same in _split(slices, lambda header: (header["orientation"], header["spacing"])):
        grid = np.concatenate([_numbers(same[0], "orientation", 6), _numbers(same[0], "spacing", 2)])
        near = (part for other, part in groups if other.shape == grid.shape and (abs(other - grid) <= _TOLERANCE).all())
        part = next(near, None)
        if part is None:
            groups.append((grid, same))
        else:
            part += same
    return [part for _, part in groups]


def _numbers(header: Slice, name: str, count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    try:
        values = numbers(header, name, count)
    except StudyError:
        values = None
    return np.empty(0) if values is None else values


def _split(slices: Iterable[Slice], key: Callable[[Slice], object]) -> list[list[Slice]]:
    groups: dict[object, list[Slice]] = defaultdict(list)
    for header in slices:
        groups[key(header)].append(header)
    return list(groups.values())
