"""What an export may copy of the DICOM headers that an image was read from, by an allow-list.

Geometry always. Patient and study as they are only where that was asked for; else pseudonyms, empty dates, and UIDs
that follow from pseudonyms. Institution, station, operator, device, descriptions and private elements never:
what is not in the lists here is not read.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset

from pipeline.findings.exported.study import SourceSeries
from pipeline.findings.exported.uids import derived_uid
from pipeline.studies.geometry import Geometry, lps_to_ras
from pipeline.studies.listing.file_lists import gathered
from pipeline.studies.listing.study_row import StudyRow
from pipeline.studies.readers import Readers, ReadOptions, read_image
from pipeline.studies.readers.dicom.data_set import is_dicom, open_header
from pipeline.studies.readers.shared.base import ImageFile, guarded, series_files

__all__ = ["PatientNames", "SourceHeaders", "pseudonymous", "source_headers", "with_identity"]

_GEOMETRY = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"),
    *("Rows", "Columns", "ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing", "SliceThickness"),
    *("SpacingBetweenSlices", "ImagerPixelSpacing", "PatientOrientation", "Modality"),
)
"""Of every instance: what it is, and where it lies."""

_LATERALITY = ("Laterality", "ImageLaterality")

_IDENTITY = (
    *("SpecificCharacterSet", "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"),
    *("PatientAge", "PatientSize", "PatientWeight", "PatientIdentityRemoved", "DeidentificationMethod"),
    *("AccessionNumber", "StudyID", "StudyDate", "StudyTime", "StudyDescription", "ReferringPhysicianName"),
)
"""Patient, patient study and general study modules: copied only where that was asked for."""

_EMPTY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"),
    *("StudyDate", "StudyTime", "ReferringPhysicianName"),
)
"""What must stand in every object, if only as nothing (type 2)."""

_UTF_8 = "ISO_IR 192"
_SEXES = ("M", "F", "O")
_TILT = 1e-3  # how far the step between slices may lean from their normal: the share of a step


@dataclass(frozen=True)
class PatientNames:
    """The pseudonyms of a study, its patient and its frame of reference."""

    study: str
    patient: str
    frame: str | None


@dataclass(frozen=True, eq=False)
class SourceHeaders:
    """The instances that an image was read from, with their own identity, or why no object can refer to them."""

    source: SourceSeries | None
    reason: str = ""


def source_headers(row: StudyRow, geometry: Geometry, options: ReadOptions, readers: Readers) -> SourceHeaders:
    """Read the headers of a study's image; runs in a worker, as all that reads files that somebody else wrote.

    Raises:
        StudyError: when the image cannot be read.
    """
    return guarded("the study", lambda: _read(row, geometry, options, readers))


def _read(row: StudyRow, geometry: Geometry, options: ReadOptions, readers: Readers) -> SourceHeaders:
    with gathered(row.image, row.root) as path:
        image = read_image(path, options, readers)
        if not image.instances:
            return SourceHeaders(None, "its image is not DICOM")
        if any(frame != 1 for _, frame in image.places) or image.frame is not None or _is_tiled(image):
            return SourceHeaders(None, "its image is one DICOM file of many frames")
        headers = [open_header(file) for file in series_files(path) if is_dicom(file)]
    by_instance = {str(header.get("SOPInstanceUID")): header for header in headers}
    ordered = sorted(image.instances, key=lambda instance: image.places.get((instance, 1), 0))
    series = [_cut(by_instance[instance], (*_GEOMETRY, *_LATERALITY, *_IDENTITY)) for instance in ordered]
    reason = _unfit(series, geometry)
    if reason:
        return SourceHeaders(None, reason)
    if image.places:
        _state_thickness(series, geometry)
    return SourceHeaders(SourceSeries("slices" if image.places else "projection", tuple(series)))


def _state_thickness(series: Sequence[Dataset], geometry: Geometry) -> None:
    """Let slices that state no thickness have the measured distance between them: an object has to state one."""
    for instance in series:
        if not instance.get("SliceThickness"):
            instance.SliceThickness = f"{np.linalg.norm(geometry.affine[:3, 2]):.6g}"


def _is_tiled(image: ImageFile) -> bool:
    """Tell whether one instance holds a whole volume without saying which frame is which slice: a mosaic."""
    return not image.places and len(image.volume.geometry.shape) == 3


def _cut(header: Dataset, keywords: Iterable[str]) -> Dataset:
    """Return a new data set with these elements alone, those that it has."""
    cut = Dataset()
    for keyword in keywords:
        if keyword in header:
            cut.add(header[keyword])
    return cut


def _unfit(series: Sequence[Dataset], geometry: Geometry) -> str:
    """Return why objects that refer to these instances would lie elsewhere than the audit's arrays; '' if they fit."""
    sizes = {(int(instance.Columns), int(instance.Rows)) for instance in series}
    if len(geometry.shape) == 2:
        return "" if sizes == {geometry.shape[::-1]} else "its image was read on another grid than its file's"
    if not all(instance.get("FrameOfReferenceUID") for instance in series):
        return "its slices state no frame of reference, which objects that lie on them need"
    if sizes != {geometry.shape[:2]} or len(series) != geometry.shape[2]:
        return "its image was read on another grid than its files'"
    step = geometry.affine[:3, 2]
    normal = np.cross(geometry.affine[:3, 0], geometry.affine[:3, 1])
    lean = np.linalg.norm(step - normal * (step @ normal) / (normal @ normal))
    if lean > _TILT * np.linalg.norm(step):
        return "its slices are sheared (a tilted gantry), and the objects' grids are not"
    positions = np.array([[float(part) for part in instance.ImagePositionPatient] for instance in series])
    expected = (np.linalg.inv(lps_to_ras(np.eye(4))) @ _starts(geometry).T).T[:, :3]
    if np.abs(positions - expected).max() > np.linalg.norm(step) / 2:
        return "its slices do not lie where the audit took them to lie"
    return ""


def _starts(geometry: Geometry) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the positions (RAS+ mm, homogeneous) of each slice's first voxel, shape (slices, 4)."""
    index = np.zeros((geometry.shape[2], 3))
    index[:, 2] = np.arange(geometry.shape[2])
    return np.concatenate([geometry.world(index), np.ones((geometry.shape[2], 1))], axis=1)


def with_identity(source: SourceSeries) -> SourceSeries:
    """Return a source as the archive has it: patient, study and UIDs."""
    return SourceSeries(source.kind, tuple(_completed(instance) for instance in source.instances))


def pseudonymous(source: SourceSeries, names: PatientNames) -> SourceSeries:
    """Return a source whose patient, study and UIDs are pseudonyms: nothing of it leads back without the key."""
    return SourceSeries(
        source.kind, tuple(_renamed(instance, names, place) for place, instance in enumerate(source.instances))
    )


def _renamed(instance: Dataset, names: PatientNames, place: int) -> Dataset:
    renamed = _completed(_cut(instance, (*_GEOMETRY, *_LATERALITY)))
    renamed.PatientID, renamed.PatientName = names.patient, f"{names.patient}^pseudonym"
    renamed.PatientIdentityRemoved = "YES"
    renamed.DeidentificationMethod = "camaudit: allow-list of attributes, keyed pseudonyms"
    renamed.StudyInstanceUID = derived_uid("study", names.study)
    renamed.SeriesInstanceUID = derived_uid("series", names.study)
    renamed.SOPInstanceUID = derived_uid("image", names.study, str(place))
    if "FrameOfReferenceUID" in renamed:
        renamed.FrameOfReferenceUID = derived_uid("frame", names.frame or names.study)
    return renamed


def _completed(instance: Dataset) -> Dataset:
    """Return an instance with its text decoded, to be written in UTF-8, and what must stand in every object."""
    completed = _cut(instance, (element.keyword for element in instance))
    for element in instance:
        if element.VR == "PN":
            setattr(completed, element.keyword, str(element.value or ""))
    completed.SpecificCharacterSet = _UTF_8
    if completed.get("PatientSex") not in _SEXES:
        completed.PatientSex = None
    for keyword in _EMPTY:
        if keyword not in completed:
            setattr(completed, keyword, None)
    return completed
