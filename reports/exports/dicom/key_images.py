"""For a PACS that shows neither segmentations nor maps: pictures of the cases that a report shows, and their note.

Picture and overlay stand side by side, with the words NOT FOR DIAGNOSIS in the pixels. They are drawn from the panels
that the run keeps: what was withheld from the report is withheld here.
"""

from collections.abc import Sequence

import numpy as np
from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from highdicom.sc import SCImage
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

from pipeline.findings.exported.study import ExportedStudy
from pipeline.findings.pictures.panels import CasePanels
from reports.exports.dicom.context import ExportContext, ObjectNames, fitted_text
from reports.numbers import raw
from reports.page import draw
from reports.pictures.raster import PagePlane, image_raster, map_raster

__all__ = ["key_note", "key_picture"]

_WARNING = "NOT FOR DIAGNOSIS"
_LINE, _MARGIN = 14, 4
_LEAST_WIDTH = 256
_BY_DICOM = {"I": "F", "S": "H"}
Pixels = NDArray[np.uint8]


def key_picture(case: CasePanels, method: str, study: ExportedStudy, context: ExportContext) -> Dataset:
    """Return the case's main view beside one of its maps, as a Secondary Capture in colour."""
    if study.source is None:
        raise ValueError("a picture needs the DICOM study that it belongs to")
    number = 9100 + list(case.views[0].maps).index(method)
    names = ObjectNames("picture", method, number, fitted_text(f"Overlay: {method}", 44))
    placing = context.placing(study, names)
    dataset = SCImage.from_ref_dataset(
        study.source.instances[0],
        _pixels(case, method),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "P"),  # what it really is follows
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **placing,
    )
    dataset.PatientOrientation = _orientation(case)
    dataset.Laterality = study.source.instances[0].get("Laterality")
    dataset.ConversionType, dataset.Modality, dataset.BurnedInAnnotation = "WSD", "OT", "YES"
    threshold = case.thresholds.get(method)
    region = "no region" if threshold is None else f"region above {raw(threshold)}"
    dataset.DerivationDescription = fitted_text(
        f"{_WARNING}: {method} for {case.target} over the image, {region}; run {context.results.run}", 1024
    )
    return context.finished(dataset, names)


def _orientation(case: CasePanels) -> list[str] | None:
    """Return where a row and a column run to, by DICOM's letters; None where that is not known."""
    _, right, _, bottom = case.views[0].letters
    return [_BY_DICOM.get(letter, letter) for letter in (right, bottom)] if right and bottom else None


def _pixels(case: CasePanels, method: str) -> Pixels:
    """Return the view and the map over it, side by side, above two lines of text; shape (rows, columns, 3)."""
    plane = PagePlane(case.views[0])
    over = map_raster(plane, case.window, method, draw.Range(*case.ranges[method]), case.thresholds.get(method))
    alone = image_raster(plane, case.window).convert("RGB").resize(over.size)
    width = max(_LEAST_WIDTH, 2 * over.width + _MARGIN)
    canvas = Image.new("RGB", (width, over.height + 2 * _LINE + _MARGIN), "black")
    canvas.paste(alone, (0, 0))
    canvas.paste(over, (over.width + _MARGIN, 0))
    text = ImageDraw.Draw(canvas)
    text.text((_MARGIN, over.height + 1), f"{_WARNING}  camaudit", fill="yellow")
    caption = f"{method} for {case.target}".encode("ascii", "replace").decode()
    text.text((_MARGIN, over.height + 1 + _LINE), caption, fill="white")
    return np.asarray(canvas, dtype=np.uint8)


def key_note(pictures: Sequence[Dataset], study: ExportedStudy, context: ExportContext) -> Dataset:
    """Return the note that points at a study's pictures, with the warning as its first words."""
    names = ObjectNames("key", "note", 9005, "Overlays of the audit")
    content = KeyObjectSelection(
        document_title=codes.DCM.ForResearch,
        referenced_objects=list(pictures),
        description=f"{_WARNING}. Explanation maps of an audited model, run {context.results.run}.",
    )
    placing = context.placing(study, names)
    return context.finished(KeyObjectSelectionDocument(evidence=list(pictures), content=content, **placing), names)
