"""Layouts of public sets, rebuilt small with synthetic pixels: scan, manifest, audit, without a hand between."""

import csv
import shutil

import numpy as np
import pytest
import yaml
from PIL import Image
from pydicom.uid import generate_uid
from typer.testing import CliRunner

from flows.cli import app
from pipeline.studies.list_studies import list_studies
from pipeline.studies.read_study import read_study
from tests.field.making import NAMES, RAMP, film, scanned, series
from tests.pipeline.shared_pool import POOL
from tests.pipeline.steps import begin, finish, lock, read_run, work
from tests.pipeline.studies.writers import save

FACTORY = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    pooled = nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), pooled, nn.Flatten(), nn.Linear(4, 3))
"""
RNG = np.random.default_rng(11)
ULTRASOUND = {"benign": 6, "malignant": 4, "normal": 3}


def ultrasound(root):
    """Write the layout of the ultrasound set: a folder a class, ``x (n).png``, its masks beside it, some in parts."""
    for label, count in ULTRASOUND.items():
        (root / label).mkdir(parents=True)
        for number in range(1, count + 1):
            Image.fromarray(RNG.integers(0, 255, (64, 80, 3), dtype=np.uint8)).save(
                root / label / f"{label} ({number}).png"
            )
            for part in range(2 if number == 2 and label != "normal" else 1):
                marks = np.zeros((64, 80), bool)
                if label != "normal":
                    marks[5 + 25 * part : 20 + 25 * part, 10 : 20 + number] = True
                picture = Image.fromarray(marks)
                mode = {1: "1", 3: "RGB", 4: "RGBA"}.get(number, "L")
                name = f"{label} ({number})_mask{f'_{part}' if part else ''}.png"
                picture.convert(mode).save(root / label / name)
    return root


@pytest.fixture
def audit(tmp_path):
    """The manifest of a scan, and a configuration that names it."""
    root = ultrasound(tmp_path / "Dataset_with_GT")
    arguments = [
        "scan",
        str(root),
        "--workers",
        "0",
        "--label-from",
        "folder",
        "--write-manifest",
        str(tmp_path / "m.csv"),
    ]
    done = CliRunner().invoke(app, arguments, env={"CAMAUDIT_KEY": "k" * 64})
    assert done.exit_code == 0, done.exception
    (tmp_path / "net_of_the_set.py").write_text(FACTORY)
    config = {
        "name": "us",
        "archive": {"path": str(root), "manifest": "m.csv"},
        "model": {"name": "us", "factory": "net_of_the_set:build", "labels": ["normal", "benign", "malignant"]},
        "prepare": [{"_target_": "ScaleIntensityRange", "a_min": 0, "a_max": 255, "b_min": 0, "b_max": 1},
                    {"_target_": "Resize", "spatial_size": [32, 32]}],
        "explain": {"methods": ["gradcam"]},
        "criteria": [{"metric": "accuracy", "at_least": 0.1}],
        "run": {"device": "cpu", "replicates": 200, "shard_size": 5},
    }  # fmt: skip
    (tmp_path / "audit.yaml").write_text(yaml.safe_dump(config))
    return tmp_path / "audit.yaml"


def test_the_ultrasound_set_runs_from_its_scan(audit):
    rows = list(csv.DictReader((audit.parent / "m.csv").open()))
    assert [name for name in rows[0] if name.startswith("mask")] == ["mask:expert"]
    assert {label: sum(row["label"] == label for row in rows) for label in ULTRASOUND} == ULTRASOUND
    assert sum(";" in row["mask:expert"] for row in rows) == 2
    assert all("marks nothing" in row["doubts"] for row in rows if row["label"] == "normal")
    lock(audit)
    folder = begin(audit, "camaudit run audit.yaml", pool=POOL)
    for shard in range(read_run(folder)[0].shards):
        work(folder, shard, pool=POOL)
    results = finish(folder, pool=POOL)
    flow = results.flow
    assert (flow.found, flow.analysed) == (13, 13)
    assert (flow.mask_faults, flow.without_mask) == ({}, 0)


PATIENTS = ["Mass-Training_P_00001_LEFT_CC", "Mass-Training_P_00001_LEFT_MLO", "Calc-Test_P_00038_RIGHT_CC"]


def mammograms(root, series_says):
    """Write full images, and for each finding a folder ``<patient>_<n>`` with its mask and a crop (in one series)."""

    def write(path, array, patient, description):
        about = {"SeriesInstanceUID": generate_uid(), "StudyInstanceUID": generate_uid(), "PatientID": patient}
        about |= {"Modality": "MG", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "PixelSpacing": None}
        film(path, array, **about, SeriesDescription=description if series_says else "")

    marks = {}
    for patient, findings in zip(PATIENTS, (2, 1, 0), strict=True):
        image = RNG.integers(0, 65535, (60, 40), dtype=np.uint16)
        write(root / patient / "1.2" / "1.3" / "1-1.dcm", image, patient, "full mammogram images")
        for number in range(1, findings + 1):
            mask = np.zeros((60, 40), np.uint8)
            mask[10 * number : 10 * number + 6, 5:15] = 255
            marks[patient] = marks.get(patient, 0) + 60
            place = root / f"{patient}_{number}" / "1.4" / "1.5"
            write(place / "1-1.dcm", image[5:30, 5:30], f"{patient}_{number}", "cropped images")
            write(place / "1-2.dcm", mask, f"{patient}_{number}", "ROI mask images")
    return marks


@pytest.mark.parametrize("series_says", [True, False])
def test_mammograms_with_masks_as_secondary_captures(tmp_path, series_says):
    marks = mammograms(tmp_path / "a", series_says)
    studies, rows, numbers = scanned(tmp_path / "a")
    assert (numbers.usable, numbers.masks, numbers.masks_used) == (3, 3, 3)
    assert numbers.excluded == {"duplicate": 3}  # the crops
    found = {row.image.parts[-4]: [(mask.reader, mask.path.parts[-4]) for mask in row.masks] for row in rows}
    assert found == {
        PATIENTS[0]: [("expert", f"{PATIENTS[0]}_1"), ("expert", f"{PATIENTS[0]}_2")],
        PATIENTS[1]: [("expert", f"{PATIENTS[1]}_1")],
        PATIENTS[2]: [],
    }
    again = scanned(tmp_path / "a")
    assert (again[2], [row.masks for row in again[1]]) == (numbers, [row.masks for row in rows])
    assert sum(marks.values()) == 180
    assert all(study.image.array.max() > 255 for study in studies)


def test_a_numbered_patient_of_no_other_is_a_patient(tmp_path):
    """P_1 and P_2 are patients where there is no P."""
    for number in (1, 2):
        about = {"PatientID": f"P_{number}", "Modality": "MG", "SeriesInstanceUID": generate_uid()}
        film(tmp_path / "a" / f"{number}.dcm", RNG.integers(0, 999, (60, 40), dtype=np.uint16), **about)
    assert scanned(tmp_path / "a")[2].usable == 2


def test_patients_numbered_under_another_one_stay_when_none_has_a_mask(tmp_path):
    for patient in ("SITE", "SITE_1", "SITE_2"):
        about = {"PatientID": patient, "Modality": "MG", "SeriesInstanceUID": generate_uid()}
        film(tmp_path / "a" / f"{patient}.dcm", RNG.integers(0, 999, (60, 40), dtype=np.uint16), **about)
    assert scanned(tmp_path / "a")[2].usable == 3


def test_a_mask_of_another_size_than_its_mammogram_is_nobodys(tmp_path):
    mammograms(tmp_path / "a", True)
    path = tmp_path / "a" / f"{PATIENTS[1]}_1" / "1.4" / "1.5" / "1-2.dcm"
    about = {"PatientID": f"{PATIENTS[1]}_1", "Modality": "MG", "SeriesInstanceUID": generate_uid()}
    film(path, np.eye(64, 44, dtype=np.uint8) * 255, **about, SOPClassUID="1.2.840.10008.5.1.4.1.1.7")
    numbers = scanned(tmp_path / "a")[2]
    assert (numbers.masks, numbers.masks_used) == (3, 2)
    assert numbers.excluded == {"duplicate": 3, "other_image": 1}


def liver_set(root, intercept=0):
    """Write the layout of 3D-IRCADb: PATIENT_DICOM, and a series a structure in MASKS_DICOM, its header the image's."""
    marks = np.zeros(RAMP.shape, np.int16)
    for number in (1, 2):
        about = {"SeriesInstanceUID": generate_uid(), "PatientID": f"P{number}", "RescaleIntercept": intercept}
        save(root / f"set.{number}" / "PATIENT_DICOM", series(RAMP, **about))
        for place, name in enumerate(("liver", "kidney")[:number]):
            drawn = marks.copy()
            drawn[2:5, 3:6, place : place + 2] = 255
            about["SeriesInstanceUID"] = generate_uid()
            save(root / f"set.{number}" / "MASKS_DICOM" / name, series(drawn, **about))
    return root


@pytest.mark.parametrize("intercept", [0, -1024])
def test_a_set_whose_masks_are_dicom_series(tmp_path, intercept):
    root = liver_set(tmp_path / "a", intercept)
    for _ in range(2):  # a second scan tells the same
        studies, rows, numbers = scanned(root)
        assert (numbers.usable, numbers.masks, numbers.masks_used, numbers.excluded) == (2, 3, 3, {})
        found = {
            row.image.parts[-2]: sorted((mask.reader, mask.label, mask.path.name) for mask in row.masks) for row in rows
        }
        assert found == {
            "set.1": [("expert", "liver", "liver")],
            "set.2": [("expert", "kidney", "kidney"), ("expert", "liver", "liver")],
        }
    marked = [sorted(int(mask.array.sum()) for mask in study.masks) for study in studies]
    assert sorted(marked) == [[18], [18, 18]]
    (tmp_path / "m.csv").write_text(
        "study,patient,image,mask:r:liver\ns,p,set.1/PATIENT_DICOM,set.1/MASKS_DICOM/liver\n"
    )
    (row,) = list_studies(root, tmp_path / "m.csv")
    assert [int(mask.array.sum()) for mask in read_study(row, NAMES).masks] == [18]


def test_images_in_a_folder_called_labels_stay_images(tmp_path):
    array = RAMP.copy()
    array[..., 0] = 0  # the first slice lies outside of the body
    for name in ("x", "y"):
        save(tmp_path / "a" / "labels" / name, series(array, SeriesInstanceUID=generate_uid()))
    assert scanned(tmp_path / "a")[2].usable == 2


def test_a_scan_after_an_image_went_away_tells_anew(tmp_path):
    mammograms(tmp_path / "a", True)
    scanned(tmp_path / "a")
    shutil.rmtree(tmp_path / "a" / PATIENTS[1])
    numbers = scanned(tmp_path / "a")[2]
    assert (numbers.usable, numbers.masks, numbers.masks_used) == (3, 3, 2)  # the crop is an image by itself now
    assert numbers.excluded == {"duplicate": 2, "other_image": 1}
    liver = liver_set(tmp_path / "b")
    scanned(liver)
    shutil.rmtree(liver / "set.2" / "PATIENT_DICOM")
    numbers = scanned(liver)[2]
    assert (numbers.usable, numbers.masks, numbers.masks_used) == (1, 3, 1)
