"""The demo's DICOM files: a radiograph (DX) and a reader's mask of it (SEG), the same bytes each time."""

from dataclasses import dataclass
from datetime import date

import highdicom
import numpy as np
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset
from pydicom.sr.coding import Code
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from flows.demo.radiograph import Site
from flows.demo.scene import Image, Outline

__all__ = ["Names", "Patient", "radiograph_file", "segmentation_file"]

_BITS = 12
_TIME = "101500"


@dataclass(frozen=True)
class Patient:
    """An invented patient."""

    number: int
    name: str
    sex: str
    birth: date


class Names:
    """Unique identifiers that come out the same each time, of the root for UUIDs."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def __call__(self) -> str:
        """Return the next UID."""
        return f"2.25.{int.from_bytes(self._rng.bytes(15), 'big') + 1}"


def radiograph_file(image: Image, site: Site, patient: Patient, day: date, names: Names) -> Dataset:
    """Return a DX image for presentation; ``image`` is bright where dense, a site may store it inverted."""
    stored = np.rint(image).astype(np.uint16)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = names()
    dataset.StudyInstanceUID = names()
    dataset.SeriesInstanceUID = names()
    _describe_visit(dataset, site, patient, day)
    _describe_detector(dataset, site)
    _describe_pixels(dataset, stored, site)
    top = (1 << _BITS) - 1
    dataset.PixelData = (top - stored if site.inverted else stored).astype("<u2").tobytes()
    return dataset


def _describe_visit(dataset: Dataset, site: Site, patient: Patient, day: date) -> None:
    dataset.PatientName = patient.name
    dataset.PatientID = f"{site.name}{patient.number:05d}"
    dataset.PatientBirthDate = patient.birth.strftime("%Y%m%d")
    dataset.PatientSex = patient.sex
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = day.strftime("%Y%m%d")
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = _TIME
    dataset.StudyID, dataset.SeriesNumber, dataset.InstanceNumber = "1", 1, 1
    dataset.AccessionNumber = f"{patient.number:05d}"
    dataset.ReferringPhysicianName = "Invented^Physician"
    dataset.InstitutionName = f"Invented Hospital {site.name}"
    dataset.Manufacturer = "camaudit demo"


def _describe_detector(dataset: Dataset, site: Site) -> None:
    dataset.Modality = "DX"
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = "PA"
    dataset.PatientOrientation = ["L", "F"]
    dataset.ImageLaterality = "U"
    dataset.ImagerPixelSpacing = [site.spacing, site.spacing]
    dataset.DetectorType = "DIRECT"
    dataset.PositionerType = "NONE"
    dataset.AcquisitionContextSequence = []
    dataset.AnatomicRegionSequence = [_code("51185008", "Chest")]
    view = _code("399348003", "postero-anterior")
    view.ViewModifierCodeSequence = []
    dataset.ViewCodeSequence = [view]


def _describe_pixels(dataset: Dataset, stored: NDArray[np.uint16], site: Site) -> None:
    dataset.ImageType = ["ORIGINAL", "PRIMARY", ""]
    dataset.Rows, dataset.Columns = stored.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if site.inverted else "MONOCHROME2"
    dataset.PresentationLUTShape = "INVERSE" if site.inverted else "IDENTITY"
    dataset.PixelIntensityRelationship = "LOG"
    dataset.PixelIntensityRelationshipSign = 1 if site.inverted else -1
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, _BITS, _BITS - 1
    dataset.PixelRepresentation = 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
    dataset.WindowCenter, dataset.WindowWidth = 1 << (_BITS - 1), 1 << _BITS
    dataset.LossyImageCompression = "00"
    # The attribute asks whether the pixels identify the patient; the ward's letter L does not.
    dataset.BurnedInAnnotation = "NO"


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


def segmentation_file(source: Dataset, outline: Outline, label: str, reader: str, names: Names) -> Segmentation:
    """Return a reader's mask of a radiograph as a binary DICOM segmentation that names it as its source."""
    described = SegmentDescription(
        segment_number=1,
        segment_label=label,
        segmented_property_category=Code("49755003", "SCT", "Morphologically Abnormal Structure"),
        segmented_property_type=Code("27925004", "SCT", "Nodule"),
        algorithm_type=SegmentAlgorithmTypeValues.MANUAL,
    )
    segmentation = Segmentation(
        source_images=[source],
        pixel_array=outline.astype(np.uint8),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[described],
        series_instance_uid=names(),
        series_number=2,
        sop_instance_uid=names(),
        instance_number=1,
        manufacturer="camaudit demo",
        manufacturer_model_name="synthetic reader",
        software_versions=highdicom.__version__,
        device_serial_number="0",
        content_creator_name=f"Invented^{reader}",
        content_label="MASK",
        series_description=f"Mask by {reader}",
    )
    return _made_repeatable(segmentation, source, names)


def _made_repeatable(segmentation: Segmentation, source: Dataset, names: Names) -> Segmentation:
    """Replace what the library takes from the clock and from chance."""
    segmentation.PatientOrientation = source.PatientOrientation
    organisation = names()
    for holder in (segmentation.DimensionOrganizationSequence, segmentation.DimensionIndexSequence):
        for item in holder:
            item.DimensionOrganizationUID = organisation
    for item in segmentation.ContributingEquipmentSequence:
        item.ContributionDateTime = source.StudyDate + source.StudyTime
    for event in ("Content", "InstanceCreation"):
        segmentation[f"{event}Date"].value = source.StudyDate
        segmentation[f"{event}Time"].value = source.StudyTime
    return segmentation
