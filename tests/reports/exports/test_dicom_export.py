"""A run's findings as DICOM, read back with other libraries: where they lie, what they say, and whom they name."""

import os
import shutil
import subprocess
from pathlib import Path

import highdicom
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import (
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    KeyObjectSelectionDocumentStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from flows.commands.exporting.export import export_run
from flows.commands.exporting.request import ExportRequest
from pipeline.errors import ConfigError, OutputError
from pipeline.exports.source_series import _unfit
from pipeline.findings.results import load_results
from pipeline.studies.geometry import Geometry
from reports.exports.dicom.codes import (
    ANSWER,
    CONSENSUS_OF_READERS,
    EXPERT_MASK,
    EXPLAINED,
    MAP_REGION,
    REPORT_TITLE,
)
from tests.flows.test_nobody_is_identified import found_in
from tests.reports.exports.exported_run import BLOCK, SHAPE, outlined

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def test_every_study_is_exported_or_named_with_its_reason(ct):
    account = ct.accounts["pseudonyms"]
    assert (account.studies, account.exported, account.not_analysed, account.code) == (4, 2, [], 2)
    names = [audit.study for audit in ct.audits]
    assert account.refused == [
        (names[2], "--dicom: its slices are sheared (a tilted gantry), and the objects' grids are not; see --nifti"),
        (names[3], "--dicom: its image is not DICOM; see --nifti"),
    ]
    assert account.parts == []
    assert ct.accounts["again"].files == len(list(ct.folders["again"].rglob("*.dcm"))) == 12


def test_the_same_run_gives_the_same_bytes(ct):
    first, second = ct.folders["pseudonyms"], ct.folders["again"]
    files = sorted(path.relative_to(first) for path in first.rglob("*.dcm"))
    assert files == sorted(path.relative_to(second) for path in second.rglob("*.dcm"))
    assert [name for name in files if (first / name).read_bytes() != (second / name).read_bytes()] == []


def test_nobody_is_named_unless_that_is_asked_for(ct, film):
    for exported in (ct, film):
        for path in exported.folders["pseudonyms"].rglob("*"):
            content = path.read_bytes().decode("latin-1") if path.is_file() else ""
            assert found_in(path.name + content) == []
            assert "ller^" not in content
    patients = {audit.study: audit.patient for audit in ct.audits}
    for study in (path for path in ct.folders["pseudonyms"].iterdir() if path.is_dir()):
        for path in study.iterdir():
            dataset = dcmread(path)
            assert (dataset.PatientID, dataset.PatientBirthDate, dataset.StudyDate) == (patients[study.name], "", "")
            assert dataset.PatientIdentityRemoved == "YES"


ALLOWED = {"PatientName", "PatientID", "IssuerOfPatientID", "PatientAge", "AccessionNumber", "StudyID",
           "StudyDescription", "ReferringPhysicianName", "DeidentificationMethod", "PatientIdentityRemoved",
           "PatientBirthDate", "StudyDate", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"}  # fmt: skip


def secrets_in(dataset):
    """Yield the keywords of elements, at all depths, that hold something planted."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from secrets_in(item)
        elif found_in(str(element.value)[:300]):
            yield element.keyword


def test_an_identified_object_has_its_patient_and_nothing_of_the_institution(ct):
    source = dcmread(ct.archive / "oblique" / "SECRET000.dcm")
    objects = [dcmread(path) for path in ct.folders["names"].glob("E-*/*.dcm")]
    assert len(objects) == 11
    own = [dataset for dataset in objects if dataset.PatientID == "SECRETID1"]
    assert len(own) == 10
    for dataset in own:
        assert str(dataset.PatientName) == str(source.PatientName) == "Müller^SECRET1"
        for keyword in ("StudyInstanceUID", "PatientBirthDate", "StudyDate", "AccessionNumber"):
            assert dataset[keyword].value == source[keyword].value
        assert set(secrets_in(dataset)) <= ALLOWED | {"ReferencedSOPInstanceUID", "UID"}
        assert dataset.Manufacturer == "camaudit"
        for item in dataset.ContributingEquipmentSequence:
            assert {"InstitutionName", "StationName"}.isdisjoint(element.keyword for element in item)
    pseudonyms = {audit.study for audit in ct.audits}
    assert pseudonyms.isdisjoint(path.name for path in ct.folders["names"].iterdir())
    folders = ("pseudonyms", "again", "names")
    uids = [{dataset.SOPInstanceUID for dataset in ct.objects(SegmentationStorage, name)} for name in folders]
    assert uids[0] == uids[1]
    assert uids[0].isdisjoint(uids[2]), "what has other content has another UID"
    if os.name == "posix":
        assert {path.stat().st_mode & 0o077 for path in ct.folders["names"].glob("E-*/*.dcm")} == {0}


def source_affine(ct):
    """Return the source's affine to LPS+ mm by the standard's formula, from files that come in the reverse order."""
    images = [dcmread(path) for path in (ct.archive / "oblique").iterdir()]
    rows, columns = np.array(images[0].ImageOrientationPatient, float).reshape(2, 3)
    images.sort(key=lambda image: np.dot(image.ImagePositionPatient, np.cross(rows, columns)))
    first, second = (np.array(image.ImagePositionPatient, float) for image in images[:2])
    tall, wide = map(float, images[0].PixelSpacing)
    affine = np.eye(4)
    affine[:3] = np.stack([rows * wide, columns * tall, second - first, first], axis=1)
    return affine


def volume_of(image):
    """Return an image's array (column, row, slice, ...) and its affine to LPS+ mm."""
    volume = image.get_volume(**({"combine_segments": False} if image.SOPClassUID == SegmentationStorage else {}))
    order = [2, 1, 0, *range(3, volume.array.ndim)]
    array, affine = volume.array.transpose(order), np.array(volume.affine)[:, [2, 1, 0, 3]]
    if np.linalg.det(affine[:3, :3]) < 0:  # its slices run against the normal: the other way round, where they were
        affine[:3, 3] += (array.shape[2] - 1) * affine[:3, 2]
        affine[:3, 2] *= -1
        array = array[:, :, ::-1]
    return array, affine


def test_a_map_lies_where_the_record_says_that_its_peak_is(ct):
    audit = ct.audits[0]
    for number, method in enumerate(("gradcam", "hirescam", "layercam"), start=1):
        array, affine = volume_of(highdicom.imread(ct.path(audit.study, f"map-{number:02}")))
        np.testing.assert_allclose(affine, source_affine(ct), atol=1e-3)
        assert array.dtype in (np.float32, np.float64)
        entry = next(entry for entry in audit.map_scores if entry.method == method)
        tied = np.argwhere(array == array.max())  # the record's is one of the voxels that are tied
        world = (LPS @ affine @ np.c_[tied, np.ones(len(tied))].T).T[:, :3]
        assert np.linalg.norm(world - entry.peak.position_mm, axis=1).min() < 1e-3
        np.testing.assert_allclose(array.max(), entry.peak.value, rtol=1e-6)


def test_a_maps_frames_are_its_sources_to_the_digit(ct):
    own = {tuple(map(str, dcmread(path).ImagePositionPatient)) for path in (ct.archive / "oblique").iterdir()}
    dataset = dcmread(ct.path(ct.audits[0].study, "map-01"))
    frames = dataset.PerFrameFunctionalGroupsSequence
    positions = [tuple(map(str, frame.PlanePositionSequence[0].ImagePositionPatient)) for frame in frames]
    assert len(positions) == SHAPE[2]
    assert set(positions) == own
    (mapping,) = dataset.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    quantity = mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0]
    assert (quantity.CodeValue, quantity.CodingSchemeDesignator) == ("130403", "DCM")
    assert (dataset.ContentLabel,) == ("HEATMAP",)
    assert f"weights sha256={load_results(ct.run).model.sha256}" in dataset.DerivationDescription


def test_overlapping_readers_are_segments_of_their_own_at_the_marked_voxels(ct):
    path = ct.path(ct.audits[0].study, "segmentation")
    array, affine = volume_of(highdicom.seg.segread(path))
    np.testing.assert_allclose(affine[:3, :3], source_affine(ct)[:3, :3], atol=1e-3)
    labels = [item.SegmentLabel for item in dcmread(path).SegmentSequence]
    assert labels[3:] == ["anna: lesion", "ben: lesion"]
    for number, grow in ((3, 0), (4, 1)):
        expected = np.argwhere(outlined(grow)[..., 0].transpose(2, 1, 0))
        places = (affine @ np.c_[np.argwhere(array[..., number]), np.ones(len(expected))].T).T
        wanted = (source_affine(ct) @ np.c_[expected, np.ones(len(expected))].T).T
        np.testing.assert_allclose(places[np.lexsort(places.T)], wanted[np.lexsort(wanted.T)], atol=1e-3)
    overlap = array[..., 3].astype(bool) & array[..., 4].astype(bool)
    assert overlap.sum() == np.prod([part.stop - part.start for part in BLOCK])


def test_a_maps_segment_says_what_made_it(ct):
    results = load_results(ct.run)
    first = dcmread(ct.path(ct.audits[0].study, "segmentation")).SegmentSequence[0]
    (algorithm,) = first.SegmentationAlgorithmIdentificationSequence
    for part in (f"weights sha256={results.model.sha256}", "method=gradcam", "layer=2", "threshold rule=otsu"):
        assert part in algorithm.AlgorithmParameters
    assert first.SegmentAlgorithmType == "AUTOMATIC"
    model, program = dcmread(ct.path(ct.audits[0].study, "segmentation")).ContributingEquipmentSequence
    assert model.DeviceUID.startswith("2.25.")
    assert f"sha256 {results.model.sha256[:56]}" in model.SoftwareVersions
    assert results.run in program.ContributionDescription


def measured(path):
    """Return a report's groups: what each is tracked as, its numbers by meaning, and its codes."""
    report = highdicom.sr.srread(path)
    groups = {}
    for item in walk(report):
        tracked = next((child.TextValue for child in item if meaning(child) == "Tracking Identifier"), None)
        if tracked is not None:
            groups[tracked] = list(item)
    return report, groups


def walk(dataset):
    for item in dataset.get("ContentSequence", ()):
        yield list(item.get("ContentSequence", ()))
        yield from walk(item)


def meaning(item):
    return item.ConceptNameCodeSequence[0].CodeMeaning if item.get("ConceptNameCodeSequence") else ""


def numbers_of(items):
    return {
        meaning(item): float(item.MeasuredValueSequence[0].NumericValue)
        for item in items
        if "MeasuredValueSequence" in item
    }


def test_scores_read_back_are_the_records(ct):
    audit = ct.audits[0]
    report, groups = measured(ct.path(audit.study, "measurements"))
    assert (report.VerificationFlag, report.PreliminaryFlag, report.CompletionFlag) == (
        "UNVERIFIED", "PRELIMINARY", "COMPLETE"
    )  # fmt: skip
    facts = {metric.name: metric.title for metric in load_results(ct.run).metrics}
    entries = [entry for entry in audit.map_scores if entry.map is not None]
    assert len(entries) == 6
    for entry in entries:
        items = groups[f"{entry.method} at 2 for lesion against {entry.reader} (reference)"]
        values = numbers_of(items)
        for score in entry.scores:
            if score.value is not None:
                assert values[facts[score.name]] == pytest.approx(score.value, rel=1e-9)
            else:
                assert facts[score.name] not in values
                (code,) = [item for item in items if meaning(item) == facts[score.name]]
                assert code.ConceptCodeSequence[0].CodeMeaning.startswith("Undefined: ")
    assert numbers_of(groups["Answer of the model"])["Model's output for lesion"] == pytest.approx(
        audit.probabilities["lesion"]
    )


def test_a_study_without_maps_has_the_models_answer_alone(ct):
    study = ct.audits[1].study
    assert [path.name for path in (ct.folders["pseudonyms"] / study).iterdir()] == ["measurements.dcm"]
    _, groups = measured(ct.path(study, "measurements"))
    assert list(groups) == ["Answer of the model"]


def test_the_report_is_enclosed_unchanged_and_belongs_to_no_patient(ct):
    (report,) = [item for item in ct.objects(EncapsulatedPDFStorage) if item.get("QualityControlSubject") == "YES"]
    pdf = (ct.run / "report.pdf").read_bytes()
    assert report.EncapsulatedDocument[: report.EncapsulatedDocumentLength] == pdf
    assert (report.Modality, report.MIMETypeOfEncapsulatedDocument) == ("DOC", "application/pdf")
    patients = {audit.patient for audit in ct.audits}
    assert report.PatientID not in patients
    assert len({item.StudyInstanceUID for item in ct.objects(EncapsulatedPDFStorage)}) == 2, "a sheet is its study's"


def test_pictures_are_marked_and_their_note_points_at_them(ct):
    pictures = ct.objects(SecondaryCaptureImageStorage)
    (note,) = ct.objects(KeyObjectSelectionDocumentStorage)
    named = {
        item.ReferencedSOPInstanceUID
        for content in note.ContentSequence
        for item in content.get("ReferencedSOPSequence", ())
    }
    assert named == {picture.SOPInstanceUID for picture in pictures}
    assert len(pictures) == 3
    for dataset in (*pictures, note):
        assert dataset.SeriesDescription.endswith("not for diagnosis")
    for picture in pictures:
        assert picture.BurnedInAnnotation == "YES"
        rgb = picture.pixel_array
        yellow = (rgb[..., 0] > 200) & (rgb[..., 1] > 200) & (rgb[..., 2] < 60)
        assert yellow[-30:].sum() > 100, "the warning stands in the pixels"
        assert picture.PatientOrientation


def test_a_radiograph_keeps_rows_and_columns_and_has_no_parametric_map(film):
    account = film.accounts["pseudonyms"]
    assert (account.studies, account.exported, account.code) == (2, 2, 0)
    assert film.objects(ParametricMapStorage) == []
    assert {reason.partition(":")[0] for _, reason in account.parts} == {"map gradcam at 2 for lesion"}
    for audit in film.audits:
        entry = next(entry for entry in audit.map_scores if entry.peak is not None)
        segmentation = dcmread(film.path(audit.study, "segmentation"))
        region = segmentation.pixel_array
        assert region.shape == (24, 32)
        down, across = np.argwhere(region).mean(axis=0)
        assert 4 <= down <= 9, "the block"
        assert 20 <= across <= 27, "the block, not its transpose"
        assert entry.peak.normalised is not None
        _, groups = measured(film.path(audit.study, "measurements"))
        assert "gradcam at 2 for lesion against no reader (reference)" not in groups


def test_what_is_installed_to_check_objects_finds_no_error(ct, film):
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("no dciodvfy: apt-get install dicom3tools")
    for exported in (ct, film):
        folders = [exported.folders[name] for name in exported.accounts]
        for path in (path for folder in folders for path in folder.rglob("*.dcm")):
            done = subprocess.run([program, "-new", path], capture_output=True, text=True, check=False)
            errors = [line for line in done.stderr.splitlines() if line.startswith("Error")]
            assert errors == [], path.name


def test_reports_are_read_by_dcmtk(ct):
    program = shutil.which("dsrdump")
    if program is None:
        pytest.skip("no dsrdump: apt-get install dcmtk")
    for dataset in (*ct.objects(Comprehensive3DSRStorage), *ct.objects(KeyObjectSelectionDocumentStorage)):
        done = subprocess.run([program, dataset.filename], capture_output=True, text=True, check=False)
        assert done.returncode == 0
        assert not [line for line in done.stderr.splitlines() if line.startswith("E:")]


def test_the_conformance_statement_names_what_is_written(ct, film):
    statement = (Path(__file__).parents[3] / "docs" / "dicom-conformance.md").read_text()
    objects = [dcmread(path) for exported in (ct, film) for path in exported.folders["pseudonyms"].rglob("*.dcm")]
    rows = {(item.SOPClassUID, item.Modality) for item in objects}
    assert len(rows) == 6
    for uid, modality in rows:
        assert f"| {uid} | {modality} |" in statement
    assert {str(item.file_meta.TransferSyntaxUID) for item in objects} == {"1.2.840.10008.1.2.1"}
    assert {item.SpecificCharacterSet for item in objects} == {"ISO_IR 192"}
    for value, meaning in (MAP_REGION, EXPERT_MASK, CONSENSUS_OF_READERS, REPORT_TITLE, ANSWER, EXPLAINED):
        assert f"| `{value}` | {meaning} |" in statement


def test_slices_that_lie_elsewhere_than_the_audit_took_them_to_lie_are_refused(ct):
    images = [dcmread(path) for path in sorted((ct.archive / "oblique").iterdir(), reverse=True)]
    geometry = Geometry(SHAPE, np.linalg.inv(LPS) @ source_affine(ct))
    assert _unfit(images, geometry) == ""
    assert "do not lie where" in _unfit(images[::-1], geometry)
    assert "another grid" in _unfit(images[:-1], geometry)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "nothing is asked for"),
        ({"identified": True, "nifti": "x"}, "--identified: goes with --dicom"),
        ({"studies": ("S-1",), "model_card": "x"}, "--study: goes with"),
        ({"dicom": "run/inside"}, "lies in the run's own folder"),
        ({"dicom": "full"}, "is not empty"),
        ({"dicom": "same", "nifti": "same"}, "a folder of its own"),
        ({"dicom": "new", "studies": ("SECRET",)}, "--study: 'SECRET' is no study of"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_a_line(known, tmp_path, given, sentence):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    places = {"run/inside": known.run / "inside"}
    given = {
        key: places.get(value, tmp_path / value) if isinstance(value, str) else value for key, value in given.items()
    }
    with pytest.raises((ConfigError, OutputError), match=sentence):
        export_run(ExportRequest(known.run, **given))
    assert not (tmp_path / "new").exists() or not any((tmp_path / "new").rglob("S-*"))


def copied(ct, folder):
    """Return a copy of the run beside a copy of its key, its archive where it was."""
    shutil.copytree(ct.run.parent.parent, folder / "runs")
    return folder / "runs" / ct.run.parent.name / ct.run.name


def test_an_altered_run_is_not_exported(known, tmp_path):
    run = copied(known, tmp_path)
    results = run / "results.json"
    results.write_bytes(results.read_bytes().replace(b'"planted"', b'"Planted"', 1))
    with pytest.raises(OutputError, match="does not hold"):
        export_run(ExportRequest(run, dicom=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_an_altered_report_is_left_out_and_the_rest_goes_on(known, tmp_path):
    run = copied(known, tmp_path)
    with (run / "report.pdf").open("ab") as file:
        file.write(b"%")
    account = export_run(ExportRequest(run, dicom=tmp_path / "out"))
    assert any("not the one that the ledger tells of" in reason for _, reason in account.parts)
    assert not (tmp_path / "out" / "report.dcm").exists()
    assert account.exported == 2


def test_another_key_names_nobody(known, tmp_path, monkeypatch):
    monkeypatch.setenv("CAMAUDIT_KEY", "another key than the run was made with")
    with pytest.raises(ConfigError, match="the pseudonym key here is not the run's own"):
        export_run(ExportRequest(known.run, dicom=tmp_path / "out", identified=True))
    assert not any((tmp_path / "out").glob("E-*"))


def test_changed_files_are_not_exported(known, tmp_path):
    path = known.archive / "oblique" / "SECRET003.dcm"
    before = path.read_bytes()
    path.write_bytes(before + b"\0\0")
    try:
        account = export_run(ExportRequest(known.run, dicom=tmp_path / "out", studies=(known.audits[0].study,)))
    finally:
        path.write_bytes(before)
    assert account.exported == 0
    assert account.code == 2
    ((study, reason),) = account.refused
    assert study == known.audits[0].study
    assert "not those that were audited" in reason or "cannot be read" in reason
