"""Several mask files of one expert for one image are one mask, not further readers."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipeline.studies.list_studies import list_studies
from pipeline.studies.read_study import read_study
from tests.field.making import NAMES, listed, scanned

CORNERS = [(10, 10), (60, 80), (40, 20)]


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    Image.fromarray(np.zeros((90, 120), np.uint8)).save(folder / "x1.png")
    for number, (row, column) in enumerate(CORNERS):
        marks = np.zeros((90, 120), np.uint8)
        marks[row : row + 5, column : column + 8] = 255
        Image.fromarray(marks).save(folder / f"x1_mask{f'_{number}' if number else ''}.png")
    return folder


def test_the_scan_unites_them(root):
    _, (row,), _ = scanned(root)
    assert [mask.reader for mask in row.masks] == ["expert"] * 3
    study = read_study(replace(row, reference=("mass",)), NAMES)
    assert [mask.array.sum() for mask in study.masks] == [120]


def test_discovery_unites_them(root):
    (row,) = list_studies(root, None, "mass")
    assert [(mask.reader, int(mask.array.sum())) for mask in read_study(row, NAMES).masks] == [("expert", 120)]


def test_a_manifest_unites_them(root):
    cell = "x1_mask.png; x1_mask_2.png"
    study = listed(root, f"study,patient,image,mask:r1:mass,mask:r2:mass\ns,p,x1.png,{cell},x1_mask_1.png\n")
    assert [(mask.reader, int(mask.array.sum())) for mask in study.masks] == [("r1", 80), ("r2", 40)]


def test_numbers_without_a_first_are_readers(root):
    (root / "x1_mask.png").unlink()
    (row,) = list_studies(root, None, "mass")
    assert sorted(mask.reader for mask in row.masks) == ["1", "2"]
