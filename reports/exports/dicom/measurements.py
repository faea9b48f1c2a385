"""The scores of a study's maps as a measurement report (TID 1500), one group for each map and reader.

The document is complete for what it holds, and neither final nor verified: no physician has looked at it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from highdicom.sr import (
    Comprehensive3DSR,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    ReferencedSegment,
    ReferencedSegmentationFrame,
    SourceImageForSegmentation,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom import Dataset
from pydicom.sr.codedict import codes

from pipeline.findings.exported.study import ExportedMap, ExportedStudy, MapReaderScores
from pipeline.findings.exported.uids import derived_uid
from pipeline.findings.scores import Score
from reports.exports.dicom.codes import (
    ANSWER,
    EXPLAINED,
    MAP_REGION,
    coded,
    label_code,
    method_code,
    metric_code,
    probability_code,
    undefined_code,
    unit_code,
)
from reports.exports.dicom.context import MANUFACTURER, ExportContext, ObjectNames, fitted_text
from reports.exports.dicom.segmentation import SegmentedStudy

__all__ = ["measurement_report"]

_NAMES = ObjectNames("measurements", "all", 9004, "Scores of maps against experts' masks")


@dataclass(frozen=True, eq=False)
class _Measured:
    """A study being reported on."""

    study: ExportedStudy
    segments: SegmentedStudy
    context: ExportContext

    @property
    def images(self) -> Sequence[Dataset]:
        return () if self.study.source is None else self.study.source.instances


def measurement_report(study: ExportedStudy, segments: SegmentedStudy, context: ExportContext) -> Dataset:
    """Return a study's scores and the model's answer; a score without a value is its reason, never a number."""
    if study.source is None:
        raise ValueError("a measurement report needs the DICOM series that it refers to")
    measured = _Measured(study, segments, context)
    groups = [_answer(measured), *_map_groups(measured)]
    content = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=_observer(context)),
        procedure_reported=codes.SCT.ImagingProcedure,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
        referenced_images=_for_library(measured.images),
    )
    evidence = [*measured.images, *([segments.dataset] if segments.dataset is not None else ())]
    dataset = Comprehensive3DSR(
        evidence=evidence,
        content=content[0],
        is_complete=True,
        is_final=False,
        is_verified=False,
        **context.placing(study, _NAMES),
    )
    for keyword, value in _equipment(context).items():
        setattr(dataset, keyword, value)
    return context.finished(dataset, _NAMES)


def _for_library(images: Sequence[Dataset]) -> list[Dataset] | None:
    """Return the images that the library describes: of a projection it has to state the spacing at the detector."""
    flat = images[0].get("ImagePositionPatient") is None
    return None if flat and images[0].get("ImagerPixelSpacing") is None else list(images)


def _equipment(context: ExportContext) -> dict[str, str]:
    return {"ManufacturerModelName": MANUFACTURER, "SoftwareVersions": context.software}


def _observer(context: ExportContext) -> ObserverContext:
    """Return the program as the observer: it measured; the model is contributing equipment."""
    device = DeviceObserverIdentifyingAttributes(
        uid=derived_uid("program", context.software),
        name=context.software,
        manufacturer_name=MANUFACTURER,
        model_name=MANUFACTURER,
    )
    return ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)


def _answer(measured: _Measured) -> ContentSequence:
    """Return what the model said of the whole study."""
    audit, study, context = measured.study.audit, measured.study, measured.context
    outputs = {**audit.probabilities, **audit.values}
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(context.uid(study.seed, "tracking", "answer"), "Answer of the model"),
        measurements=[
            Measurement(probability_code(label), float(value), codes.UCUM.NoUnits) for label, value in outputs.items()
        ],
        qualitative_evaluations=[QualitativeEvaluation(coded(*ANSWER), label_code(label)) for label in audit.predicted],
    )


def _map_groups(measured: _Measured) -> Iterator[ContentSequence]:
    for exported in measured.study.maps:
        for scores in exported.readers:
            if scores.scores:
                yield _group(measured, exported, scores)


def _group(measured: _Measured, exported: ExportedMap, scores: MapReaderScores) -> ContentSequence:
    """Return a map's scores against one reader, at the map's region where it has one."""
    context, study = measured.context, measured.study
    against = f"{exported.name} against {scores.reader or 'no reader'} ({scores.target_role})"
    arguments = {
        "tracking_identifier": TrackingIdentifier(
            context.uid(study.seed, "tracking", exported.name, scores.reader or "", scores.target_role),
            fitted_text(against, 255),
        ),
        "finding_type": coded(*MAP_REGION),
        "method": method_code(exported.method, context.method_title(exported.method)),
        "measurements": [
            _measurement(score.name, score.value, context) for score in scores.scores if score.value is not None
        ],
        "qualitative_evaluations": [
            QualitativeEvaluation(coded(*EXPLAINED), label_code(exported.target)),
            *(_undefined(score, context) for score in scores.scores if score.value is None),
        ],
    }
    number = measured.segments.of_map.get(exported.name)
    if number is None or measured.segments.dataset is None:
        return MeasurementsAndQualitativeEvaluations(**arguments)
    if len(measured.images) == 1:
        region = _segment_frame(measured.segments.dataset, number, measured.images[0])
        return PlanarROIMeasurementsAndQualitativeEvaluations(referenced_segment=region, **arguments)
    segment = _segment(measured.segments.dataset, number, measured.images)
    return VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=segment, **arguments)


def _measurement(name: str, value: float, context: ExportContext) -> Measurement:
    return Measurement(metric_code(name, context.metrics), float(value), unit_code(name, context.metrics))


def _undefined(score: Score, context: ExportContext) -> QualitativeEvaluation:
    return QualitativeEvaluation(metric_code(score.name, context.metrics), undefined_code(str(score.reason)))


def _source_image(image: Dataset) -> SourceImageForSegmentation:
    return SourceImageForSegmentation(str(image.SOPClassUID), str(image.SOPInstanceUID))


def _segment(segmentation: Dataset, number: int, images: Sequence[Dataset]) -> ReferencedSegment:
    """Refer to a segment; highdicom 0.28's ``from_segmentation`` fails where there is only one."""
    sources = [_source_image(image) for image in images]
    where = str(segmentation.SOPClassUID), str(segmentation.SOPInstanceUID)
    return ReferencedSegment(*where, number, source_images=sources)


def _segment_frame(segmentation: Dataset, number: int, image: Dataset) -> ReferencedSegmentationFrame:
    frame = _frame_of(segmentation, number)
    where = str(segmentation.SOPClassUID), str(segmentation.SOPInstanceUID)
    return ReferencedSegmentationFrame(*where, frame, number, _source_image(image))


def _frame_of(segmentation: Dataset, number: int) -> int:
    """Return the number, from 1 on, of the only frame of a segment of one picture; it is shared where it is alone."""
    groups = [*segmentation.PerFrameFunctionalGroupsSequence]
    for place, group in enumerate(groups, start=1):
        identified = group.get("SegmentIdentificationSequence")
        if identified and int(identified[0].ReferencedSegmentNumber) == number:
            return place
    return 1
