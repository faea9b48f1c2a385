"""Writers of small synthetic studies, each with the worst that a header can hold: ``SECRET`` in every free field.

They know nothing of the readers: positions are written from a RAS affine by the formulas of the standards.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import highdicom
import nibabel
import numpy as np
import pytest
from highdicom.seg import Segmentation, SegmentDescription
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    ExplicitVRLittleEndian,
    generate_uid,
)

from pipeline.errors import Reason, Stage, StudyError

SECRET = "SECRET"
SERIES, STUDY, FRAME = generate_uid(), generate_uid(), generate_uid()
OBLIQUE = np.array([[0.8, 0.6, 0.0], [-0.6, 0.8, 0.0], [0.0, 0.0, 1.0]]) @ np.array(
    [[1.0, 0.0, 0.0], [0.0, 0.96, -0.28], [0.0, 0.28, 0.96]]
)
"""A rotation about two axes, exact in two decimals."""


def grid(turn: NDArray[Any], spacing: tuple[float, float, float], origin: tuple[float, float, float]) -> NDArray[Any]:
    """Return a RAS affine from directions (columns), spacings and the first voxel's position."""
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(turn, dtype=float) * spacing
    affine[:3, 3] = origin
    return affine


def dot(shape: tuple[int, ...], index: tuple[int, ...], value: int = 900) -> NDArray[np.int16]:
    """Return zeros with one marked voxel; no two axes of ``shape`` should be equal."""
    array = np.zeros(shape, dtype=np.int16)
    array[index] = value
    return array


def dicom(kind: str, array: NDArray[Any]) -> FileDataset:
    """Return a DICOM image of stored values (rows, columns), without position, full of secrets."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = kind, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = kind, meta.MediaStorageSOPInstanceUID
    image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = STUDY, SERIES, FRAME
    image.PatientName, image.PatientID, image.AccessionNumber = "SECRET^NAME", "SECRETID", "SECRETACC"
    image.InstitutionName, image.SeriesDescription, image.BodyPartExamined = "SECRET H", "SECRET D", "SECRET"
    image.PatientBirthDate, image.PatientSex, image.StudyDate = "19700101", "F", "20200101"
    image.StudyTime, image.StudyID, image.ReferringPhysicianName = "101010", "SECRET", "SECRET^DOC"
    image.Manufacturer, image.ManufacturerModelName, image.Modality = "SIEMENS SECRET", "SECRET", "CT"
    image.SeriesNumber, image.InstanceNumber, image.SoftwareVersions = 1, 1, "SECRET"
    image.DeviceSerialNumber = "SECRET"
    image.Rows, image.Columns = array.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = array.dtype.itemsize * 8
    image.HighBit, image.PixelRepresentation = image.BitsStored - 1, int(array.dtype.kind == "i")
    image.PixelData = array.tobytes()
    return image


def slices(array: NDArray[Any], affine: NDArray[Any]) -> list[FileDataset]:
    """Return CT slices of an array (column, row, slice) that lies by a RAS affine."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :2], axis=0)
    written = []
    for index in range(array.shape[2]):
        image = dicom(CTImageStorage, np.ascontiguousarray(array[:, :, index].T))
        image.ImageOrientationPatient = [round(float(part), 9) for part in (lps[:3, :2] / spacing).T.ravel()]
        image.ImagePositionPatient = [round(float(part), 6) for part in lps[:3, 3] + index * lps[:3, 2]]
        image.PixelSpacing = [round(float(spacing[1]), 9), round(float(spacing[0]), 9)]
        image.SliceThickness, image.InstanceNumber = 7.5, index + 1
        image.RescaleSlope, image.RescaleIntercept, image.RescaleType = 1, 0, "HU"
        written.append(image)
    return written


def save(folder: Path, images: list[FileDataset], order: list[int] | None = None) -> Path:
    """Write the images into a folder, under names in the given order."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, index in enumerate(order or range(len(images))):
        images[index].save_as(folder / f"SECRET{place:03}.dcm", enforce_file_format=True)
    return folder


def projection(path: Path, array: NDArray[Any], **attributes: Any) -> Path:
    """Write a CR of stored values (rows, columns)."""
    image = dicom(ComputedRadiographyImageStorage, array)
    del image.FrameOfReferenceUID
    image.Modality = "CR"
    for name, value in attributes.items():
        setattr(image, name, value)
    image.save_as(path, enforce_file_format=True)
    return path


def nifti(path: Path, array: NDArray[Any], affine: NDArray[Any] | None, *, qform: Any = None) -> Path:
    """Write NIfTI-1 with this sform, and ``qform`` when given."""
    image = nibabel.Nifti1Image(array, None)
    image.header["descrip"] = b"SECRET"
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=1 if affine is not None else 0)
    image.set_qform(qform, code=1 if qform is not None else 0)
    nibabel.save(image, path)
    return path


def segmentation(
    path: Path, images: list[Dataset], masks: NDArray[Any], labels: list[str], *, kind: str = "BINARY", **more: Any
) -> Path:
    """Write a DICOM segmentation of masks (slice, row, column, segment) over the images, empty frames left out."""
    described = [
        SegmentDescription(
            segment_number=number,
            segment_label=label,
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Mass,
            algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number, label in enumerate(labels, start=1)
    ]
    made = Segmentation(
        source_images=images,
        pixel_array=masks,
        segmentation_type=kind,
        segment_descriptions=described,
        series_instance_uid=generate_uid(),
        series_number=9,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="SECRET",
        manufacturer_model_name="SECRET",
        software_versions="SECRET",
        device_serial_number="SECRET",
        **more,
    )
    made.save_as(path)
    return path


def edited(path: Path, change: Callable[[Dataset], None]) -> Path:
    """Change a DICOM file in place."""
    dataset = dcmread(path)
    change(dataset)
    dataset.save_as(path)
    return path


def refusal(reason: Reason, read: Callable[[], object], *, excluded: bool = False) -> str:
    """Assert that ``read`` refuses for this reason, and that its words tell nothing of patient, path or UID."""
    with pytest.raises(StudyError) as caught:
        read()
    error = caught.value
    assert (error.reason, error.stage, error.excluded) == (reason, Stage.READ, excluded), str(error)
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
    names_nobody(str(error))
    return str(error)


def names_nobody(words: str) -> None:
    """Assert that words tell nothing of patient, path or UID."""
    assert not re.search(rf"{SECRET}|/|\d+\.\d+\.\d+\.|\.dcm|\.nii|\.nrrd", words, re.IGNORECASE), words
