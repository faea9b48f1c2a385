"""Voxels in a file beside their header: hashed with it, watched with it, never taken from elsewhere."""

import os
import zipfile

import numpy as np
import pytest

from pipeline.errors import StudyError
from pipeline.studies import read_study as reading
from pipeline.studies.content_digest import source_digest
from pipeline.studies.list_studies import list_studies
from pipeline.studies.read_study import read_study
from tests.field.layouts.copies import INDEX, mark, meta_image
from tests.field.making import NAMES, RAMP, attempt, scanned

UID = "1.3.6.1.4.1.14519.5.2.1.6279.6001.222087835829332162112837"


@pytest.fixture
def root(tmp_path):
    meta_image(tmp_path / "a" / "x.mhd", RAMP)
    meta_image(tmp_path / "a" / "x_mask.mhd", mark())
    return tmp_path / "a"


def only(root):
    (row,) = list_studies(root, None, "liver")
    return row


@pytest.mark.parametrize("name", ["x.raw", "x_mask.raw"])
def test_another_voxel_is_another_study(root, name):
    before = read_study(only(root), NAMES)
    assert np.argwhere(before.masks[0].array).tolist() == [list(INDEX)]
    content = bytearray((root / name).read_bytes())
    content[-1] ^= 1
    (root / name).write_bytes(content)
    assert source_digest(only(root)) != before.source_sha256
    after = attempt(lambda: read_study(only(root), NAMES))
    assert after.source_sha256 == source_digest(only(root))


def test_voxels_that_change_while_they_are_read_are_noticed(root, monkeypatch):
    real = reading.read_image

    def changing(path, *rest):
        image = real(path, *rest)
        content = (root / "x.raw").read_bytes()
        (root / "x.raw").write_bytes(content[::-1])
        return image

    monkeypatch.setattr(reading, "read_image", changing)
    refusal = attempt(lambda: read_study(only(root), NAMES))
    assert isinstance(refusal, StudyError)
    assert refusal.reason == "changed_during_run"


def test_a_name_that_no_cell_takes_goes_through_a_list(tmp_path):
    root = tmp_path / "a"
    meta_image(root / f"{UID};1.mhd", RAMP)
    (study,), (row,), _ = scanned(root)
    assert row.image.suffix == ".files"
    np.testing.assert_array_equal(study.image.array, RAMP)
    before = study.source_sha256
    (root / f"{UID};1.raw").write_bytes(bytes(RAMP.nbytes))
    (after,), _, _ = scanned(root)
    assert after.source_sha256 != before


def test_in_a_zip_one_file_is_read_and_a_pair_is_not(tmp_path):
    meta_image(tmp_path / "one.mha", RAMP)
    meta_image(tmp_path / "two.mhd", RAMP)
    (tmp_path / "a").mkdir()
    with zipfile.ZipFile(tmp_path / "a" / "z.zip", "w") as file:
        for name in ("one.mha", "two.mhd", "two.raw"):
            file.write(tmp_path / name, f"{UID}/{name}")
    (study,), _, numbers = scanned(tmp_path / "a")
    np.testing.assert_array_equal(study.image.array, RAMP)
    assert (numbers.modalities[0].excluded, numbers.excluded) == (
        {"unsupported_format": 1},
        {"not_an_image": 1, "unsupported_format": 1},
    )


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "absent"])
def test_what_is_no_plain_file_of_voxels(root, kind):
    for name in ("x_mask.mhd", "x_mask.raw"):
        (root / name).unlink()
    (root / "x.raw").rename(root.parent / "x.raw")
    if kind == "link":
        (root / "x.raw").symlink_to(root.parent / "x.raw")
    elif kind == "pipe":
        os.mkfifo(root / "x.raw")
    elif kind == "folder":
        (root / "x.raw").mkdir()
    reason = {"link": "leads_out", "pipe": "not_regular", "folder": "not_regular", "absent": "missing_file"}[kind]
    refusal = attempt(lambda: read_study(only(root), NAMES))
    assert refusal.reason == reason
    stated = scanned(root)[2].modalities[0].excluded
    assert stated == {"missing_file" if kind == "folder" else reason: 1}  # a scan knows files alone


def test_two_headers_of_one_file_of_voxels(root):
    (root / "y.mhd").write_bytes((root / "x.mhd").read_bytes())
    numbers = scanned(root)[2]
    assert (numbers.usable, numbers.used) == (2, 5)
