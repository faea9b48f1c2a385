"""MGH and MGZ against nibabel."""

import gzip

import nibabel
import numpy as np
import pytest

from camaudit.testing.readers import check_reader
from pipeline.errors import Reason
from pipeline.studies.index.headers import describe
from pipeline.studies.readers import BUILT_IN, ReadOptions, read_image, read_mask
from pipeline.studies.readers.images import mgh
from tests.pipeline.studies.writers import OBLIQUE, dot, grid, nifti, refusal

SHAPE, INDEX = (7, 5, 4), (5, 1, 2)
TURNS = {"straight": np.eye(3), "conformed": [[-1, 0, 0], [0, 0, 1], [0, -1, 0]], "oblique": OBLIQUE}


def affine(turn=OBLIQUE):
    return grid(turn, (0.7, 0.9, 2.5), (40.0, -12.5, 100.25))


def write(path, array=None, turn=OBLIQUE):
    nibabel.save(nibabel.MGHImage(dot(SHAPE, INDEX) if array is None else array, affine(turn)), path)
    return path


def scan_says(path):
    with path.open("rb") as file:
        return describe(file, path.stat().st_size, BUILT_IN, path.name)["reason"]


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS)
@pytest.mark.parametrize("name", ["a.mgh", "a.mgz"])
def test_a_marked_voxel_keeps_its_place(tmp_path, name, turn):
    image = read_image(write(tmp_path / name, turn=turn))
    assert np.argwhere(image.volume.array == 900).tolist() == [list(INDEX)]
    np.testing.assert_allclose(image.volume.geometry.affine, nibabel.load(tmp_path / name).affine, atol=1e-4)
    np.testing.assert_allclose(image.volume.geometry.affine, affine(turn), atol=1e-4)
    assert scan_says(tmp_path / name) is None


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32"])
def test_every_type(tmp_path, dtype):
    array = np.arange(140).reshape(SHAPE).astype(dtype)
    np.testing.assert_array_equal(read_image(write(tmp_path / "a.mgz", array)).volume.array, array)


def test_frames_are_volumes_that_are_chosen(tmp_path):
    array = np.stack([dot(SHAPE, (0, 0, 0)), dot(SHAPE, INDEX)], axis=-1)
    path = write(tmp_path / "a.mgz", array)
    refusal(Reason.SEVERAL_VOLUMES, lambda: read_image(path))
    assert np.argwhere(read_image(path, ReadOptions(volume=1)).volume.array).tolist() == [list(INDEX)]
    assert scan_says(path) == "several_volumes"


def test_masks_go_both_ways(tmp_path):
    image = read_image(write(tmp_path / "a.mgz"))
    nifti(tmp_path / "m.nii", dot(SHAPE, INDEX, 1), affine())
    assert np.argwhere(read_mask(tmp_path / "m.nii", image).marked).tolist() == [list(INDEX)]
    assert np.argwhere(read_mask(tmp_path / "a.mgz", image).marked).tolist() == [list(INDEX)]
    other = write(tmp_path / "b.mgz", turn=np.eye(3))
    refusal(Reason.OTHER_GRID, lambda: read_mask(other, image), excluded=True)


@pytest.mark.parametrize(
    ("at", "content", "reason"),
    [
        (28, b"\0\0", "no_geometry"),
        (30, b"\0\0\0\0", "no_geometry"),
        (30, b"\xff\xff\xff\xff", "no_geometry"),
        (42, bytes(12), "no_geometry"),
        (78, b"\x7f\xc0\0\0", "no_geometry"),
        (4, bytes(4), "not_readable"),
        (4, b"\xff\xff\xff\xff", "not_readable"),
        (4, b"\0\0\0\x70", "truncated"),
        (4, b"\x7f\xff\xff\xff", "too_large"),
        (16, b"\0\0\0\2", "several_volumes"),
        (20, b"\0\0\0\7", "not_readable"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_field_changed(tmp_path, at, content, reason, packed):
    data = bytearray(write(tmp_path / "a.mgh").read_bytes())
    data[at : at + len(content)] = content
    path = tmp_path / ("b.mgz" if packed else "b.mgh")
    path.write_bytes(gzip.compress(bytes(data)) if packed else bytes(data))
    stated = scan_says(path)
    if (reason, packed) == ("truncated", True):
        assert stated is None  # the stream's length is not looked at
    else:
        assert stated == reason
    if reason != "several_volumes":  # by its number of bytes, it is none
        refusal(Reason(reason), lambda: read_image(path))


def test_tags_behind_the_voxels_are_passed_over_and_a_bomb_is_not(tmp_path):
    data = write(tmp_path / "a.mgh").read_bytes()
    (tmp_path / "b.mgz").write_bytes(gzip.compress(data + b"\0\0\0\x14tags" * 50))
    assert read_image(tmp_path / "b.mgz").volume.array.max() == 900
    (tmp_path / "b.mgz").write_bytes(gzip.compress(data + bytes(80 * 1024**2)))
    refusal(Reason.NOT_READABLE, lambda: read_image(tmp_path / "b.mgz"))


def test_a_damaged_stream(tmp_path):
    packed = bytearray(gzip.compress(write(tmp_path / "a.mgh").read_bytes()))
    (tmp_path / "cut.mgz").write_bytes(packed[:-20])
    refusal(Reason.TRUNCATED, lambda: read_image(tmp_path / "cut.mgz"))
    packed[-6] ^= 255
    (tmp_path / "sum.mgz").write_bytes(packed)
    refusal(Reason.NOT_READABLE, lambda: read_image(tmp_path / "sum.mgz"))


def test_the_generic_checks(tmp_path):
    check_reader(mgh, [write(tmp_path / "a.mgh"), write(tmp_path / "a.mgz")])
