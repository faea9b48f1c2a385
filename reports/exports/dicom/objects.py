"""All objects of a study, and those of the run as a whole, in the order in which they are sent."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from pipeline.errors import OutputError
from pipeline.findings.exported.study import ExportedStudy
from pipeline.findings.pictures.panels import load_panels
from reports.exports.dicom.context import DicomObject, ExportContext
from reports.exports.dicom.encapsulated_pdf import cohort_report, study_sheet
from reports.exports.dicom.key_images import key_note, key_picture
from reports.exports.dicom.measurements import measurement_report
from reports.exports.dicom.parametric_map import NO_PLACE, parametric_map
from reports.exports.dicom.segmentation import segmented

__all__ = ["PartLeftOut", "RunPapers", "run_objects", "study_objects"]


@dataclass(frozen=True)
class PartLeftOut:
    """A part of a study that has no object, and why."""

    reason: str


@dataclass(frozen=True)
class RunPapers:
    """What objects are made of beside arrays: the run's folder, its report (None: no sound one), its cases' pages.

    ``report`` may be signed: its bytes are not touched.
    """

    run: Path
    report: Path | None
    sheets: Path


def run_objects(papers: RunPapers, context: ExportContext) -> Iterator[DicomObject | PartLeftOut]:
    """Yield the run's report.

    Raises:
        OutputError: when it cannot be read.
    """
    if papers.report is None:
        yield PartLeftOut("the report is not there, or not the one that the ledger tells of; see camaudit report")
        return
    yield DicomObject("report", "the report", cohort_report(_bytes_of(papers.report), context))


def study_objects(
    study: ExportedStudy, context: ExportContext, papers: RunPapers
) -> Iterator[DicomObject | PartLeftOut]:
    """Yield a study's segmentation, maps, measurements, sheet and pictures, and what has no object.

    Raises:
        OutputError: when a map, a panel or a page cannot be read.
    """
    for part in _objects(study, context, papers):
        if isinstance(part, DicomObject) and study.source is not None:
            _say_whose(part.dataset, study.source.instances[0])
        yield part


def _say_whose(dataset: Dataset, source: Dataset) -> None:
    """Copy what libraries leave out of who the patient is, or that he is not named."""
    for keyword in ("IssuerOfPatientID", "PatientIdentityRemoved", "DeidentificationMethod"):
        if keyword in source:
            dataset.add(source[keyword])


def _objects(study: ExportedStudy, context: ExportContext, papers: RunPapers) -> Iterator[DicomObject | PartLeftOut]:
    segments = segmented(study, context)
    if segments.dataset is not None:
        yield DicomObject("segmentation", "regions and masks", segments.dataset)
    yield from (PartLeftOut(reason) for reason in segments.left_out)
    for number, exported in enumerate(study.maps, start=1):
        if study.source is not None and study.source.kind == "slices":
            yield DicomObject(f"map-{number:02}", exported.name, parametric_map(study, exported, context))
        else:
            yield PartLeftOut(f"map {exported.name}: {NO_PLACE}; its values are in --nifti")
    yield DicomObject("measurements", "scores", measurement_report(study, segments, context))
    sheet = papers.sheets / f"{study.study}.pdf"
    if sheet.is_file():
        yield DicomObject("sheet", "audit sheet", study_sheet(_bytes_of(sheet), study, context))
    yield from _key_objects(study, context, papers.run)


def _key_objects(study: ExportedStudy, context: ExportContext, run: Path) -> Iterator[DicomObject]:
    """Yield the pictures of a study that the report shows, with their note."""
    entry = next((case for case in context.results.cases if case.study == study.study), None)
    if entry is None or entry.panels is None:
        return
    case = load_panels(run / entry.panels)
    pictures: list[Dataset] = []
    for number, method in enumerate(case.views[0].maps, start=1):
        pictures.append(key_picture(case, method, study, context))
        yield DicomObject(f"picture-{number:02}", f"overlay of {method}", pictures[-1])
    if pictures:
        yield DicomObject("key-note", "key image note", key_note(pictures, study, context))


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise OutputError(f"{path}: cannot be read: {error.strerror}") from error
