import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from pipeline.errors import Reason, StudyError
from pipeline.studies.geometry import Geometry
from pipeline.studies.readers import ReadOptions, read_image, read_mask
from pipeline.studies.readers.shared import base
from pipeline.studies.readers.shared.base import ImageFile
from pipeline.studies.volume import Volume
from tests.pipeline.studies.writers import OBLIQUE, dot, grid, nifti, refusal

SHAPE, MARK = (7, 5, 6), (5, 1, 4)
STRAIGHT = grid(np.diag([1, 1, 1]), (0.7, 0.9, 2.5), (-40.0, 12.5, 100.25))
ROTATED = grid(OBLIQUE, (0.7, 0.9, 2.5), (-40.0, 12.5, 100.25))
FLIPPED = ROTATED @ np.diag([-1, 1, -1, 1])


def found(image):
    index = np.unravel_index(image.volume.array.argmax(), image.volume.array.shape)
    return image.volume.geometry.world(np.array([index]))[0]


@pytest.mark.parametrize("name", ["SECRET.nii", "SECRET.nii.gz", "no_ending_at_all"])
@pytest.mark.parametrize("affine", [STRAIGHT, ROTATED, FLIPPED])
def test_a_marked_voxel_keeps_its_place(tmp_path, affine, name):
    written = nifti(tmp_path / "a.nii", dot(SHAPE, MARK), affine, qform=affine)
    path = tmp_path / name
    path.write_bytes(gzip.compress(written.read_bytes()) if name.endswith("gz") else written.read_bytes())
    image = read_image(path)
    np.testing.assert_allclose(found(image), (affine @ (*MARK, 1))[:3], atol=1e-4)
    peer = SimpleITK.ReadImage(str(written))
    np.testing.assert_allclose(
        found(image), np.array([-1, -1, 1]) * peer.TransformIndexToPhysicalPoint(MARK), atol=1e-4
    )
    assert image.volume.array[MARK] == 900


@pytest.mark.parametrize(("sform", "qform"), [(ROTATED, None), (None, ROTATED)])
def test_one_form_is_enough(tmp_path, sform, qform):
    image = read_image(nifti(tmp_path / "a.nii", dot(SHAPE, MARK), sform, qform=qform))
    np.testing.assert_allclose(image.volume.geometry.affine, ROTATED, atol=1e-5)


def test_forms_that_disagree_are_refused(tmp_path):
    moved = STRAIGHT.copy()
    moved[0, 3] += 3
    path = nifti(tmp_path / "SECRET.nii", dot(SHAPE, MARK), STRAIGHT, qform=moved)
    assert "disagree by 3.00 mm" in refusal(Reason.NO_GEOMETRY, lambda: read_image(path))


def test_no_form_and_a_zero_form_are_refused(tmp_path):
    path = nifti(tmp_path / "SECRET.nii", dot(SHAPE, MARK), None)
    assert "neither sform nor qform" in refusal(Reason.NO_GEOMETRY, lambda: read_image(path))
    content = bytearray(nifti(path, dot(SHAPE, MARK), STRAIGHT).read_bytes())
    content[280:328] = bytes(48)
    path.write_bytes(content)
    refusal(Reason.NO_GEOMETRY, lambda: read_image(path))


@pytest.mark.parametrize(
    ("unit", "scale", "fact"),
    [("meter", 1000, "meter"), ("micron", 0.001, "micron"), (0, 1, "not stated, taken as mm")],
)
def test_units_become_mm(tmp_path, unit, scale, fact):
    image = nibabel.Nifti1Image(dot(SHAPE, MARK), None)
    image.header.set_xyzt_units(unit)
    image.set_sform(STRAIGHT, code=1)
    image.set_qform(None, code=0)
    nibabel.save(image, tmp_path / "a.nii")
    read = read_image(tmp_path / "a.nii")
    np.testing.assert_allclose(read.volume.geometry.affine[:3], STRAIGHT[:3] * scale, rtol=1e-6)
    assert read.header == {"length unit": fact}


def test_slope_and_intercept_are_applied(tmp_path):
    image = nibabel.Nifti1Image(dot(SHAPE, MARK, 100), STRAIGHT)
    image.header.set_slope_inter(0.5, -10)
    path = tmp_path / "a.nii"
    image.to_filename(path)
    stored = bytearray(path.read_bytes())
    stored[112:120] = np.array([0.5, -10], "<f4").tobytes()
    path.write_bytes(stored)
    raw = np.frombuffer(stored[352:], "<i2").max()
    array = read_image(path).volume.array
    assert (array[MARK], array[0, 0, 0]) == (raw * 0.5 - 10, -10)


@pytest.mark.parametrize(
    ("shape", "expected"), [((7, 5, 6, 1), (7, 5, 6)), ((7, 5, 1), (7, 5, 1)), ((7, 5), (7, 5, 1))]
)
def test_axes_of_one_are_squeezed_and_one_slice_stays(tmp_path, shape, expected):
    path = nifti(tmp_path / "a.nii", np.zeros(shape, np.int16), STRAIGHT)
    assert read_image(path).volume.geometry.shape == expected


def test_nifti_2_is_read(tmp_path):
    nibabel.save(nibabel.Nifti2Image(dot(SHAPE, MARK), ROTATED), tmp_path / "a.nii")
    np.testing.assert_allclose(found(read_image(tmp_path / "a.nii")), (ROTATED @ (*MARK, 1))[:3], atol=1e-5)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((7, 5, 6, 2), np.int16), Reason.SEVERAL_VOLUMES),
        (np.zeros((7, 5, 6, 1, 3), np.int16), Reason.UNSUPPORTED_FORMAT),
        (np.zeros((7, 5, 6), [("R", "u1"), ("G", "u1"), ("B", "u1")]), Reason.NOT_A_SINGLE_CHANNEL),
        (np.zeros((7, 5, 6), np.complex64), Reason.NOT_A_SINGLE_CHANNEL),
        (np.full((7, 5, 6), np.nan, np.float32), Reason.NOT_FINITE),
    ],
)
def test_what_is_no_volume_is_refused(tmp_path, array, reason):
    path = nifti(tmp_path / "SECRET.nii", array, STRAIGHT)
    refusal(reason, lambda: read_image(path))


@pytest.mark.parametrize("shape", [(7, 5, 6, 3), (7, 5, 6, 3, 1), (7, 5, 1, 3)])
@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_one_of_several_volumes_is_read_when_it_is_chosen(tmp_path, shape, ending):
    array = np.random.default_rng(0).integers(0, 1000, shape).astype(np.int16)
    path = nifti(tmp_path / f"SECRET.{ending}", array, ROTATED)
    for volume in range(3):
        image = read_image(path, ReadOptions(volume=volume))
        np.testing.assert_array_equal(image.volume.array, array.reshape(*shape[:3], 3)[..., volume])
        assert image.header["volume"] == f"volumes 0 to 2: {volume} chosen"
    np.testing.assert_allclose(image.volume.geometry.affine, ROTATED, atol=1e-5)
    words = refusal(Reason.SEVERAL_VOLUMES, lambda: read_image(path))
    assert words == "the file holds 3 volumes; archive.volume would choose one"
    assert "(index 3) fits none of the 3 volumes" in refusal(
        Reason.SEVERAL_VOLUMES, lambda: read_image(path, ReadOptions(volume=3))
    )


def test_the_chosen_volume_is_scaled(tmp_path):
    array = np.arange(7 * 5 * 6 * 2, dtype=np.int16).reshape(7, 5, 6, 2)
    path = nifti(tmp_path / "a.nii", array, STRAIGHT)
    stored = bytearray(path.read_bytes())
    stored[112:120] = np.array([0.5, -10], "<f4").tobytes()
    path.write_bytes(stored)
    np.testing.assert_array_equal(read_image(path, ReadOptions(volume=1)).volume.array, array[..., 1] * 0.5 - 10)


SHEARED = STRAIGHT.copy()
SHEARED[1, 2] = 0.9


@pytest.mark.parametrize("affine", [SHEARED, FLIPPED @ np.diag([1, 1, 1, 1]), ROTATED @ np.diag([1, 3, 0.2, 1])])
def test_sheared_flipped_and_anisotropic_grids_keep_a_marked_voxel(tmp_path, affine):
    image = read_image(nifti(tmp_path / "a.nii", dot(SHAPE, MARK), affine))
    np.testing.assert_allclose(found(image), (affine @ (*MARK, 1))[:3], atol=1e-4)


def test_truncated_and_damaged_files_are_refused(tmp_path):
    path = nifti(tmp_path / "SECRET.nii", dot(SHAPE, MARK), STRAIGHT)
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    assert "771 bytes of the 772" in refusal(Reason.TRUNCATED, lambda: read_image(path))
    packed = gzip.compress(content)
    path.write_bytes(packed[:-9])
    refusal(Reason.TRUNCATED, lambda: read_image(path))
    path.write_bytes(packed[:-8] + bytes(4) + packed[-4:])  # the checksum
    refusal(Reason.NOT_READABLE, lambda: read_image(path))
    path.write_bytes(gzip.compress(content + bytes(2**21)))
    assert "longer" in refusal(Reason.NOT_READABLE, lambda: read_image(path))


@pytest.mark.parametrize("level", [0, 9])
def test_a_gzip_stream_of_several_members_or_with_padding_is_read_whole(tmp_path, level):
    content = nifti(tmp_path / "a.nii", dot(SHAPE, MARK), STRAIGHT).read_bytes()
    two = gzip.compress(content[:400], level) + gzip.compress(content[400:], level)
    for packed in (gzip.compress(content, level), two, two + bytes(64), gzip.compress(content, level) + bytes(3)):
        (tmp_path / "b.nii.gz").write_bytes(packed)
        np.testing.assert_array_equal(read_image(tmp_path / "b.nii.gz").volume.array, dot(SHAPE, MARK))
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(content, level) + gzip.compress(b"more", level))
    assert "longer" in refusal(Reason.NOT_READABLE, lambda: read_image(tmp_path / "b.nii.gz"))
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(content, level) + b"no member")
    refusal(Reason.NOT_READABLE, lambda: read_image(tmp_path / "b.nii.gz"))


def test_whatever_is_changed_in_a_gzip_stream_its_voxels_are_the_same_or_it_is_refused(tmp_path):
    packed = gzip.compress(nifti(tmp_path / "a.nii", dot(SHAPE, MARK), STRAIGHT).read_bytes())
    path, refusals = tmp_path / "b.nii.gz", 0
    for place in range(2, len(packed)):
        changed = bytearray(packed)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        try:
            read = read_image(path).volume.array
        except StudyError:
            refusals += 1
        else:
            np.testing.assert_array_equal(read, dot(SHAPE, MARK))
    assert refusals > len(packed) // 2


def test_the_size_is_checked_before_anything_is_decoded(tmp_path, monkeypatch):
    path = nifti(tmp_path / "SECRET.nii", dot(SHAPE, MARK), STRAIGHT)
    monkeypatch.setattr(base, "CAP_BYTES", 419)
    refusal(Reason.TOO_LARGE, lambda: read_image(path))


@pytest.fixture
def image():
    return ImageFile(Volume(np.zeros(SHAPE, np.float32), Geometry(SHAPE, ROTATED, "1.2.3.4")))


@pytest.mark.parametrize("value", [1, 255, -1, 1.0004])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_a_mask_with_reordered_axes_lands_on_the_image(tmp_path, image, order, value):
    marked = np.zeros(SHAPE, np.float32)
    marked[MARK] = value
    turned = np.eye(4)
    turned[:3, :3] = np.eye(3)[:, list(order)]
    written = marked.transpose(order)[::-1]
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = written.shape[0] - 1
    path = nifti(tmp_path / "mask.nii.gz", written, ROTATED @ turned @ flip)
    assert np.argwhere(read_mask(path, image, None).marked).tolist() == [list(MARK)]


def test_a_mask_on_another_grid_is_excluded(tmp_path, image):
    moved = ROTATED.copy()
    moved[2, 3] += 0.4
    path = nifti(tmp_path / "SECRET.nii", dot(SHAPE, MARK, 1), moved)
    words = refusal(Reason.OTHER_GRID, lambda: read_mask(path, image, None), excluded=True)
    assert "(-40.00, 12.50, 100.65)" in words
    assert "(-40.00, 12.50, 100.25)" in words
    short = nifti(path, np.zeros((7, 5, 5), np.uint8), ROTATED)
    refusal(Reason.OTHER_GRID, lambda: read_mask(short, image, None), excluded=True)
    other = ImageFile(Volume(np.zeros((7, 5), np.float32), Geometry((7, 5), np.eye(4))))
    refusal(Reason.OTHER_GRID, lambda: read_mask(short, other, None), excluded=True)


def test_a_one_slice_mask_may_state_another_thickness(tmp_path):
    image = ImageFile(Volume(np.zeros((7, 5, 1), np.float32), Geometry((7, 5, 1), ROTATED)))
    path = nifti(tmp_path / "mask.nii", dot((7, 5, 1), (5, 1, 0), 1), ROTATED @ np.diag([1, 1, 0.2, 1]))
    assert np.argwhere(read_mask(path, image, None).marked).tolist() == [[5, 1, 0]]


def test_a_mask_of_several_labels_is_refused(tmp_path, image):
    array = dot(SHAPE, MARK, 2)
    array[0, 0, 0] = 1
    path = nifti(tmp_path / "SECRET.nii", array, ROTATED)
    assert "2 values besides 0" in refusal(Reason.UNSUPPORTED_FORMAT, lambda: read_mask(path, image, "a"))
    path = nifti(path, np.full(SHAPE, np.nan, np.float32), ROTATED)
    refusal(Reason.NOT_FINITE, lambda: read_mask(path, image, "a"))


def test_a_missing_file_is_missing(image):
    refusal(Reason.MISSING_FILE, lambda: read_image(Path("SECRET.nii")))
    refusal(Reason.MISSING_FILE, lambda: read_mask(Path("SECRET.nii"), image, None))
