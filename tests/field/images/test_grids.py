"""Formats' strictness, judged by what is at stake; and refusals that show what differs."""

import nibabel
import numpy as np
import pytest

from tests.field.making import AFFINE, RAMP, SHAPE, image_of, label_map, mask, refused, scanned, series, volume

TURNED = np.array([[-0.8, 0, 0, 30], [0, -0.7, 0, 20], [0, 0, 2.5, -10], [0, 0, 0, 1.0]])  # 180 degrees about z


def nifti_with(path, sform=True, **fields):
    header = nibabel.Nifti1Image(RAMP, None).header
    header.set_xyzt_units("mm")
    header.set_qform(TURNED, code=1)
    header.set_sform(TURNED if sform else None, code=int(sform))
    header["vox_offset"], header["magic"], header["scl_slope"], header["scl_inter"] = 352, b"n+1", 1, 0
    for name, value in fields.items():
        header[name] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header.binaryblock + bytes(4) + RAMP.tobytes(order="F"))
    return path


@pytest.mark.parametrize("sform", [True, False])
@pytest.mark.parametrize("length", [1.0000003, 1.0003, 1.0])
def test_a_quaternion_a_little_long_is_shortened(tmp_path, length, sform):
    path = nifti_with(tmp_path / "a" / "t1.nii", sform, quatern_b=0, quatern_c=0, quatern_d=length)
    image = image_of(path)
    np.testing.assert_allclose(image.volume.geometry.affine, TURNED, atol=1e-5)
    assert ("qform quaternion" in image.header) is (length > 1)
    assert scanned(tmp_path / "a")[2].usable == 1


@pytest.mark.parametrize("sform", [True, False])
def test_a_qfac_of_0_is_1(tmp_path, sform):
    pixdim = [0, 0.8, 0.7, 2.5, 1, 1, 1, 1]
    image = image_of(nifti_with(tmp_path / "t1.nii", sform, pixdim=pixdim))
    np.testing.assert_allclose(image.volume.geometry.affine, TURNED, atol=1e-5)
    assert image.header["qfac"] == "0, taken as 1"


def test_every_qform_of_nibabels_is_ours(tmp_path):
    numbers = np.random.default_rng(3)
    for qfac in (1, -1):
        parts = numbers.normal(size=4)
        parts /= np.linalg.norm(parts) * np.sign(parts[0])
        about = dict(zip(("quatern_b", "quatern_c", "quatern_d"), parts[1:], strict=True))
        path = nifti_with(tmp_path / "t1.nii", sform=False, pixdim=[qfac, 0.8, 0.7, 2.5, 1, 1, 1, 1], **about)
        np.testing.assert_allclose(image_of(path).volume.geometry.affine, nibabel.load(path).affine, atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "reason", "word"),
    [
        ({"quatern_b": 0.9, "quatern_d": 0.9}, "no_geometry", "quaternion"),
        ({"pixdim": [1] * 3 + [0] * 5}, "no_geometry", "pixdim"),
        ({"bitpix": 8}, "not_readable", "bitpix"),
        ({"vox_offset": 0}, "not_readable", "vox_offset"),
        ({"datatype": 128, "bitpix": 24}, "not_a_single_channel", "colours"),
        ({"datatype": 7}, "not_readable", "datatype"),
        ({"dim": [3, 12, 14, -6, 1, 1, 1, 1]}, "not_readable", "dim"),
        ({"xyzt_units": 5}, "no_geometry", "xyzt_units"),
        ({"dim": [3, 30000, 30000, 600, 1, 1, 1, 1]}, "too_large", "MiB"),
        ({"qoffset_x": np.nan}, "no_geometry", "qoffset"),
        ({"dim": [3, 12, 14, 7, 1, 1, 1, 1]}, "truncated", "bytes"),
        ({"dim": [3, 12, 14, 5, 1, 1, 1, 1]}, "not_readable", "dim"),
    ],
    ids=range(12),
)  # fmt: skip
def test_what_a_header_contradicts_is_refused_by_scan_and_reader(tmp_path, fields, reason, word):
    path = nifti_with(tmp_path / "a" / "t1.nii", sform=False, **fields)
    refused(image_of(path), reason, word)
    assert scanned(tmp_path / "a")[2].excluded == {reason: 1}


def turn(affine):
    angle = np.eye(4)
    angle[:2, :2] = [[0.99999, -0.00447], [0.00447, 0.99999]]
    return angle @ affine


@pytest.mark.parametrize(
    "change",
    [
        lambda affine: affine @ np.diag([1.004, 1, 1, 1]), lambda affine: affine + np.eye(4, k=3) * 0.074,
        turn, lambda affine: affine @ np.diag([1.0009, 1.0009, 1, 1]),
    ],
    ids=["spacing", "place", "direction", "both spacings"],
)  # fmt: skip
def test_grids_that_differ_do_not_read_the_same(tmp_path, change):
    image = volume(tmp_path / "ct", series(np.zeros((200, 14, 6), np.int16)))
    found = mask(label_map(tmp_path / "m.nii", np.ones((200, 14, 6), np.uint8), change(AFFINE)), image)
    assert refused(found, "other_grid")
    own, _, others = str(found).removeprefix("the mask's grid ").partition(" the image's ")
    assert others
    assert own.removesuffix(" is not").removesuffix(" is shifted against") != others


def test_equal_grids_are_equal(tmp_path):
    image = volume(tmp_path / "ct")
    assert mask(label_map(tmp_path / "m.nii", np.ones(SHAPE, np.uint8)), image).marked.all()
