"""A report as an Encapsulated PDF: its bytes unchanged, so that a signature in it holds."""

from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, EncapsulatedPDFStorage, ExplicitVRLittleEndian

from pipeline.findings.exported.study import ExportedStudy
from pipeline.findings.exported.uids import derived_uid
from reports.exports.dicom.codes import REPORT_TITLE, coded
from reports.exports.dicom.context import MANUFACTURER, ExportContext, ObjectNames, fitted_text

__all__ = ["cohort_report", "study_sheet"]

_PATIENT_AND_STUDY = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientIdentityRemoved"),
    *("DeidentificationMethod", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "StudyDescription"),
    *("AccessionNumber", "ReferringPhysicianName"),
)


def cohort_report(pdf: bytes, context: ExportContext) -> Dataset:
    """Return the report of a run as an object of a study of its own: it is about no patient.

    Its subject is marked as a quality control subject, so that a PACS keeps it apart from patients.
    """
    results = context.results
    study = Dataset()
    study.PatientID = fitted_text(f"AUDIT-{results.run}", 64)
    study.PatientName = fitted_text(f"AUDIT^{results.audit}", 64)
    study.PatientBirthDate = study.PatientSex = study.AccessionNumber = study.ReferringPhysicianName = None
    study.QualityControlSubject = "YES"
    study.StudyInstanceUID = derived_uid("cohort", results.run)
    study.StudyID = None
    study.StudyDate, study.StudyTime = context.moment.strftime("%Y%m%d"), context.moment.strftime("%H%M%S")
    study.StudyDescription = fitted_text(f"Model audit: {results.title}", 64)
    names = ObjectNames("report", "cohort", 9001, "Report of a model audit")
    return _encapsulated(pdf, study, results.run, (context, names))


def study_sheet(pdf: bytes, study: ExportedStudy, context: ExportContext) -> Dataset:
    """Return the page of one study as an object of that study, which must have a source."""
    if study.source is None:
        raise ValueError("a sheet needs the DICOM study that it belongs to")
    header, copied = study.source.instances[0], Dataset()
    for keyword in _PATIENT_AND_STUDY:
        if keyword in header:
            copied.add(header[keyword])
    return _encapsulated(pdf, copied, study.seed, (context, ObjectNames("sheet", "page", 9002, "Audit sheet")))


def _encapsulated(pdf: bytes, about: Dataset, seed: str, how: tuple[ExportContext, ObjectNames]) -> Dataset:
    context, names = how
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = EncapsulatedPDFStorage, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = UID(context.uid(seed, "instance", names.kind, names.part))
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    for element in about:
        dataset.add(element)
    dataset.SOPClassUID, dataset.SOPInstanceUID = EncapsulatedPDFStorage, meta.MediaStorageSOPInstanceUID
    dataset.SeriesInstanceUID = context.uid(seed, "series", names.kind, names.part)
    dataset.SeriesNumber, dataset.InstanceNumber, dataset.Modality = names.series, 1, "DOC"
    dataset.Manufacturer, dataset.ManufacturerModelName = MANUFACTURER, MANUFACTURER
    dataset.SoftwareVersions, dataset.DeviceSerialNumber = context.software, "none"
    dataset.ConversionType, dataset.AcquisitionDateTime = "WSD", None
    dataset.BurnedInAnnotation = "YES"  # pseudonyms and dates stand in the page
    dataset.DocumentTitle = fitted_text(context.results.title, 1024)
    dataset.ConceptNameCodeSequence = [coded(*REPORT_TITLE)]
    dataset.VerificationFlag = "UNVERIFIED"
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocumentLength = len(pdf)
    dataset.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    return context.finished(dataset, names)
