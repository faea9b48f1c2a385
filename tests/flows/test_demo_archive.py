import csv

import nibabel
import numpy as np
import pydicom
import pytest

from flows.demo.archive import READERS, plan_visits, write_archive
from flows.demo.configs import CT, DX
from flows.demo.radiograph import SITES
from pipeline.studies.list_studies import list_studies
from pipeline.studies.pseudonyms import Pseudonyms
from pipeline.studies.read_study import read_study


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    write_archive(folder, 3)
    return folder


def rows_of(manifest):
    with manifest.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_same_seed_gives_the_same_bytes(archive, tmp_path):
    write_archive(tmp_path, 3)
    assert contents(tmp_path) == contents(archive)


def test_another_seed_gives_other_patients(archive, tmp_path):
    write_archive(tmp_path, 4)
    assert (tmp_path / "dx" / "manifest.csv").read_bytes() != (archive / "dx" / "manifest.csv").read_bytes()


@pytest.mark.parametrize(("modality", "studies", "ill", "ill_patients"), [(DX, 40, 24, 20), (CT, 16, 12, 12)])
def test_counts(archive, modality, studies, ill, ill_patients):
    rows = rows_of(archive / modality.name / "manifest.csv")
    positive = [row for row in rows if row["label"] == modality.labels[1]]
    assert len(rows) == len({row["study"] for row in rows}) == studies
    assert len(positive) == ill
    assert len({row["patient"] for row in positive}) == ill_patients
    assert {row["site"] for row in positive} == {row["site"] for row in rows} == {"A", "B"}
    assert all(bool(row[f"mask:{reader}"]) == bool(row["label"]) for row in rows for reader in READERS)


def test_radiographs_open_in_their_site_s_polarity_and_without_a_burned_in_identity(archive):
    for row in rows_of(archive / "dx" / "manifest.csv"):
        dataset = pydicom.dcmread(archive / "dx" / row["image"])
        site = next(site for site in SITES if site.name == row["site"])
        assert dataset.PhotometricInterpretation == ("MONOCHROME1" if site.inverted else "MONOCHROME2")
        assert dataset.pixel_array.shape == site.shape
        assert dataset.ImagerPixelSpacing == [site.spacing] * 2
        assert dataset.BurnedInAnnotation == "NO"
        assert not dataset.is_implicit_VR


def test_segmentations_name_their_radiograph(archive):
    for row in rows_of(archive / "dx" / "manifest.csv"):
        for reader in READERS if row["label"] else ():
            image = pydicom.dcmread(archive / "dx" / row["image"])
            mask = pydicom.dcmread(archive / "dx" / row[f"mask:{reader}"])
            named = mask.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0]
            assert named.ReferencedSOPInstanceUID == image.SOPInstanceUID
            assert mask.SegmentSequence[0].SegmentLabel == "nodule"
            assert mask.StudyInstanceUID == image.StudyInstanceUID


def test_volumes_and_masks_share_a_grid_and_some_are_oblique_or_flipped(archive):
    flipped = oblique = 0
    for row in rows_of(archive / "ct" / "manifest.csv"):
        image = nibabel.load(archive / "ct" / row["image"])
        flipped += nibabel.aff2axcodes(image.affine) != ("R", "A", "S")
        oblique += bool(np.abs(image.affine[0, 1]) > 0.1)
        assert image.get_data_dtype() == np.int16
        assert -1024 <= image.get_fdata().min() < -900
        for reader in READERS if row["label"] else ():
            mask = nibabel.load(archive / "ct" / row[f"mask:{reader}"])
            np.testing.assert_array_equal(mask.affine, image.affine)
            assert mask.shape == image.shape
    assert flipped
    assert oblique


@pytest.mark.parametrize("modality", [DX, CT], ids=lambda modality: modality.name)
def test_every_study_is_read_and_the_masks_mark_the_finding(archive, modality):
    folder = archive / modality.name
    contrast = []
    for row in list_studies(folder, folder / "manifest.csv"):
        study = read_study(row, Pseudonyms(b"0" * 32))
        assert len(study.masks) == (2 if study.reference else 0)
        if not study.masks:
            continue
        one, other = (mask.array for mask in study.masks)
        dice = 2 * (one & other).sum() / (one.sum() + other.sum())
        assert 0.7 < dice < 1
        near = np.zeros(one.shape, bool)
        middle = np.argwhere(one)
        near[
            tuple(slice(max(low - 6, 0), high + 7) for low, high in zip(middle.min(0), middle.max(0), strict=True))
        ] = 1
        contrast.append(study.image.array[one].mean() - study.image.array[near & ~(one | other)].mean())
    # a finding is denser than the lung around it, in either polarity of the files
    assert np.mean(np.array(contrast) > 0) > 0.75


@pytest.mark.parametrize("modality", [DX, CT], ids=lambda modality: modality.name)
def test_the_marker_goes_with_the_label(modality):
    visits = plan_visits(modality, 0)
    assert all(visit.marked == visit.ill for visit in visits)
    assert {visit.ill for visit in visits} == {True, False}


def test_the_marker_is_seen_in_the_files_of_the_ill_alone(archive):
    for row in rows_of(archive / "ct" / "manifest.csv"):
        values = nibabel.load(archive / "ct" / row["image"]).get_fdata()
        assert (values == 3000).any() == bool(row["label"])
