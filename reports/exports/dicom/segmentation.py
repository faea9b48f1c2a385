"""Map regions and experts' masks as one Segmentation: every map and every reader a segment of its own."""

from dataclasses import dataclass

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import Segmentation, SegmentDescription
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.codedict import codes

from pipeline.findings.exported.study import ExportedMap, ExportedMask, ExportedStudy, MapOnImage
from reports.exports.dicom.codes import CONSENSUS_OF_READERS, EXPERT_MASK, MAP_REGION, coded
from reports.exports.dicom.context import MANUFACTURER, ExportContext, ObjectNames, fitted_text

__all__ = ["SegmentedStudy", "segmented"]

NAMES = ObjectNames("segmentation", "all", 9003, "Map regions and experts' masks")


@dataclass(frozen=True, eq=False)
class SegmentedStudy:
    """A study's segmentation (None: nothing is marked), its segments' numbers by map, and what has none, and why."""

    dataset: Dataset | None
    of_map: dict[str, int]
    left_out: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Segment:
    name: str
    marked: NDArray[np.bool_]
    description: SegmentDescription


def segmented(study: ExportedStudy, context: ExportContext) -> SegmentedStudy:
    """Return the regions of a study's maps and its readers' masks; overlapping ones are kept apart (BINARY).

    Region and mask that mark nothing make no segment.
    """
    if study.source is None:
        raise ValueError("a segmentation needs the DICOM series that it refers to")
    segments: list[_Segment] = []
    left_out: list[str] = []
    for exported in study.maps:
        placed = exported.on_image()
        if placed.region is None or not placed.region.any():
            left_out.append(f"region of {exported.name}: {placed.reason or 'the map is constant'}")
        else:
            segments.append(_of_map(len(segments) + 1, exported, placed, (study, context)))
    of_map = {segment.name: number for number, segment in enumerate(segments, start=1)}
    for mask in study.masks:
        if mask.array.any():
            segments.append(_of_mask(len(segments) + 1, mask, study, context))
        else:
            left_out.append(f"mask of {mask.reader} for {mask.label}: it is empty")
    if not segments:
        return SegmentedStudy(None, {}, tuple(left_out))
    return SegmentedStudy(_written(study, segments, context), of_map, tuple(left_out))


def _of_map(
    number: int, exported: ExportedMap, placed: MapOnImage, of: tuple[ExportedStudy, ExportContext]
) -> _Segment:
    study, context = of
    if placed.region is None:
        raise ValueError("a map without a region has no segment")
    label = fitted_text(f"Map: {exported.name}", 64)
    description = SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=codes.SCT.SpatialAndRelationalConcept,
        segmented_property_type=coded(*MAP_REGION),
        algorithm_type="AUTOMATIC",
        algorithm_identification=context.algorithm(exported, placed),
        tracking_uid=context.uid(study.seed, "tracking", exported.name),
        tracking_id=label,
    )
    return _Segment(exported.name, placed.region, description)


def _of_mask(number: int, mask: ExportedMask, study: ExportedStudy, context: ExportContext) -> _Segment:
    label = fitted_text(f"{mask.reader}: {mask.label or 'no label'}", 64)
    consensus = AlgorithmIdentificationSequence(
        name=fitted_text(mask.reader, 64),
        family=coded(*CONSENSUS_OF_READERS),
        version=context.results.provenance.camaudit,
        source=MANUFACTURER,
    )
    description = SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=coded(*EXPERT_MASK),
        algorithm_type="SEMIAUTOMATIC" if mask.computed else "MANUAL",
        algorithm_identification=consensus if mask.computed else None,
        tracking_uid=context.uid(study.seed, "tracking", "mask", mask.reader, mask.label),
        tracking_id=label,
    )
    return _Segment(label, mask.array, description)


def _written(study: ExportedStudy, segments: list[_Segment], context: ExportContext) -> Dataset:
    source = study.source
    if source is None:
        raise ValueError("a segmentation needs the DICOM series that it refers to")
    frames = np.stack([source.frames(segment.marked) for segment in segments], axis=-1)
    dataset = Segmentation(
        source_images=list(source.instances),
        pixel_array=frames.view(np.uint8),
        segmentation_type="BINARY",
        segment_descriptions=[segment.description for segment in segments],
        content_label="AUDIT",
        content_description=fitted_text(f"run {context.results.run}", 64),
        **context.placing(study, NAMES),
        **context.equipment,
    )
    if source.kind == "projection":
        dataset.PatientOrientation = source.instances[0].get("PatientOrientation")
    return context.finished(dataset, NAMES)
