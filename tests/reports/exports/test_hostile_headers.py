"""Objects of headers that somebody wrote to break something: written or refused, and nothing of them quoted."""

import logging
import warnings

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from pipeline.exports.source_series import PatientNames, _state_thickness, _unfit, pseudonymous, with_identity
from pipeline.findings.exported.study import ExportedMask, ExportedStudy, SourceSeries
from pipeline.findings.study_audit import StudyAudit
from pipeline.studies.geometry import Geometry
from pipeline.studies.readers.shared.base import guarded
from reports.exports.dicom.context import ExportContext
from reports.exports.dicom.folder import DicomFolder
from reports.exports.dicom.objects import RunPapers
from tests.pipeline.studies.writers import slices
from tests.reports.example import results

SHAPE, AFFINE = (5, 4, 3), np.diag([1.0, 1.0, 2.0, 1.0])
HOSTILE = {
    "PatientName": ["SECRET", "SECRET\nNAME", "SECRET=^^=^", "S" * 300, "SECRET\\OTHER"],
    "PatientID": ["SECRET" * 20, "SECRET\\1", ""],
    "PatientBirthDate": ["SECRET", "19991340", "0"],
    "PatientSex": ["SECRET", "m"],
    "StudyDate": ["SECRET", "20201301"],
    "StudyTime": ["SECRET", "999999"],
    "AccessionNumber": ["SECRET" * 20],
    "StudyDescription": ["SECRET\x1b$B"],
    "SpecificCharacterSet": ["SECRET", ["", "ISO 2022 IR 87"]],
    "PatientAge": ["SECRET"],
    "FrameOfReferenceUID": ["1.2.SECRET"],
}


def exported(change, **more):
    """Return a study whose source's headers are changed, with one expert's mask."""
    images = slices(np.zeros(SHAPE, np.int16), AFFINE)
    instances = []
    for image in images:
        header = Dataset()
        header.update({element.tag: element for element in image if element.keyword != "PixelData"})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            change(header)
        instances.append(header)
    source = SourceSeries("slices", tuple(instances))
    mask = np.zeros(SHAPE, bool)
    mask[1:3, 1:3, 1] = True
    audit = StudyAudit(study="S-1", patient="P-1", source_sha256="0" * 64, status="analysed", predicted=("lesion",),
                       probabilities={"lesion": 0.9})  # fmt: skip
    masks = (ExportedMask(more.get("reader", "anna"), more.get("label", "lesion"), mask),)
    return ExportedStudy("S-1", "P-1", SHAPE, AFFINE, (), masks, audit, "S-1", source)


def identified(study):
    return ExportedStudy(**{**study.__dict__, "source": with_identity(study.source), "identified": True, "seed": "E-1"})


def nameless(study):
    names = PatientNames("S-1", "P-1", None)
    return ExportedStudy(**{**study.__dict__, "source": pseudonymous(study.source, names)})


def folder_in(tmp_path):
    return DicomFolder(tmp_path / "out", RunPapers(tmp_path, None, tmp_path), ExportContext(results(), "0.1.0"))


@pytest.mark.parametrize(("keyword", "value"), [(key, value) for key, values in HOSTILE.items() for value in values])
def test_a_hostile_header_is_written_or_refused_and_never_quoted(keyword, value, tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    study = exported(lambda header: setattr(header, keyword, value))
    studies = guarded("its header", lambda: [identified(study), nameless(study)])  # as the exporter does
    caplog.clear()  # what was said while the header was written
    outcomes = [folder_in(tmp_path).write(each) for each in studies]
    for outcome in outcomes:
        assert bool(outcome.files) != bool(outcome.refused)
        assert "SECRET" not in f"{outcome.refused} {outcome.left_out}"
        assert outcome.refused or all(dcmread(path).SOPInstanceUID for path in outcome.files)
    assert outcomes[1].refused is None, "what is not copied cannot break anything"
    for path in outcomes[1].files:
        assert b"SECRET" not in path.read_bytes()
    assert outcomes[0].files or not any((tmp_path / "out" / "E-1").glob("*.dcm")), "complete or absent"
    assert "SECRET" not in caplog.text
    assert "SECRET" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("reader", ["Dr. \u00c4nna \\ B\n" + "x" * 90, "\u8aad\u5f71\u533b", "..", "=1+1"])
def test_a_reader_may_be_called_anything(reader, tmp_path):
    study = exported(lambda header: None, reader=reader, label=reader)
    outcome = folder_in(tmp_path).write(nameless(study))
    assert outcome.refused is None
    segment = dcmread(tmp_path / "out" / "S-1" / "segmentation.dcm").SegmentSequence[0]
    assert 0 < len(segment.SegmentLabel) <= 64
    assert "\\" not in segment.SegmentLabel
    assert all(path.parent == tmp_path / "out" / "S-1" for path in outcome.files)


def test_slices_without_a_frame_of_reference_are_refused_and_a_thickness_is_measured():
    def change(header):
        header.FrameOfReferenceUID, header.SliceThickness = "", None

    instances = exported(change).source.instances
    geometry = Geometry(SHAPE, AFFINE)
    assert _unfit(instances, geometry) == "its slices state no frame of reference, which objects that lie on them need"
    _state_thickness(instances, geometry)
    assert {instance.SliceThickness for instance in instances} == {2.0}
