"""A map as a Parametric Map: float32, signed and raw, at the source's voxels."""

import numpy as np
from highdicom import VOILUTTransformation
from highdicom.pm import ParametricMap, RealWorldValueMapping
from pydicom import Dataset
from pydicom.sr.codedict import codes

from pipeline.findings.exported.study import ExportedMap, ExportedStudy, MapOnImage
from reports.exports.dicom.codes import explanation_of
from reports.exports.dicom.context import ExportContext, ObjectNames, fitted_text

__all__ = ["NO_PLACE", "parametric_map"]

NO_PLACE = "a parametric map needs a frame of reference, which a projection has none of"
_CONTENT = "HEATMAP"
"""Viewers look for this label to draw a map in colours over its source."""


def parametric_map(study: ExportedStudy, exported: ExportedMap, context: ExportContext) -> Dataset:
    """Return a map with the values that it has at the image's voxels, 0 where the model saw nothing.

    The IOD asks for a frame of reference and a place of every frame: a projection has none (``NO_PLACE``).
    """
    source, placed = study.source, exported.on_image()
    if source is None or source.kind != "slices":
        raise ValueError("a parametric map needs the DICOM slices that it refers to")
    names = ObjectNames("map", exported.name, 9010 + study.maps.index(exported), f"Map: {exported.name}"[:44])
    low, high = float(placed.values.min()), float(placed.values.max())
    dataset = ParametricMap(
        source_images=list(source.instances),
        pixel_array=np.asarray(source.frames(placed.values), dtype=np.float32),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[_mapping(exported, low, high)],
        voi_lut_transformations=[_window(low, high)],
        content_label=_CONTENT,
        content_description=fitted_text(exported.name, 64),
        **context.placing(study, names),
        **context.equipment,
    )
    dataset.Laterality = source.instances[0].get("Laterality")  # asked for, if only as nothing
    dataset.DerivationDescription = _derivation(exported, placed, context)
    return context.finished(dataset, names)


def _window(low: float, high: float) -> VOILUTTransformation:
    """Return the window that shows every value; the exact function alone may be narrower than 1."""
    width = max(high - low, float(np.finfo(np.float32).tiny))
    return VOILUTTransformation((low + high) / 2, width, voi_lut_function="LINEAR_EXACT")


def _mapping(exported: ExportedMap, low: float, high: float) -> RealWorldValueMapping:
    return RealWorldValueMapping(
        lut_label=fitted_text(exported.method, 16),
        lut_explanation=fitted_text(exported.name, 64),
        unit=codes.UCUM.NoUnits,
        value_range=(low, high),
        slope=1.0,
        intercept=0.0,
        quantity_definition=explanation_of(exported.method),
    )


def _derivation(exported: ExportedMap, placed: MapOnImage, context: ExportContext) -> str:
    """Return what made the map, for readers: the IOD has no place for an algorithm."""
    parameters = context.parameters(exported, placed)
    return fitted_text("; ".join(f"{key}={value}" for key, value in parameters.items()), 1024)
