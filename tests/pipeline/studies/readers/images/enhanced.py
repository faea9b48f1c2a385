"""A writer of enhanced multi-frame DICOM (PS3.3 A.38, A.36): one file, frames in any order, functional groups."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import EnhancedCTImageStorage, generate_uid

from tests.pipeline.studies.writers import dicom

PLANE = ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")


def item(**attributes: Any) -> list[Dataset]:
    """Return a sequence of one data set with these attributes."""
    one = Dataset()
    for name, value in attributes.items():
        setattr(one, name, value)
    return [one]


def enhanced(
    path: Path,
    array: NDArray[Any],
    affine: NDArray[Any],
    *,
    order: Sequence[int] | None = None,
    rescales: Sequence[tuple[float, float]] = ((1, 0),),
    own: bool = False,
    kind: str = EnhancedCTImageStorage,
) -> Path:
    """Write an array (column, row, slice) that lies by a RAS affine.

    ``order`` is that of the frames in the file; ``rescales`` are one for each slice or one that all share; with
    ``own`` each frame states orientation and spacing itself.
    """
    count = array.shape[2]
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :2], axis=0)
    image = dicom(kind, np.ascontiguousarray(array[:, :, 0].T))
    directions = [round(float(part), 9) for part in (lps[:3, :2] / spacing).T.ravel()]
    fixed = {
        "PlaneOrientationSequence": item(ImageOrientationPatient=directions),
        "PixelMeasuresSequence": item(
            PixelSpacing=[round(float(step), 9) for step in spacing[::-1]],
            SliceThickness=round(float(np.linalg.norm(lps[:3, 2])), 9),
        ),
    }
    frames = []
    for index in order if order is not None else range(count):
        position = [round(float(part), 6) for part in lps[:3, 3] + index * lps[:3, 2]]
        (frame,) = item(
            PlanePositionSequence=item(ImagePositionPatient=position),
            FrameContentSequence=item(
                StackID="1", InStackPositionNumber=index + 1, DimensionIndexValues=[1, index + 1]
            ),
            CTImageFrameTypeSequence=item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]),
        )
        if own:
            frame.update(item(**fixed)[0])
        if len(rescales) > 1:
            frame.PixelValueTransformationSequence = _rescale(*rescales[index])
        frames.append(frame)
    (shared,) = item(**({} if own else fixed))
    if len(rescales) == 1:
        shared.PixelValueTransformationSequence = _rescale(*rescales[0])
    image.SharedFunctionalGroupsSequence, image.PerFrameFunctionalGroupsSequence = [shared], frames
    image.NumberOfFrames = count
    _describe(image)
    image.PixelData = np.stack([array[:, :, index].T for index in (order or range(count))]).tobytes()
    image.save_as(path, enforce_file_format=True)
    return path


def _rescale(slope: float, intercept: float) -> list[Dataset]:
    return item(RescaleSlope=slope, RescaleIntercept=intercept, RescaleType="HU")


def _describe(image: Dataset) -> None:
    """State the two dimensions, stack and place in it."""
    organisation = generate_uid()
    image.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    image.DimensionOrganizationSequence = item(DimensionOrganizationUID=organisation)
    image.DimensionIndexSequence = [
        *item(
            DimensionOrganizationUID=organisation,
            DimensionIndexPointer=0x00209056,
            FunctionalGroupPointer=0x00209111,
        ),
        *item(
            DimensionOrganizationUID=organisation,
            DimensionIndexPointer=0x00209057,
            FunctionalGroupPointer=0x00209111,
        ),
    ]
